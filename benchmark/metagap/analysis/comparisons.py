"""Which of two algorithms generalizes better, by how much, and is the difference significant?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import nctdtrinc, ndtr

from metagap.analysis.gaps import DOMAIN_GAP, TASK_GAP, weighted_difference
from metagap.analysis.gaps.between import to_all_domains, to_new_tasks
from metagap.analysis.grids import AVERAGE, Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    LEVEL,
    Interval,
    Term,
    headline_estimate,
    headline_kind,
)
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.results import Results

MEANINGFUL = 0.75  # gamma, recommended by Bouthillier et al. 2021
IMPROVEMENT = "P(a > b)"
CANNOT_TELL = "cannot tell"
TOO_SMALL = "no meaningful difference"
TESTED = ("in-distribution", "cross-domain")
"""The roles of the splits on which claims are made."""
COLUMNS = [
    "a", "b", "split", "role", "statistic",
    "score_a", "score_b", "difference", "low", "high", "interval", "p",
    "improvement", "improvement_low", "improvement_high", "episode_wins",
    "seeds", "n_episodes", "p_holm", "family", "verdict",
]  # fmt: skip
GAP_COLUMNS = [
    "a", "b", "gap", "split", "statistic", "gap_a", "gap_b", "difference", "low", "high", "interval", "p",
    "seeds", "n_episodes", "p_holm", "family", "verdict",
]  # fmt: skip


class Comparisons(NamedTuple):
    """Pairs of algorithms: their scores and their gaps, as one family of hypotheses.

    Both tables have a row per pair and statistic, with columns

    - a, b; split; statistic; seeds and n_episodes that both have.
    - score_a, score_b of `scores`, and gap, gap_a, gap_b of `gaps`; difference: a - b, paired on episodes and seeds.
    - low, high, interval, p: of the difference, over new seeds and new episodes ("crossed"); with one seed over the
      episodes, "seeds not sampled". Not corrected.
    - p_holm, family: p corrected by Holm over all `family` hypotheses of the statistic, of both tables: the
      probability that any claim is false is at most 1 - level. nan below three seeds, for which nothing is claimed.
    - verdict: "<a> better" or "<a> smaller" (the gap) if p_holm < 1 - level, else "cannot tell".

    Attributes:
        scores: on each split, and (split "average") on average over the cross-domain splits of the suite's shape. Also
            improvement, improvement_low/high: P(a > b), the probability that one new training run of a beats one of b
            (Bouthillier et al. 2021, arXiv 2103.03098), see `probability_of_improvement`, NaN with one seed;
            episode_wins: share of (seed, episode) pairs in which a scores higher, ties counted half, NaN for the
            average. Where P(winner better) cannot exceed 0.75 the verdict is "no meaningful difference".
        gaps: the task gap, and the domain gap, averaged where there are several domains. A positive difference: a loses
            more. It is the interaction of algorithm and split, which a difference of scores does not show.
    """

    scores: pd.DataFrame
    gaps: pd.DataFrame


def compare(results: Results, a: str, b: str, split: str | None = None, level: float = LEVEL) -> Comparisons:
    """Algorithm `a` against `b` on every test split and the average (or only on `split`, then without gaps).

    The family is what is returned, for a pair that was chosen before its results were seen; `all_pairs` corrects for
    all pairs.

    Raises:
        UserError: for an unknown algorithm or split, or algorithms that share no seed and episode.
    """
    grids = Grids.of(results)
    for name in (a, b):
        if name not in grids.algorithms:
            raise UserError(f"unknown algorithm {name!r}: these results have {_listed(grids.algorithms)}")
    known = _with_average(grids, grids.splits.index)
    if split is not None and split not in known:
        raise UserError(f"unknown split {split!r}: these results have {_listed(known)}")
    splits = [split] if split is not None else _tested(grids)
    found = _family(grids, [(a, b)], splits, split is None, level)
    if found.scores.empty:
        seeds = {name: grids.seeds(name) for name in (a, b)}
        raise UserError(
            f"{a!r} (seeds {_listed(seeds[a])}) and {b!r} (seeds {_listed(seeds[b])}) share no seed and episode of "
            f"{_listed(splits)}: a comparison is paired, run both with the same seeds and splits"
        )
    return found


def all_pairs(results: Results | Grids, level: float = LEVEL) -> Comparisons:
    """Every pair of algorithms, each at its headline step, on every test split and on average: the family of a page.

    Pairs that share no seed are left out, and the tables are empty for a single algorithm.
    """
    grids = Grids.of(results)
    return _family(grids, list(combinations(grids.algorithms, 2)), _tested(grids), True, level)


def _tested(grids: Grids) -> list[str]:
    """What is claimed on: the splits of new tasks, and the average over the domains."""
    return _with_average(grids, grids.splits.index[grids.splits["role"].isin(TESTED)])


def _with_average(grids: Grids, splits: Iterable[str]) -> list[str]:
    """These splits, and the average over the domains where there are several."""
    return [*splits, *([AVERAGE] if len(grids.domains) > 1 else [])]


def probability_of_improvement(differences: np.ndarray, level: float = LEVEL) -> Interval:
    """P(a run of a beats a run of b), from the (S,) paired differences of S seeds.

    Bouthillier et al. 2021 count wins and take percentiles of a bootstrap, which needs about thirty runs (with three
    wins in three runs every resample wins). For normal differences P(a > b) = Phi(mean / sd), and mean / sd has an
    exact interval for every S >= 2: the noncentralities that put the paired t statistic at the tails. It lies above
    1/2 exactly when the paired t test over seeds says so. NaN for one seed; the share of wins (ties half) with [0, 1]
    if a difference is not finite or all are the same.
    """
    n = len(differences)
    wins = float(np.mean(np.sign(differences)) + 1) / 2
    if n < 2:
        return Interval(np.nan, np.nan, np.nan, IMPROVEMENT, n)
    spread = differences.std(ddof=1) if np.isfinite(differences).all() else np.nan
    if not spread > 1e-12 * np.abs(differences).max():  # nothing to learn a spread from
        return Interval(wins, 0.0, 1.0, IMPROVEMENT, n)
    effect = differences.mean() / spread
    t = np.clip(effect * np.sqrt(n), -1000, 1000)  # beyond, P is 0 or 1 to machine precision and the solver slows down
    low, high = ndtr(nctdtrinc(n - 1, [(1 + level) / 2, (1 - level) / 2], t) / np.sqrt(n))
    return Interval(float(ndtr(effect)), float(low), float(high), IMPROVEMENT, n)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): (k,) p-values -> (k,) corrected; NaN counts in the family and stays NaN."""
    # Not by statsmodels: it collects garbage at every call, a quarter of a second each in a process with torch.
    order = np.argsort(p)  # NaN last
    corrected = np.empty(len(p))
    with np.errstate(invalid="ignore"):
        steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
        corrected[order] = np.minimum(steps, 1)
    return corrected


def _family(
    grids: Grids, pairs: list[tuple[str, str]], splits: list[str], with_gaps: bool, level: float
) -> Comparisons:
    """The comparisons of these pairs, corrected over all of them."""
    scores = [
        {"a": a, "b": b, "split": split, "role": grids.role(split)} | _row(grids, terms, statistic, level)
        for a, b in pairs
        for split in splits
        if (terms := paired(grids, a, b, split))
        for statistic in grids.statistics
    ]
    gaps = [
        {"a": a, "b": b, "gap": gap, "split": split} | _gap_row(grids, terms, statistic, level)
        for a, b in (pairs if with_gaps else ())
        for gap, split, terms in gap_differences(grids, a, b)
        for statistic in grids.statistics
    ]
    frames = pd.DataFrame(scores, columns=COLUMNS), pd.DataFrame(gaps, columns=GAP_COLUMNS)
    together = pd.concat([frame[["statistic", "p", "seeds"]] for frame in frames], ignore_index=True)
    family = together[together["seeds"] >= CLAIMS_FROM].groupby("statistic")["p"]
    corrected = family.transform(lambda p: holm(p.to_numpy())).reindex(together.index)
    sizes = family.transform("size").reindex(together.index, fill_value=0)
    start = 0
    for frame, words in zip(frames, (_verdict, _gap_verdict), strict=True):
        part = slice(start, start + len(frame))
        frame["p_holm"], frame["family"] = corrected[part].to_numpy(float), sizes[part].to_numpy(int)
        frame["verdict"] = [words(row, level) for row in frame.to_dict("records")]
        start += len(frame)
    return Comparisons(*frames)


def paired(grids: Grids, a: str, b: str, split: str) -> list[Term]:
    """The difference of a and b on a split as one term, their average difference over the domains as several; or []."""
    domains = grids.domains if split == AVERAGE else [split]
    return weighted_difference(partial(grids.get, a), partial(grids.get, b), dict.fromkeys(domains, 1 / len(domains)))


def gap_differences(grids: Grids, a: str, b: str) -> Iterator[tuple[str, str, list[Term]]]:
    """(gap, split, terms that add up to the gap of a minus that of b) for the task gap and the domain gap."""
    read, minus = partial(grids.get, a), partial(grids.get, b)
    for split, terms, _ in to_new_tasks(grids, read, minus):
        yield TASK_GAP.name, split, terms
    for split, terms, _ in to_all_domains(grids, "in-distribution", read, minus):
        yield DOMAIN_GAP.name, split, terms


def _row(grids: Grids, terms: list[Term], statistic: str, level: float) -> dict:
    with np.errstate(invalid="ignore"):
        differences = np.sum([term.per_seed(statistic) for term in terms], axis=0)
    improvement = probability_of_improvement(differences, level)
    return _estimated(grids, terms, statistic, level, "score") | {
        "improvement": improvement.center,
        "improvement_low": improvement.low,
        "improvement_high": improvement.high,
        "episode_wins": _wins(terms[0]) if len(terms) == 1 else np.nan,
    }


def _gap_row(grids: Grids, terms: list[Term], statistic: str, level: float) -> dict:
    return _estimated(grids, terms, statistic, level, "gap")


def _estimated(grids: Grids, terms: list[Term], statistic: str, level: float, what: str) -> dict:
    """The values of both algorithms and their difference with its interval and p-value."""
    estimate = headline_estimate(terms, statistic, grids.metric.score_bounds)
    interval = estimate.interval(*headline_kind(terms), level)
    with np.errstate(invalid="ignore"):
        left, right = (
            np.sum([term.per_seed(statistic) for term in side], axis=0).mean()
            for side in zip(*(term.sides for term in terms), strict=True)
        )
    return {
        "statistic": statistic,
        f"{what}_a": left,
        f"{what}_b": right,
        "difference": interval.center,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.kind,
        "p": estimate.p_value(),
        "seeds": len(terms[0].values),
        "n_episodes": min(term.n_episodes for term in terms),
    }


def _wins(term: Term) -> float:
    a, b = (side.values for side in term.sides)
    return float(np.mean(a > b) + np.mean(a == b) / 2)


def _verdict(row: dict, level: float) -> str:
    if not row["p_holm"] < 1 - level:  # NaN too
        return CANNOT_TELL
    a_wins = row["difference"] > 0
    plausible = row["improvement_high"] if a_wins else 1 - row["improvement_low"]
    return f"{row['a'] if a_wins else row['b']} better" if plausible > MEANINGFUL else TOO_SMALL


def _gap_verdict(row: dict, level: float) -> str:
    if not row["p_holm"] < 1 - level:
        return CANNOT_TELL
    return f"{row['a'] if row['difference'] < 0 else row['b']} smaller"


def _listed(names: Iterable) -> str:
    return ", ".join(map(str, names))
