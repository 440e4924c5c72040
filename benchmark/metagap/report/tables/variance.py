"""Where the uncertainty of the scores comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metagap.analysis.variance import CLASSES, COMPONENTS, INTERACTION, QUERIES
from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING, number, share


def variance(frames: Frames) -> Table | None:
    """One row for each algorithm and split, one column for each source of variance; None where no score has seeds."""
    table = frames.variance
    if table.empty:
        return None
    names = [name for name in COMPONENTS if name in set(table["component"])]
    rows = []
    for _, part in frames.ordered(table).groupby(["split", "algorithm"], sort=False):
        row = {"split": frames.split_label(part["split"].iloc[0]), "algorithm": part["algorithm"].iloc[0]}
        row |= {"seeds": str(part["seeds"].iloc[0]), "episodes": f"{part['n_episodes'].iloc[0]:,}"}
        rows.append(row | {one["component"]: _cell(frames, one) for one in part.to_dict("records")})
    metric = frames.metric
    scale = f" ({metric.gap_unit})" if metric.gap_unit else ""
    caption = (
        f"Standard deviation{scale} of what each source does to the score of one training run on one episode, and its "
        "share of the variance of the mean score. If seeds have the largest share, more training runs make the score "
        "more certain, else more episodes. Shares are hardly known from few seeds. 0*: the estimate was negative, so "
        "that the source is too small to be seen."
    )
    if frames.is_robust:
        caption += f" They are those of the {frames.statistic_name}, scaled to one episode."
    if CLASSES in names:
        caption += f" {CLASSES}: all classes of an episode together."
    if QUERIES in names:
        caption += (
            f" {QUERIES}: the luck of the queries of one episode, at most; {INTERACTION}: that some runs find some "
            "episodes easier, at least. Luck that the runs share, for they meet the same queries, counts as episode."
        )
    frame = pd.DataFrame(rows, columns=["split", "algorithm", "seeds", "episodes", *names]).fillna(MISSING)
    return Table(name="variance", title="Sources of variance", caption=caption, frame=frame, labels=2)


def _cell(frames: Frames, one: dict) -> str:
    if one["negative"]:
        return "0*"
    sd = number(float(np.sqrt(one["variance"])) * frames.metric.gap_scale, max(2, frames.metric.decimals))
    return f"{sd} ({share(one['share'])})" if one["share"] == one["share"] else sd


COMPUTED = (
    "Analysis of variance of two crossed factors (Searle, Casella and McCulloch 1992). Episodes: the covariance of two "
    "runs over the episodes. Rest: what is left of the variance of the episodes of a run. Seeds: the variance between "
    "the runs, less what the rest explains of it. Classes: a random effect of the episodes that hold them, taken out "
    "of the episodes. Queries: the binomial variance of a share of right answers, p (1 − p) / (Q − 1), taken out of "
    "the rest. A share is that of the variance of the mean score, for as many seeds and episodes as there were. "
    "Nothing is tested."
)
VARIANCE = TableKind(
    name="variance",
    section="intervals",
    make=variance,
    folded="Where the uncertainty of the scores comes from",
    computed=COMPUTED,
)
