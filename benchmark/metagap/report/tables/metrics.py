"""The scores in the metrics after the headline one."""

from __future__ import annotations

import pandas as pd

from metagap.analysis.grids import STANDARD
from metagap.metrics import Metric
from metagap.report.computed import interval_computed, joined
from metagap.report.frames import STATISTICS, Frames, interval_words, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def metrics(frames: Frames) -> Table | None:
    """A row for each further metric and algorithm, a column for each split; None where there is one metric only."""
    if not frames.further:
        return None
    groups = {name: role for role, names in frames.split_groups() for name in names}
    labels = {name: frames.split_label(name) for name in groups}
    rows = [
        {"metric": f"{metric.label}{f' ({metric.unit})' if metric.unit else ''}", "algorithm": algorithm} | cells
        for metric in frames.metrics[1:]
        for algorithm, cells in _rows(frames, metric, labels).items()
    ]
    means = "; ".join(f"{metric.label}: {STATISTICS[metric.statistic]}, {metric.better} is better" for metric in
                      frames.metrics[1:])  # fmt: skip
    return Table(
        title="Further metrics",
        name="metrics",
        caption=f"At the headline inner step, with the 95% {interval_words(_scores(frames))}. "
        f"{means[0].upper()}{means[1:]}.",
        frame=pd.DataFrame(rows, columns=["metric", "algorithm", *labels.values()]),
        groups={labels[name]: role for name, role in groups.items()},
        labels=2,
    )


def _rows(frames: Frames, metric: Metric, labels: dict[str, str]) -> dict[str, dict[str, str]]:
    """Algorithm -> the label of each split -> the score in this metric as text."""
    table = frames.in_metric("scores", metric)
    table = table[(table["condition"] == STANDARD) & (table["statistic"] == metric.statistic)]
    cells = values_by(table, ["algorithm", "split"], ["score", "low", "high"])
    return {
        algorithm: {
            label: metric.score(*cells[algorithm, name]) if (algorithm, name) in cells else MISSING
            for name, label in labels.items()
        }
        for algorithm in frames.algorithms
    }


def _scores(frames: Frames) -> pd.DataFrame:
    """The rows of all further metrics."""
    tables = [frames.in_metric("scores", metric) for metric in frames.metrics[1:]]
    rows = pd.concat(tables, ignore_index=True)
    return rows[rows["condition"] == STANDARD]


def computed(frames: Frames) -> str:
    """How the numbers come about."""
    return (
        joined(interval_computed(_scores(frames)), "Metrics after the first are not tested.") if frames.further else ""
    )


METRICS = TableKind(
    name="metrics", section="scores", heading="Further metrics", make=metrics, terminal=metrics, computed=computed
)
