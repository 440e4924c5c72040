"""The page of what goes with the gap: tables, figures and words, and the same tables on a terminal.

Two things that go together may do so for any reason, so that no sentence here says what brings about what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.markup import escape

from metagap.analysis.associations import TOO_FEW, Associations
from metagap.analysis.associations.prediction import BY_ALGORITHM, MEAN
from metagap.analysis.associations.ranks import WITHIN
from metagap.analysis.associations.variance import COMPONENTS, EPISODES
from metagap.analysis.comparisons import CANNOT_TELL
from metagap.report import terminal, theme
from metagap.report.across_suites import folder_name_of
from metagap.report.figures import associations as figures
from metagap.report.page import Block, Drawn, drawn, render_page, stacked, write_page
from metagap.report.panels import Phrase, Prose
from metagap.report.table import Table
from metagap.text import MISSING, number, probability, share, uncertain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

FOLDER = "associations"
NAMED = 8
"""Claims that the findings name one by one."""

Draw = Callable[[Associations, dict[str, theme.Style], bool], "Figure"]

MEANINGS = [
    (
        "quantity",
        "What was measured on the trained algorithm or its tasks at the end of training, averaged over episodes and "
        "seeds: on the split that a gap is about, or once for the whole cell.",
    ),
    (
        "scaled gap",
        "The gap divided by the span from guessing to the best score of its suite; for mean squared errors, by the "
        "error of answering zero on the in-distribution split. Suites of any metric are comparable in it.",
    ),
    ("overall", "Spearman’s rank correlation over all suites, algorithms and splits, of scaled gaps."),
    (
        "within suites",
        "Spearman’s rank correlation within each suite, averaged over suites. What differs between suites is out.",
    ),
    (
        "interval",
        "95%, for new suites and new algorithms: the jackknife that leaves out whole suites and whole algorithms.",
    ),
    (
        "p",
        "The share of other orders of the suites, the algorithms and the splits of each suite in which the correlation "
        "is as strong; corrected by Holm over all hypotheses of this page.",
    ),
    (
        "verdict",
        "A claim needs p < 0.05 after the correction and an interval without 0. “Cannot tell” is no evidence "
        "of nothing.",
    ),
    (
        "order in a suite that was not used",
        "The relation is fitted to the ranks within all suites but one; the rank correlation of predicted and true "
        "order in that one. Error: the mean squared error of the predicted ranks over that of the mean; below 1 is "
        "better.",
    ),
    (
        "variance",
        "Crossed random components of the scaled gap (REML); the luck of the episodes is computed by itself and taken "
        "out.",
    ),
]


def correlations(found: Associations) -> Table:
    """Quantities and scopes by gaps, claims in bold."""
    rows, told = [], set()
    groups = found.correlations.groupby(["quantity", "scope"], sort=False)
    for place, ((quantity, scope), part) in enumerate(groups):
        row = {"quantity": quantity, "over": scope}
        for one in part.to_dict("records"):
            row[one["gap"]] = uncertain(one["value"], one["low"], one["high"], signed=True)
            if one["verdict"] != CANNOT_TELL:
                told.add((place, one["gap"]))
        rows.append(row)
    return Table(
        name="correlations",
        title=f"Rank correlations with the gaps over {len(found.suites)} suites",
        caption="Spearman’s rank correlation with its 95% interval for new suites and algorithms; positive: the gap is "
        f"larger where the quantity is. Bold: significant after Holm’s correction over {found.family} hypotheses.",
        frame=pd.DataFrame(rows).fillna(MISSING),
        labels=2,
        best=frozenset(told),
    )


def hypotheses(found: Associations) -> Table:
    """Every hypothesis with its p-values, and why nothing can be told where that is not for weak evidence alone."""
    ordered = found.correlations.assign(size=found.correlations["value"].abs()).sort_values(
        ["p_holm", "size"], ascending=[True, False], kind="stable"
    )
    rows = [
        {
            "quantity": one["quantity"],
            "gap": one["gap"],
            "over": one["scope"],
            "correlation": uncertain(one["value"], one["low"], one["high"], signed=True),
            "p": probability(one["p"]),
            "p (Holm)": probability(one["p_holm"]),
            "suites": one["suites"],
            "algorithms": one["algorithms"],
            "verdict": f"{one['verdict']}: {one['why']}" if one["why"] else one["verdict"],
        }
        for one in ordered.to_dict("records")
    ]
    return Table(
        name="hypotheses",
        title="All hypotheses",
        caption=f"p is counted over orders of suites, algorithms and splits, and corrected by Holm over {found.family} "
        "hypotheses.",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def predictions(found: Associations) -> Table | None:
    """How well each quantity tells the order in a suite that was not used; None where no suite can be left out."""
    if found.predictions.empty:
        return None
    table = found.predictions.sort_values("order", ascending=False, na_position="last", kind="stable")
    rows = [
        {
            "gap": gap,
            "predictor": one["predictor"],
            "order": number(one["order"], signed=True),
            "worst to best suite": MISSING
            if np.isnan(one["order"])
            else f"{number(one['order_low'], signed=True)} to {number(one['order_high'], signed=True)}",
            "right way": MISSING if np.isnan(one["order"]) else f"{one['right_way']:.0f} of {one['suites']}",
            "error": number(one["error"]),
        }
        for gap in found.gaps
        for one in table[table["gap"] == gap].to_dict("records")
    ]
    return Table(
        name="predictions",
        title="The order of the gaps in a suite that was not used",
        caption="Order: rank correlation of predicted and true gaps in the suite that was left out, mean over suites; "
        "right way: suites in which it is above 0. Error of the predicted ranks: 1 is that of the mean, which knows no "
        "order.",
        frame=pd.DataFrame(rows),
        labels=2,
    )


def variance(found: Associations) -> Table | None:
    """Components by gaps: the share of the variance, and the standard deviation; None where nothing is known."""
    if found.variance.empty:
        return None
    by_gap: dict[str, Any] = {
        str(gap): rows.set_index("component") for gap, rows in found.variance.groupby("gap", sort=False)
    }
    rows = [
        {"component": component}
        | {
            gap: f"{share(table.at[component, 'share'])} ({number(np.sqrt(table.at[component, 'variance']))})"
            if component in table.index
            else MISSING
            for gap, table in by_gap.items()
        }
        for component in (*COMPONENTS, EPISODES)
        if any(component in table.index for table in by_gap.values())
    ]
    return Table(
        name="variance",
        title="Where the variance of the gaps lies",
        caption="Share of the variance of the scaled gap of one run on one domain; in brackets the standard deviation. "
        "Episodes: the luck of the test episodes, which is taken out of the others. A component that could not be seen "
        "is 0.",
        frame=pd.DataFrame(rows),
    )


TABLES: dict[str, Callable[[Associations], Table | None]] = {
    "correlations": correlations,
    "predictions": predictions,
    "variance": variance,
    "hypotheses": hypotheses,
}


def said(found: Associations) -> list[str]:
    """What can be told, and what cannot, in sentences."""
    table = found.correlations
    claims = table[table["verdict"] != CANNOT_TELL]
    claims = claims.loc[claims["value"].abs().sort_values(ascending=False).index]
    size = f"{len(found.suites)} suites and {len(found.algorithms)} algorithms"
    if claims.empty:
        told = f"No quantity can be told to go with a gap: of {found.family} hypotheses on {size} none is significant."
    else:
        told = f"Of {found.family} hypotheses on {size}, {len(claims)} can be told. " + " ".join(
            f"{one['quantity']} {one['verdict'].replace('the gap', 'the ' + one['gap'])}, {one['scope']} "
            f"({uncertain(one['value'], one['low'], one['high'], signed=True)})."
            for one in claims.head(NAMED).to_dict("records")
        )
        told += f" The table has {len(claims) - NAMED} more." if len(claims) > NAMED else ""
    return [told, *_weak(found, claims), *_predicted(found)]


def _weak(found: Associations, claims: pd.DataFrame) -> Iterator[str]:
    table = found.correlations
    tested = table["p"].notna()
    few = int((tested & (table["why"] == TOO_FEW)).sum())
    if few:
        yield (
            f"Cannot tell: for {few} of the hypotheses there are too few suites and algorithms, whatever their values. "
            "So few can be put into so few orders that even the most extreme one is not rare."
        )
    rest = int(tested.sum()) - few - len(claims)
    if rest:
        yield (
            f"Cannot tell: for {rest} of the hypotheses the evidence is weak. That is no evidence that nothing goes "
            "together; the intervals say how strong it could be."
        )


def _predicted(found: Associations) -> Iterator[str]:
    """For each gap, the quantity that tells the order best, beside what knows no quantity."""
    known = found.predictions.dropna(subset="order")
    for gap, rows in known.groupby("gap", sort=False):
        by_predictor: Any = rows.set_index("predictor")
        ours = by_predictor.drop(index=[BY_ALGORITHM, MEAN], errors="ignore")
        if ours.empty:
            continue
        best = ours.loc[ours["order"].idxmax()]
        if best["order"] <= 0:
            yield f"In a suite that was not used, no quantity tells the order of the {gap}."
            continue
        base = (
            f"; {BY_ALGORITHM} has {number(by_predictor.at[BY_ALGORITHM, 'order'], signed=True)}"
            if BY_ALGORITHM in by_predictor.index
            else ""
        )
        yield (
            f"In a suite that was not used, the order of the {gap} is told best by {best.name}: rank correlation "
            f"{number(best['order'], signed=True)}, above 0 in {best['right_way']:.0f} of {best['suites']} "
            f"suites{base}. It is the best of many, and so looks better than it is."
        )


FIGURES: dict[str, tuple[Draw, str]] = {
    "correlations": (
        figures.correlations,
        f"Rank correlation of every quantity with every gap. Dots: {WITHIN}; squares: overall. Whiskers: 95% for new "
        "suites and algorithms. Dark: significant after the correction.",
    ),
    "strongest": (
        figures.strongest,
        "The strongest correlations within suites. Each point is an algorithm on one split of a suite, mean over "
        "seeds; both axes are ranks within the suite, from 0 to 1.",
    ),
}
"""Name -> how it is drawn, and its caption."""


def figure(found: Associations, name: str, narrow: bool = False) -> Figure | None:
    """A figure in the style of the page; None where no correlation could be computed."""
    if found.correlations["value"].isna().all():
        return None
    with theme.drawing():
        return FIGURES[name][0](found, styles(found), narrow)


def styles(found: Associations) -> dict[str, theme.Style]:
    """Of every algorithm of any suite."""
    together = {label: entry for suite in found.suites.values() for label, entry in suite.algorithms.items()}
    first = next(iter(found.suites.values()))
    return theme.styles(first.model_copy(update={"algorithms": together}))


def blocks(found: Associations) -> list[Block]:
    """The page from top to bottom."""
    made = [
        ("verdict", "findings", "", Prose(paragraphs=[[Phrase(text)] for text in said(found)], style="verdict")),
        ("notes", "findings", "", Prose(items=found.notes, style="notes")),
        ("correlations", "correlations", "", _drawn(found, "correlations")),
        ("correlations", "correlations", "", correlations(found)),
        ("strongest", "correlations", "", _drawn(found, "strongest")),
        ("hypotheses", "correlations", "All hypotheses", hypotheses(found)),
        ("predictions", "in-a-suite-that-was-not-used", "", predictions(found)),
        ("variance", "variance-of-the-gaps", "", variance(found)),
        ("meanings", "what-it-means", "", Prose(terms=MEANINGS)),
        ("suites", "what-was-used", "", Prose(terms=_suites(found))),
    ]
    return stacked(made, found.notes)


def render(found: Associations, made: list[Block]) -> str:
    """The page of these blocks as HTML."""
    about = [
        ("Suites", f"{len(found.suites)} suites"),
        ("Algorithms", f"{len(found.algorithms)} algorithms"),
        ("Quantities", f"{len(found.quantities)} quantities"),
        ("Gaps", ", ".join(found.gaps)),
    ]
    description = f"Suites: {', '.join(found.suites)}."
    return render_page(made, "What goes with the gap", description, about, styles(found))


def write(found: Associations, folder: Path) -> Path:
    """Write the page with its figures and tables, and return its path. Raises UserError where a file cannot be."""
    data = {name: getattr(found, name) for name in ("rows", "correlations", "predictions", "variance")}
    made = blocks(found)
    return write_page(render(found, made), made, data, folder)


def folder_of(out: Path, found: Associations) -> Path:
    """Where the page of these suites goes, whatever their order."""
    return out / FOLDER / folder_name_of(found.suites)


def print_associations(found: Associations, console: Console) -> None:
    """What can be told in sentences, the tables, and what a reader of the numbers should know."""
    for text in said(found):
        console.print(f"[bold]{escape(text)}[/]")
    for name in ("correlations", "predictions", "variance"):
        if (table := TABLES[name](found)) is not None:
            terminal.print_table(table, console)
    for note in found.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def as_json(found: Associations) -> dict:
    """All numbers as plain values."""
    frames = {name: getattr(found, name) for name in ("correlations", "predictions", "variance", "rows")}
    plain = {name: terminal.as_json(frame) for name, frame in frames.items()}
    return {"family": found.family, "findings": said(found), **plain, "notes": found.notes}


def _drawn(found: Associations, name: str) -> Drawn | None:
    return drawn(name, FIGURES[name][1], figure(found, name), figure(found, name, narrow=True))


def _suites(found: Associations) -> list[tuple[str, str]]:
    splits = found.rows.groupby("suite", sort=False)["split"].unique()
    return [
        (name, f"{suite.title}: {suite.shape()} {suite.kind}; {', '.join(splits[name])}. Gaps are divided by: {words}.")
        for name, suite in found.suites.items()
        for _, words in [found.spans[name]]
        if name in splits
    ]
