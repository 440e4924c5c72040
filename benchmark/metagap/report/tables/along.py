"""Along training: when gaps open, what the choice of an iteration costs, and the recorded quantities at the end."""

from __future__ import annotations

import itertools
import math
from functools import partial
from operator import itemgetter

import pandas as pd

from metagap.analysis.along.openings import NEVER, OPENS, REVERSED, TOO_FEW
from metagap.analysis.along.selection import COSTS, LAST, ORACLE, VALIDATION
from metagap.report.along import quantity_splits
from metagap.report.computed import interval_computed, joined
from metagap.report.frames import STATISTICS, Frames, interval_words, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING, uncertain

GRID = (
    "A grid of checkpoints bounds an opening from above only: between two checkpoints nothing is known, and a gap may "
    "have opened earlier and not have been told from zero. “Not shown” does not mean that there is no gap."
)


def openings(frames: Frames) -> Table | None:
    """Gap and split by algorithm: the iteration by which it opens; None without checkpoints."""
    table = frames.headline_rows(frames.along.openings)
    if (table["verdict"] == TOO_FEW).all():  # also of an empty table
        return None
    cells = values_by(table, ["gap", "split", "algorithm"], ["verdict", "opens", "opens_together"])
    names = [name for name in frames.suite.algorithms if name in set(table["algorithm"])]
    rows = [
        {"gap": gap, "split": frames.gap_row(split)}
        | {name: _opening(*cells[gap, split, name]) if (gap, split, name) in cells else MISSING for name in names}
        for gap, split in dict.fromkeys(zip(table["gap"], table["split"], strict=True))
    ]
    return Table(
        name="openings",
        title="Along training: when gaps open",
        caption="The iteration by which a gap opens: from there on its 95% "
        f"{interval_words(table)} excludes zero at every checkpoint. In brackets: the same by simultaneous intervals, "
        "which hold at all checkpoints at once. “Not shown”: not within the budget.",
        frame=pd.DataFrame(rows, columns=["gap", "split", *names]),
        labels=2,
    )


def _opening(verdict: str, opens: float, together: float) -> str:
    if verdict not in (OPENS, REVERSED):
        return "not shown" if verdict == NEVER else MISSING
    word = "by" if verdict == OPENS else "negative from"
    return f"{word} {opens:,.0f} ({'not shown' if math.isnan(together) else f'{together:,.0f}'})"


def openings_computed(frames: Frames) -> str:
    """How the openings come about."""
    table = frames.headline_rows(frames.along.openings)
    counts = sorted(set(table["checkpoints"]))
    number = " or ".join(map(str, counts))
    return joined(
        "Checkpoints are tested from the last one back, each with its 95% interval, until one includes zero: a fixed "
        "sequence of tests, which names an iteration at which the gap was zero in at most 5% of repetitions. In "
        f"brackets: intervals that hold at all {number} checkpoints of a curve at once (Bonferroni: each of the level "
        f"1 − 0.05 / {number}). Both are about the checkpoints of one curve, not about the {len(table)} curves of this "
        "page.",
        GRID,
        interval_computed(table, "the gap"),
    )


def costs(frames: Frames) -> Table | None:
    """Split and rule by algorithm: what it loses against the best iteration on the target; None without any."""
    table = frames.headline_rows(frames.along.costs)
    if table.empty:
        return None
    names = [name for name in frames.suite.algorithms if name in set(table["algorithm"])]
    cells = values_by(table, ["split", "rule", "algorithm"], ["cost", "low", "high", "verdict"])
    rows, bold = [], set()
    for split, rule in dict.fromkeys(zip(table["split"], table["rule"], strict=True)):
        row = {"split": frames.split_label(split), "selected": rule}
        for name in names:
            *values, verdict = cells.get((split, rule, name), [math.nan] * 4)
            row[name] = frames.metric.gap(*values)
            if verdict == COSTS:
                bold.add((len(rows), name))
        rows.append(row)
    family = int(table["family"].max())
    claims = f"Bold: it costs something, at p < 0.05 after Holm's correction over all {family}." if family else ""
    return Table(
        name="selection-costs",
        title="Along training: what the selection of an iteration costs",
        caption=f"In {frames.metric.gap_unit}: the score at the iteration that is {ORACLE}, minus that at the selected "
        f"one, with the 95% {interval_words(table)}. {claims}".strip(),
        frame=pd.DataFrame(rows, columns=["split", "selected", *names]),
        labels=2,
        best=frozenset(bold),
    )


def costs_computed(frames: Frames) -> str:
    """How the costs come about."""
    table = frames.headline_rows(frames.along.costs)
    return joined(
        f"“{LAST}”: the last checkpoint. “{VALIDATION}”: of each run, the checkpoint with the best "
        f"{STATISTICS[frames.metric.statistic]} over all its validation episodes here; the untrained start counts "
        "as one.",
        f"The checkpoint that is {ORACLE} is cross-fitted: chosen on every second episode of the target, scored on the "
        "others, both ways, so that it is not favoured by the luck of the episodes that it was chosen on. As it is "
        "chosen on half of them it can miss the best one, and where checkpoints hardly differ a cost can be negative.",
        "Costs are paired: the same runs, the same episodes. An iteration between two checkpoints is seen by none.",
        interval_computed(table, "the cost"),
    )


def selected(frames: Frames) -> Table | None:
    """The iteration that each run selected, next to the checkpoint that is best on validation; None without any."""
    table = frames.headline_rows(frames.along.selected)
    if table.empty:
        return None
    rows = []
    for name, runs in table.groupby("algorithm", sort=False):
        same, count = int(runs["same"].sum()), len(runs)
        rows.append(
            {
                "algorithm": name,
                "how": ", ".join(dict.fromkeys(runs["selection"])),
                "selected by the run": _iterations(runs["selected"]),
                "best checkpoint on validation": _iterations(runs["validation"]),
                "the same": f"{same} of {count}",
            }
        )
    return Table(
        name="selected-iterations",
        title="Along training: selected iterations",
        caption="The iteration that each run selected in training, seed by seed, and the checkpoint that is best on "
        "the validation tasks here.",
        frame=pd.DataFrame(rows),
        plain=frozenset({"how"}),
        computed="A run validates at iterations and on episodes of its own, so that the two need not be the same; they "
        "cannot be where it validates at iterations that are no checkpoints.",
    )


def _iterations(values: pd.Series) -> str:
    return ", ".join(f"{value:,}" for value in values)


def quantities(frames: Frames, every: bool = False) -> Table | None:
    """Quantity and split by algorithm, at the end of meta-training; None without any.

    every: on all splits where there are more than the table of new tasks and new domains has; without, that table.
    """
    table = frames.along.measured
    shown = table[table["split"].isin(itertools.chain(*quantity_splits(frames, table)))]
    if (every and len(shown) == len(table)) or not len(shown):
        return None
    table = table if every else shown
    cells = values_by(table, ["quantity", "split", "algorithm"], ["value", "low", "high"])
    names = [name for name in frames.suite.algorithms if name in set(table["algorithm"])]
    rows = [
        {"quantity": quantity, "split": frames.gap_row(split) if split else "whole run"}
        | {name: measured(*cells.get((quantity, split, name), [math.nan] * 3)) for name in names}
        for quantity, split in sorted(
            dict.fromkeys(zip(table["quantity"], table["split"], strict=True)), key=itemgetter(0)
        )
    ]
    return Table(
        name="quantities-everywhere" if every else "quantities",
        title="Recorded quantities on every split" if every else "Recorded quantities",
        caption="Recorded quantities at the last iteration at which they were measured. 95% interval over the runs.",
        frame=pd.DataFrame(rows, columns=["quantity", "split", *names]),
        labels=2,
        computed="Value: the mean over the episodes of each run, then over the runs. Interval: t over the S values of "
        "the runs, with S − 1 degrees of freedom: new training runs on these episodes. “–”: it does not apply, or "
        "could not be measured; the notes say why. “metagap show NAME” says what a quantity is.",
    )


def measured(value: float, low: float, high: float) -> str:
    """A number of any size, to three digits, with its interval."""
    if not math.isfinite(value) or value == 0:
        return uncertain(value, low, high)
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        half = "" if math.isnan(high - low) else f" ± {(high - low) / 2:.0e}"
        return f"{value:.1e}{half}".replace("-", "−")
    return uncertain(value, low, high, decimals=max(0, 2 - size))


OPENINGS = TableKind(name="openings", section="training", make=openings, terminal=openings, computed=openings_computed)
COSTS_OF_SELECTION = TableKind(
    name="selection-costs",
    section="training",
    heading="Which iteration to take",
    make=costs,
    computed=costs_computed,
)
SELECTED = TableKind(name="selected-iterations", section="training", make=selected)
QUANTITIES = TableKind(name="quantities", section="training", make=quantities)
QUANTITIES_EVERYWHERE = TableKind(
    name="quantities-everywhere",
    section="training",
    make=partial(quantities, every=True),
    folded="Recorded quantities on every split",
)
