"""The tables of a sweep: scores, gaps and trends."""

from __future__ import annotations

import math

import pandas as pd

from metagap.analysis.grids import AVERAGE
from metagap.analysis.trends import SCORE, Trends
from metagap.report.computed import joined
from metagap.report.table import Table
from metagap.suite import Axis
from metagap.text import MISSING, number, probability

SLOPE = (
    "Slope: of the least-squares line through the values{scale}, computed run by run. Its 95% interval is the crossed "
    "one: it covers the slope of new training runs on new episodes. It is of a test alone, not corrected."
)
TREND = (
    "Trend: the test of a rise or fall of any shape by the contrast of Abelson and Tukey (1963), with the crossed "
    "standard error and two sides. p is corrected by Holm over the {family} trends that claims are made on: the score "
    "on unseen tasks of the training domain and on the other domains (their average), the task gap and the domain gap "
    "(average). Claims need three seeds."
)
ALONE = "p (trend): of the contrast of Abelson and Tukey (1963) for a rise or fall of any shape, not corrected."
FOUND = (
    "Can be claimed: the slope of a straight line that leads to a claim with a probability of 80%, at the first step "
    "of Holm's correction."
)


def step_of(axis: Axis) -> float:
    """What printed slopes are per: a doubling, or the power of ten that fits into the range of the values."""
    return 1.0 if axis.scale == "log" else 10.0 ** math.floor(math.log10(axis.values[-1] - axis.values[0]))


def per(axis: Axis) -> str:
    """The same in words."""
    return f"per doubling of {axis.name}" if axis.scale == "log" else f"per {step_of(axis):g} {axis.name}"


def measure(what: str, split: str) -> str:
    """What a row is about."""
    if split == AVERAGE:
        return "average score on the other domains" if what == SCORE else f"average {what}"
    return f"score on {split}" if what == SCORE else f"{what} to {split}"


def axis_of(found: Trends, key: str) -> Axis:
    """The swept key of that name."""
    return next(axis for axis in found.axes if axis.key == key)


def scores(found: Trends) -> Table | None:
    """The score on every split at every value, by algorithm."""
    return _points(found, "scores", found.points["what"] == SCORE, f"{found.metric.heading}. ")


def gaps(found: Trends) -> Table | None:
    """Every gap at every value, by algorithm."""
    lost = "Positive: generalization costs something. "
    return _points(found, "gaps", found.points["what"] != SCORE, f"In {found.metric.gap_unit}. {lost}")


def _points(found: Trends, name: str, mask: pd.Series, caption: str) -> Table | None:
    points = found.points[mask]
    if points.empty:
        return None
    keys = [axis.key for axis in found.axes]
    is_score = name == "scores"
    text = found.metric.score if is_score else found.metric.gap
    rows = []
    for (what, split, *values), part in points.groupby(["what", "split", *keys], sort=False):
        row = {"split": split} if is_score else {"gap": what, "split": split}
        row |= {axis.name: f"{value:g}" for axis, value in zip(found.axes, values, strict=True)}
        cells = {one["algorithm"]: text(one["value"], one["low"], one["high"]) for one in part.to_dict("records")}
        rows.append(row | {algorithm: cells.get(algorithm, MISSING) for algorithm in found.algorithms})
    order = {one: place for place, one in enumerate(dict.fromkeys((row.get("gap"), row["split"]) for row in rows))}
    rows.sort(key=lambda row: order[row.get("gap"), row["split"]])
    return Table(
        name=name,
        title="Scores" if is_score else "Gaps",
        caption=f"{caption}Mean over seeds, with the crossed 95% interval.",
        frame=pd.DataFrame(rows),
        labels=len(found.axes) + (1 if is_score else 2),
        computed="Value: the statistic over the episodes of each run, then the mean over the runs. The interval covers "
        "the value of new training runs on new episodes. “average” is the mean over the cross-domain splits.",
    )


def trends(found: Trends, claimed: bool = True) -> Table | None:
    """Slopes and trends of what claims are made on, or of everything else."""
    table = found.trends[(found.trends["family"] > 0) == claimed]
    if table.empty:
        return None
    several = len(found.axes) > 1
    rows = []
    for row in table.to_dict("records"):
        axis = axis_of(found, row["key"])
        step, text = step_of(axis), found.metric.score if row["what"] == SCORE else found.metric.gap
        shown = {"measure": measure(row["what"], row["split"]), "algorithm": row["algorithm"]}
        shown |= {"key": axis.name} if several else {}
        shown |= {
            "least": text(row["least"]),
            "greatest": text(row["greatest"]),
            "slope": found.metric.gap(step * row["slope"], step * row["low"], step * row["high"]),
            "p (slope)": probability(row["p"]),
        }
        if claimed:
            finds = step * row["detectable_claim"] * found.metric.gap_scale
            shown |= {"p (trend, Holm)": probability(row["p_holm"]), "verdict": row["verdict"]}
            shown |= {"can be claimed": number(finds, found.metric.decimals)}
        else:
            shown |= {"p (trend)": probability(row["p_trend"])}
        rows.append(shown)
    order = {name: place for place, name in enumerate(dict.fromkeys(row["measure"] for row in rows))}
    rows.sort(key=lambda row: order[row["measure"]])
    spaced = ", against their logarithms of base 2" if any(axis.scale == "log" for axis in found.axes) else ""
    units = "; ".join(f"{found.metric.gap_unit} {per(axis)}" for axis in found.axes)
    what = "what claims are made on" if claimed else "all other measures, without claims"
    return Table(
        name="trends" if claimed else "trends-others",
        title="Slopes and trends" if claimed else "Slopes and trends of other measures",
        caption=f"Of {what}. Least, greatest: at the least and the greatest value. Slope: {units}"
        f"{', averaged over the values of the other key' if several else ''}; positive: the score "
        "improves, or the gap grows.",
        frame=pd.DataFrame(rows),
        labels=3 if several else 2,
        plain=frozenset({"verdict"} if claimed else ()),
        computed=joined(
            SLOPE.format(scale=spaced),
            _paired(table),
            TREND.format(family=int(table["family"].max()))
            if claimed
            else "p (trend): of Abelson and Tukey's contrast.",
            FOUND if claimed else "",
        ),
    )


def _paired(table: pd.DataFrame) -> str:
    if table["paired"].all():
        return "All values met the same test episodes, and the slope is taken episode by episode."
    if not table["paired"].any():
        return "The values met other test episodes, which are independent of each other."
    return (
        "Where all values met the same test episodes, the slope is taken episode by episode; the episodes of the "
        "training classes are others for every value, and independent."
    )
