"""How scores and gaps change with the values of a sweep: an estimate at each value, the slope, and a test of a trend.

Slope and trend are contrasts of the values, with weights that add up to zero: each is computed run by run, so that its
interval is the crossed one, over new training runs and new episodes.

- The slope has the weights of the least-squares line through the values, or through their logarithms of base 2.
- The trend has those of Abelson and Tukey (1963), which of all contrasts lose least in the worst case if nothing is
  known but that the scores rise, or that they fall: a curve that levels off is found as well as a line.
- On a grid of two keys, the contrast of one key is averaged over the values of the other.

Where the values met the same test episodes, the contrast is taken episode by episode, and what makes an episode easy
for all values drops out. Where they did not (the test tasks themselves are swept), the values are independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.comparisons import CANNOT_TELL, holm
from metagap.analysis.gaps import DOMAIN_GAP, TASK_GAP, GapKind, gap_kinds, weighted
from metagap.analysis.grids import AVERAGE, STANDARD, Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    LEVEL,
    Array,
    Bounds,
    Estimate,
    Summand,
    Term,
    crossed_estimate,
    episodes_estimate,
    headline,
    headline_kind,
)
from metagap.analysis.joint import Joint
from metagap.analysis.power import POWER, plans_of, sampled
from metagap.analysis.variance import crossed_components
from metagap.errors import UserError
from metagap.suite import Axis, Values

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import Results, SweepResults

SCORE = "score"
WORDS = {True: ("improves", "worsens"), False: ("grows", "shrinks")}
"""Of scores and of gaps that rise and fall."""
POINT_COLUMNS = [
    "algorithm", "what", "split", "role", "statistic", "value", "low", "high", "interval", "seeds", "n_episodes",
]  # fmt: skip
TREND_COLUMNS = [
    "algorithm", "what", "split", "role", "statistic", "key", "values",
    "least", "greatest", "slope", "low", "high", "interval", "p", "p_trend", "p_holm", "family", "verdict",
    "detectable", "detectable_claim", "paired", "seeds", "n_episodes",
]  # fmt: skip


@dataclass(frozen=True)
class Trends:
    """The numbers of a sweep.

    Attributes:
        results: what they are made of.
        axes: the keys that are swept.
        algorithms: that have results, in the order of the suite.
        points: a row per member, algorithm and measure: a column for each key with its value, and value, low, high: the
            score on a split (`what` is "score"; split "average": over the cross-domain splits) or a gap (`what` is its
            name), in scores, with the crossed interval.
        trends: a row per algorithm, measure and key.

            - least, greatest: the measure at the least and at the greatest value of the key.
            - slope, low, high, interval, p: per unit of the key, or per doubling where its scale is "log", with the 95%
              interval and the p-value of a test alone.
            - p_trend: of the test of a trend alone; p_holm: corrected for the `family` of those that claims are made
              on, which are the score on unseen tasks of the training domain and on (the average of) other domains, the
              task gap and the (average) domain gap. nan elsewhere, and below three seeds.
            - verdict: if p_holm < 0.05, "improves" or "worsens" of a score and "grows" or "shrinks" of a gap; else
              "cannot tell", and empty where no claims are made.
            - detectable: the slope that the test of the slope alone finds with a probability of 80%;
              detectable_claim: the slope that leads to a claim with this probability at the first step of Holm's
              correction, the worst case.
            - paired: whether the values met the same test episodes.
        metric: of the scores.
        notes: sentences that a reader of the numbers should know.
    """

    results: SweepResults
    axes: tuple[Axis, ...]
    algorithms: list[str]
    points: pd.DataFrame
    trends: pd.DataFrame
    metric: Metric
    notes: list[str]

    @property
    def statistic(self) -> str:
        """What summarises the episodes."""
        return self.metric.statistic


def slope_weights(axis: Axis, values: Sequence[float] | None = None) -> Array:
    """Of the least-squares slope over the values of a key, per unit or per doubling, (K,)."""
    x = _positions(axis, axis.values if values is None else values)
    centered = x - x.mean()
    return centered / np.sum(centered**2)


def trend_weights(count: int) -> Array:
    """Abelson and Tukey's (1963) of an increasing trend over K ordered values, (K,): the maximin contrast."""
    k = np.arange(1, count + 1)
    return np.sqrt((k - 1) * (1 - (k - 1) / count)) - np.sqrt(k * (1 - k / count))


def _positions(axis: Axis, values: Sequence[float]) -> Array:
    x = np.asarray(values, dtype=float)
    return np.log2(x) if axis.scale == "log" else x


class _Shared(Grids):
    """The grids of a member, cut to the seeds that all members have of an algorithm."""

    def __init__(self, results: Results):
        super().__init__(results)
        self.kept: dict[str, list[int]] = {}

    def get(
        self,
        algorithm: str,
        split: str,
        condition: str = STANDARD,
        step: int | None = None,
        column: str = "query_score",
    ) -> pd.DataFrame | None:
        grid = super().get(algorithm, split, condition, step, column)
        kept = self.kept.get(algorithm)
        if grid is None or kept is None or list(grid.index) == kept:
            return grid
        found = grid.loc[[seed for seed in grid.index if seed in kept]]
        return None if found.empty else found


class _Measure(NamedTuple):
    """The score on a split, or a gap: what it is, and its terms."""

    what: str
    split: str
    role: str
    terms: list[Term]
    bounds: Bounds


def trends(found: SweepResults, level: float = LEVEL, detectable: bool = True) -> Trends:
    """The scores and gaps of all members of a sweep, and their trends.

    detectable: whether it is computed which slopes can be found, which takes most of the time.

    Raises UserError where headline metrics differ.
    """
    grids = {values: _Shared(results) for values, results in found.members.items()}
    metrics = {one.metric.name: one.metric for one in grids.values()}
    if len(metrics) > 1:
        raise UserError(f"the members of the sweep have different headline metrics: {', '.join(metrics)}")
    metric = next(iter(metrics.values()))
    algorithms = list(dict.fromkeys(name for one in grids.values() for name in one.algorithms))
    kinds, notes = gap_kinds()
    notes = [*found.notes, *(f"{note}." for note in notes)]
    for algorithm in algorithms:
        notes += _keep_shared_seeds(algorithm, grids)
    points, rows = [], []
    for algorithm in algorithms:
        measured: dict[tuple[str, str], dict[Values, _Measure]] = {}
        for values, one in grids.items():
            for measure in _measures(one, algorithm, kinds, notes):
                measured.setdefault((measure.what, measure.split), {})[values] = measure
                points.append(_point(found, values, algorithm, measure, metric.statistic, level))
        if _is_swept(algorithm, found):
            for by_values in measured.values():
                rows += _trend_rows(found, algorithm, by_values, metric.statistic, level)
    tested = _tested(next(iter(grids.values())))
    frame = pd.DataFrame(rows, columns=[*TREND_COLUMNS, "rise", "contrasts"])
    _judge(frame, tested, level)
    if detectable:
        _add_detectable(frame, level)
    columns = ["algorithm", *(axis.key for axis in found.axes), *POINT_COLUMNS[1:]]
    return Trends(
        found,
        found.axes,
        algorithms,
        pd.DataFrame(points, columns=columns),
        frame[TREND_COLUMNS],
        metric,
        list(dict.fromkeys(notes)),
    )


def _keep_shared_seeds(algorithm: str, grids: Mapping[Values, _Shared]) -> Iterator[str]:
    """Cut the grids of an algorithm to the seeds that all members with results of it have; yields what that leaves out.

    Members that lack the algorithm are no part of its trends.
    """
    seeds = {values: one.seeds(algorithm) for values, one in grids.items() if algorithm in one.algorithms}
    shared = sorted(reduce(set.intersection, map(set, seeds.values())))
    for one in grids.values():
        one.kept[algorithm] = shared
    every = sorted(set().union(*seeds.values()))
    if shared != every:
        left = ", ".join(str(seed) for seed in every if seed not in shared)
        yield f"Not every value has the same seeds of {algorithm}; seed {left} is left out."
    if len(seeds) < len(grids):
        yield f"{algorithm} has results of {len(seeds)} of {len(grids)} values only."


def _measures(grids: Grids, algorithm: str, kinds: Iterable[GapKind], notes: list[str]) -> Iterator[_Measure]:
    """The score on every split and on average over the domains, and every gap between splits that figures show."""
    bounds = grids.metric.score_bounds

    def read(split: str) -> pd.DataFrame | None:
        return grids.get(algorithm, split)

    domains = {AVERAGE: grids.domains} if len(grids.domains) > 1 else {}
    for split, parts in {**{str(name): [str(name)] for name in grids.plain}, **domains}.items():
        if terms := weighted(read, dict.fromkeys(parts, 1 / len(parts))):
            yield _Measure(SCORE, split, grids.role(split), terms, bounds)
    for kind in kinds:
        if kind.is_within or kind.unit != "score" or "figure" not in kind.shown_where:
            continue
        try:
            found = kind.compute(grids, algorithm)
            yield from [_Measure(kind.name, split, grids.role(split), terms, bounds) for split, terms, _ in found]
        except Exception as error:  # a plugin's
            notes.append(f"The gap '{kind.name}' cannot be computed: {type(error).__name__}: {error}.")


def _tested(grids: Grids) -> set[tuple[str, str]]:
    """(what, split) of what claims are made on."""
    home = grids.home("in-distribution")[:1]
    away = [AVERAGE] if len(grids.domains) > 1 else grids.domains
    return (
        {(SCORE, split) for split in [*home, *away]}
        | {(TASK_GAP.name, split) for split in home}
        | {(DOMAIN_GAP.name, split) for split in away}
    )


def _is_swept(algorithm: str, found: SweepResults) -> bool:
    """Whether the sweep changes anything of an algorithm: the cells of another one are the same at all values."""
    cells = [
        {(one.variant, hash) for hash in one.cells.loc[one.cells["algorithm"] == algorithm, "hash"]}
        for one in found.members.values()
        if (one.cells["algorithm"] == algorithm).any()
    ]
    return len(cells) > 1 and any(one != cells[0] for one in cells)


def _about(algorithm: str, measure: _Measure, statistic: str) -> dict[str, Any]:
    about = {"algorithm": algorithm, "what": measure.what, "split": measure.split, "role": measure.role}
    return {**about, "statistic": statistic}


def _point(
    found: SweepResults, values: Values, algorithm: str, measure: _Measure, statistic: str, level: float
) -> dict[str, Any]:
    """The measure at one member."""
    interval = headline(measure.terms, statistic, level, measure.bounds)
    row = {"value": interval.center, "low": interval.low, "high": interval.high, "interval": interval.kind}
    row |= {"seeds": len(measure.terms[0].values), "n_episodes": min(term.n_episodes for term in measure.terms)}
    keys = {axis.key: value for axis, value in zip(found.axes, values, strict=True)}
    return _about(algorithm, measure, statistic) | keys | row


def _trend_rows(
    found: SweepResults, algorithm: str, measured: Mapping[Values, _Measure], statistic: str, level: float
) -> Iterator[dict[str, Any]]:
    """A row per key: of a grid only where every member has the measure."""
    several = len(found.axes) > 1
    if len(measured) < 2 or (several and len(measured) < np.prod([len(axis.values) for axis in found.axes])):
        return
    first = next(iter(measured.values()))
    if any(_form(one) != _form(first) for one in measured.values()):
        return  # other domains are averaged over, or not all splits have the same seeds
    for place, axis in enumerate(found.axes):
        values = sorted({one[place] for one in measured})
        others = len(measured) // len(values)
        x = _positions(axis, values)
        slopes, steps = slope_weights(axis, values), trend_weights(len(values))

        slope, trend = (
            _contrast(measured, {one: float(weights[values.index(one[place])]) / others for one in measured}, found)
            for weights in (slopes, steps)
        )
        centers = {one: _center(measure, statistic) for one, measure in measured.items()}
        ends = [np.mean([centers[one] for one in centers if one[place] == value]) for value in (values[0], values[-1])]
        estimate, tested = _estimate(slope, statistic, first.bounds), _estimate(trend, statistic, first.bounds)
        kind, n = headline_kind(first.terms)
        interval = estimate.interval(kind, n, level)
        yield _about(algorithm, first, statistic) | {
            "key": axis.key,
            "values": len(values),
            "least": ends[0],
            "greatest": ends[1],
            "slope": interval.center,
            "low": interval.low,
            "high": interval.high,
            "interval": interval.kind,
            "p": estimate.p_value(),
            "p_trend": tested.p_value(),
            "rise": tested.center,
            "paired": all(isinstance(one, Joint) for one in slope),
            "seeds": len(first.terms[0].values),
            "n_episodes": min(one.n_episodes for one in slope),
            "contrasts": (slope, trend, float(steps @ x)),
        }


def _form(measure: _Measure) -> list[tuple[str, int]]:
    return [(term.of, len(term.values)) for term in measure.terms]


def _center(measure: _Measure, statistic: str) -> float:
    return float(np.sum([term.per_seed(statistic) for term in measure.terms], axis=0).mean())


def _contrast(
    measured: Mapping[Values, _Measure], weights: Mapping[Values, float], found: SweepResults
) -> list[Summand]:
    """The weighted sum of the measures: one summand for each of their terms whose episodes are the same everywhere."""
    summands: list[Summand] = []
    for terms in zip(*(one.terms for one in measured.values()), strict=True):
        sides = list(zip((weights[values] for values in measured), terms, strict=True))
        if _is_paired(terms, [found.members[values] for values in measured]):
            summands.append(Joint(tuple(sides)))
        else:
            summands += [term._replace(weight=weight * term.weight) for weight, term in sides if weight]
    return summands


def _is_paired(terms: Sequence[Term], members: Sequence[Results]) -> bool:
    """Whether these terms of all members are over the same episodes, as far as their records tell."""
    split = terms[0].of
    if not split or any(term.of != split or term.values.shape != terms[0].values.shape for term in terms):
        return False
    met = {one.met.get(split) for one in members}
    return len(met) == 1 and None not in met


def _estimate(summands: Sequence[Summand], statistic: str, bounds: Bounds) -> Estimate:
    several = len(summands[0].per_seed("mean")) > 1
    return (crossed_estimate if several else episodes_estimate)(summands, statistic, bounds=bounds)


def _judge(frame: pd.DataFrame, tested: set[tuple[str, str]], level: float) -> None:
    """Fill in what depends on the whole family: corrected p-values and verdicts."""
    claimed = np.array([pair in tested for pair in zip(frame["what"], frame["split"], strict=True)], dtype=bool)
    enough = claimed & (frame["seeds"].to_numpy(float) >= CLAIMS_FROM)
    family = int(claimed.sum())
    p = np.where(enough, frame["p_trend"].to_numpy(float), np.nan)
    corrected = np.full(len(frame), np.nan)
    corrected[claimed] = holm(p[claimed])
    frame["p_holm"], frame["family"] = corrected, np.where(claimed, family, 0)
    frame["verdict"] = [_verdict(row, level) for row in frame.to_dict("records")]


def _verdict(row: Mapping[Any, Any], level: float) -> str:
    if not row["family"]:
        return ""
    rises, falls = WORDS[row["what"] == SCORE]
    return CANNOT_TELL if not row["p_holm"] < 1 - level else rises if row["rise"] > 0 else falls


def _add_detectable(frame: pd.DataFrame, level: float) -> None:
    """Which slopes can be found."""
    found = [
        (
            _detectable(row, 1 - level),
            _detectable(row, (1 - level) / row["family"], claim=True) if row["family"] else np.nan,
        )
        for row in frame.to_dict("records")
    ]
    frame[["detectable", "detectable_claim"]] = np.array(found, dtype=float).reshape(-1, 2)


def _detectable(row: Mapping[Any, Any], alpha: float, claim: bool = False) -> float:
    """The slope that is found with a probability of `POWER` by the test of the slope, or of the trend (claim)."""
    slope, trend, reach = row["contrasts"]
    if row["seeds"] < CLAIMS_FROM:
        return np.nan
    found = crossed_components(trend if claim else slope, row["statistic"])
    plans = plans_of(found, row["seeds"])
    if plans is None:
        return np.nan
    return sampled(plans[0], row["seeds"], found.episodes).detectable(POWER, alpha) / (reach if claim else 1)
