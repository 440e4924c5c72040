"""The page of a comparison across suites: tables, figures and words, and the same tables on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.markup import escape

from metagap import digests
from metagap.analysis.across_suites import AcrossSuites
from metagap.analysis.ranks import RankTest
from metagap.report import terminal, theme
from metagap.report.figures import across_suites as figures
from metagap.report.page import Block, Drawn, drawn, render_page, stacked, write_page
from metagap.report.panels import Phrase, Prose
from metagap.report.table import Table
from metagap.text import number, probability, uncertain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

FOLDER = "compare-suites"
LONGEST = 80
"""Characters of a folder that is named by its suites; of more, by the first one and a digest of all."""

Draw = Callable[[AcrossSuites, dict[str, theme.Style], bool], "Figure"]

MEANINGS = [
    ("mean rank", "In each suite the algorithms are ranked by their scores, 1 the best; ties share their mean rank."),
    (
        "test",
        "Iman and Davenport's F of the ranks, of “all algorithms are equal”. p: the share of shufflings of the ranks "
        "within the suites whose F is as great.",
    ),
    (
        "critical difference",
        "Nemenyi: a pair of algorithms differs significantly if the test is significant and their mean ranks are "
        "further apart than this (Demšar 2006).",
    ),
    (
        "normalised score",
        "0 is guessing, or the worst value of a metric that has no guessing; 1 is the best value there is. For "
        "accuracy with N ways: (accuracy − 1/N) / (1 − 1/N).",
    ),
    (
        "IQM",
        "The interquartile mean: the mean of the middle half of all runs of all suites, each suite with the same "
        "weight (Agarwal et al. 2021).",
    ),
    (
        "interval, band",
        "New training runs on these very suites, at 95%: a bootstrap that resamples the seeds of each suite. It says "
        "nothing about other suites.",
    ),
    ("performance profile", "The share of runs with a normalised score above τ, averaged over suites."),
]


def ranks(found: AcrossSuites) -> Table:
    """Every algorithm with its mean rank and its IQM, the best rank first."""
    rows = [
        {
            "algorithm": row["algorithm"],
            "mean rank": number(row["rank"]),
            "IQM": uncertain(row["iqm"], row["low"], row["high"]),
        }
        for row in found.aggregates.to_dict("records")
    ]
    scaled = "" if found.profiles.empty else " IQM: of the normalised scores, with the 95% interval over seeds."
    frame = pd.DataFrame(rows)
    return Table(
        name="ranks",
        title=f"Mean ranks over {found.test.suites} suites, {found.on}",
        caption=f"Test of all algorithms: {_result(found.test)}. Critical difference of mean ranks: "
        f"{found.test.critical_difference:.2f}.{scaled}",
        frame=frame if scaled else frame.drop(columns="IQM"),
    )


def pairs(found: AcrossSuites) -> Table:
    """Every pair of algorithms, Nemenyi's test."""
    rows = [
        {
            "first": row["a"],
            "second": row["b"],
            "difference of mean ranks": number(row["rank_difference"], signed=True),
            "p (Nemenyi)": probability(row["p"]),
            "verdict": row["verdict"],
        }
        for row in found.test.pairs.to_dict("records")
    ]
    return Table(
        name="pairs",
        title="Pairs of algorithms",
        caption="Rank of the first minus rank of the second: negative where the first is better. p is corrected for "
        f"all pairs. A verdict needs a difference of more than {found.test.critical_difference:.2f} and a significant "
        "test of all algorithms.",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"verdict"}),
    )


def scores(found: AcrossSuites) -> Table:
    """Suites by algorithms: the score and the rank, the best in bold."""
    rows, best = [], set()
    for place, (name, metric) in enumerate(found.metrics.items()):
        here: Any = found.scores[found.scores["suite"] == name].set_index("algorithm")
        unit = f" ({metric.unit})" if metric.unit else ""
        row = {"suite": name, "metric": f"{metric.label}{unit}", "seeds": _range(here["seeds"])}
        for label in found.algorithms:
            row[label] = f"{metric.score(here.at[label, 'score'])} ({here.at[label, 'rank']:g})"
            if here.at[label, "rank"] == here["rank"].min():
                best.add((place, label))
        rows.append(row)
    return Table(
        name="scores",
        title="Scores",
        caption=f"{_what(found)}, mean over seeds; in brackets the rank in this suite. Bold: the best.",
        frame=pd.DataFrame(rows),
        best=frozenset(best),
    )


TABLES = {"ranks": ranks, "pairs": pairs, "scores": scores}


def said(found: AcrossSuites) -> str:
    """The result of the test of all algorithms, and who is better than whom."""
    test = found.test
    f = _result(test)
    if test.p >= 0.05:
        return f"No difference between the {len(test.ranks)} algorithms can be told ({f})."
    told = [f"{row['a']} than {row['b']}" for row in test.pairs.to_dict("records") if row["verdict"].endswith("better")]
    ranked = f"Better are {', '.join(told)}." if told else "Which ones, the ranks of pairs do not tell."
    return f"The {len(test.ranks)} algorithms are not all equal ({f}). {ranked}"


def styles(found: AcrossSuites) -> dict[str, theme.Style]:
    """Of every algorithm, as in the report of the first suite if that had these alone."""
    first = next(iter(found.suites.values()))
    chosen = {name: entry for name, entry in first.algorithms.items() if name in found.algorithms}
    return theme.styles(first.model_copy(update={"algorithms": chosen}))


FIGURES: dict[str, tuple[Draw, str, bool]] = {
    "critical-difference": (
        figures.critical_difference,
        "Mean rank of every algorithm, the best on the left. A bar joins algorithms that are not significantly "
        "different.",
        False,
    ),
    "iqm": (
        figures.interquartile_means,
        "Interquartile mean of the normalised scores of all runs. Whiskers: 95% interval over seeds.",
        True,
    ),
    "profiles": (
        figures.profiles,
        "The share of runs with a normalised score above τ, averaged over suites. Bands: 95% over seeds, at each τ by "
        "itself.",
        True,
    ),
}
"""Name -> how it is drawn, its caption, and whether it needs normalised scores."""


def figure(found: AcrossSuites, name: str, narrow: bool = False) -> Figure | None:
    """A figure in the style of the page; None where there are no normalised scores for it."""
    draw, _, needs_scale = FIGURES[name]
    if needs_scale and found.profiles.empty:
        return None
    with theme.drawing():
        return draw(found, styles(found), narrow)


def blocks(found: AcrossSuites) -> list[Block]:
    """The page from top to bottom."""
    made = [
        ("verdict", "findings", "", Prose(paragraphs=[[Phrase(said(found))]], style="verdict")),
        ("ranks", "findings", "", ranks(found)),
        ("notes", "findings", "", Prose(items=found.notes, style="notes")),
        ("critical-difference", "ranks", "", _drawn(found, "critical-difference")),
        ("pairs", "ranks", "", pairs(found)),
        ("iqm", "normalised-scores", "", _drawn(found, "iqm")),
        ("profiles", "normalised-scores", "", _drawn(found, "profiles")),
        ("scores", "scores-in-each-suite", "", scores(found)),
        ("meanings", "what-it-means", "", Prose(terms=MEANINGS)),
        ("suites", "what-was-compared", "", Prose(terms=_suites(found))),
    ]
    return stacked(made, found.notes)


def render(found: AcrossSuites, made: list[Block]) -> str:
    """The page of these blocks as HTML."""
    about = [
        ("Suites", f"{len(found.suites)} suites"),
        ("Algorithms", f"{len(found.algorithms)} algorithms"),
        ("Seeds", f"{_range(found.scores['seeds'])} seeds"),
        ("Scores", f"{found.on} splits"),
    ]
    description = f"Suites: {', '.join(found.suites)}."
    title = f"Algorithms across {len(found.suites)} suites"
    return render_page(made, title, description, about, styles(found))


def write(found: AcrossSuites, folder: Path) -> Path:
    """Write the page with its figures and tables, and return its path. Raises UserError where a file cannot be."""
    data = {
        "scores": found.scores,
        "runs": found.runs,
        "pairs": found.test.pairs,
        "aggregates": found.aggregates,
        "profiles": found.profiles,
    }
    made = blocks(found)
    return write_page(render(found, made), made, data, folder)


def folder_of(out: Path, found: AcrossSuites) -> Path:
    """Where the page of these suites goes, whatever their order."""
    joined = folder_name_of(found.suites)
    return out / FOLDER / (joined if found.on == "cross-domain" else f"{joined}-{found.on}")


def folder_name_of(suites: Iterable[str]) -> str:
    """The name of the folder of a page of these suites, whatever their order."""
    names = sorted(suites)
    joined = "+".join(names)
    if len(joined) > LONGEST:
        joined = f"{names[0][: LONGEST // 2]}+{len(names) - 1}-others-{digests.of_text(joined)[:8]}"
    return joined


def print_across(found: AcrossSuites, console: Console) -> None:
    """The result in a sentence, every table, and what a reader of the numbers should know."""
    console.print(f"[bold]{escape(said(found))}[/]")
    for make in TABLES.values():
        terminal.print_table(make(found), console)
    for note in found.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def as_json(found: AcrossSuites) -> dict:
    """All numbers as plain values."""
    test = found.test
    numbers = {"suites": test.suites, "F": test.statistic, "p": test.p, "p_f_distribution": test.p_f}
    numbers |= {"df1": test.freedom[0], "df2": test.freedom[1], "critical_difference": test.critical_difference}
    frames = {
        "algorithms": found.aggregates,
        "pairs": test.pairs,
        "scores": found.scores,
        "runs": found.runs,
        "profiles": found.profiles,
    }
    plain = {name: terminal.as_json(frame) for name, frame in frames.items()}
    return {"test": terminal.as_json(pd.DataFrame([numbers]))[0], **plain, "notes": found.notes}


def _result(test: RankTest) -> str:
    a, b = test.freedom
    return f"F({a}, {b}) = {number(test.statistic)}, p = {probability(test.p)}".replace("= <", "< ")


def _drawn(found: AcrossSuites, name: str) -> Drawn | None:
    return drawn(name, FIGURES[name][1], figure(found, name), figure(found, name, narrow=True))


def _suites(found: AcrossSuites) -> list[tuple[str, str]]:
    return [
        (name, f"{suite.title}: {suite.shape()} {suite.kind}; {', '.join(found.splits[name])}")
        for name, suite in found.suites.items()
    ]


def _what(found: AcrossSuites) -> str:
    if found.on == "cross-domain":
        return "Mean over the cross-domain splits of the suite's own ways and shots"
    return "Score on the in-distribution split"


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low}–{high}"
