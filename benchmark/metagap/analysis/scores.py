"""The score of every algorithm on every split, with all its intervals; and the curves over inner steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap import conditions
from metagap.analysis.classes import over_classes
from metagap.analysis.grids import STANDARD, Grids
from metagap.analysis.intervals import (
    DISJOINT,
    LEVEL,
    Interval,
    Term,
    headline,
    over_disjoint_tasks,
    over_episodes,
    over_seeds,
    summarise,
)

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import Results

SCORE_COLUMNS = [
    "algorithm", "split", "role", "condition", "ways", "shots", "step", "metric", "statistic",
    "score", "low", "high", "interval",
    "seeds_low", "seeds_high", "episodes_low", "episodes_high",
    "disjoint_score", "disjoint_low", "disjoint_high", "classes_low", "classes_high",
    "seeds", "n_episodes", "diverged", "finite_mean",
]  # fmt: skip
STEP_COLUMNS = [
    "algorithm", "split", "role", "condition", "ways", "shots", "step", "metric", "statistic",
    "score", "low", "high", "interval", "support_score", "seeds", "n_episodes", "diverged",
]  # fmt: skip
RUN_COLUMNS = [
    "algorithm", "seed", "split", "role", "condition", "ways", "shots", "step", "metric", "statistic",
    "score", "sd", "n_episodes", "diverged",
]  # fmt: skip


def score_table(results: Results | Grids, level: float = LEVEL, metric: Metric | None = None) -> pd.DataFrame:
    """One row per algorithm x split x condition x statistic, at the algorithm's headline inner step.

    metric: any that was recorded; default: the headline metric. The score is its value with the sign turned where lower
    is better, such as accuracy or -MSE; a statistic is taken over the episodes of each seed, then averaged over seeds.

    - low, high, interval: the headline, "crossed" (new training runs and new episodes) if there are at least two seeds,
      else over "episodes".
    - seeds_low/high: new training runs on these episodes (NaN for one seed).
    - episodes_low/high: of the score averaged over the seeds, episode by episode: new episodes for these very runs. The
      mean of per-run intervals would ignore that averaging runs averages noise.
    - disjoint_score, disjoint_low, disjoint_high: from the condition "open" of the same split, whose tasks share no
      image: new images of these classes (NaN where it was not recorded).
    - classes_low/high: new classes and new episodes, for these very runs: of the mean, in the condition "standard" (NaN
      where the classes of the episodes were not recorded).
    - diverged: share of diverged (seed, episode) pairs; finite_mean: mean score over the pairs that did not diverge.
    """
    grids = Grids.of(results, metric)
    bounds = grids.metric.score_bounds

    @cache
    def disjoint(algorithm: str, split: str, statistic: str) -> Interval:
        scores = grids.get(algorithm, split, conditions.OPEN.name)
        if scores is None:
            return Interval(np.nan, np.nan, np.nan, DISJOINT, 0)
        return over_disjoint_tasks(scores.to_numpy(), statistic, level, bounds=bounds)

    rows = []
    for (algorithm, split, condition), scores, flags in _headlines(grids):
        values = scores.to_numpy()
        for statistic in grids.statistics:
            tasks = disjoint(algorithm, split, statistic)
            seeds = over_seeds(values, statistic, level, bounds)
            episodes = over_episodes(values, statistic, level, bounds=bounds)
            classes = grids.classes(algorithm, split) if statistic == "mean" and condition == STANDARD else None
            new_classes = None if classes is None else over_classes(values, classes, level, bounds)
            rows.append(
                _where(grids, algorithm, split, condition, grids.headline[algorithm], statistic)
                | _core(_headline(grids, values, statistic, level), values)
                | {
                    "seeds_low": seeds.low,
                    "seeds_high": seeds.high,
                    "episodes_low": episodes.low,
                    "episodes_high": episodes.high,
                    "disjoint_score": tasks.center,
                    "disjoint_low": tasks.low,
                    "disjoint_high": tasks.high,
                    "classes_low": np.nan if new_classes is None else new_classes.low,
                    "classes_high": np.nan if new_classes is None else new_classes.high,
                    "diverged": flags.mean(),
                    "finite_mean": values[~flags].mean() if not flags.all() else np.nan,
                }
            )
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def run_table(results: Results | Grids, metric: Metric | None = None) -> pd.DataFrame:
    """One row per trained model x split x condition x statistic, at the algorithm's headline inner step.

    sd is the standard deviation over the episodes of that one run, so that every interval over seeds can be computed
    again from this table; the other columns mean what they mean in `score_table`.
    """
    grids = Grids.of(results, metric)
    rows = []
    for (algorithm, split, condition), scores, flags in _headlines(grids):
        values, shares = scores.to_numpy(), flags.mean(axis=1)
        with np.errstate(invalid="ignore"):
            sds = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
        for statistic in grids.statistics:
            where = _where(grids, algorithm, split, condition, grids.headline[algorithm], statistic)
            for seed, center, sd, share in zip(scores.index, summarise(values, statistic), sds, shares, strict=True):
                row = {"seed": seed, "score": center, "sd": sd, "n_episodes": values.shape[1], "diverged": share}
                rows.append(where | row)
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def step_table(results: Results | Grids, level: float = LEVEL, metric: Metric | None = None) -> pd.DataFrame:
    """One row per algorithm x split x inner step x statistic of condition "standard": the adaptation curves.

    The columns mean what they mean in `score_table`; support_score is the same statistic of the support scores.
    """
    grids = Grids.of(results, metric)
    rows = []
    for algorithm, split, condition in grids.keys:
        for step in grids.steps(algorithm, split) if condition == STANDARD else ():
            scores = grids.get(algorithm, split, step=step)
            support = grids.get(algorithm, split, step=step, column="support_score")
            if scores is None or support is None:
                continue
            values = scores.to_numpy()
            share = _flags(grids, algorithm, split, condition, step).mean()
            for statistic in grids.statistics:
                rows.append(
                    _where(grids, algorithm, split, condition, step, statistic)
                    | _core(_headline(grids, values, statistic, level), values)
                    | {"support_score": summarise(support.to_numpy(), statistic).mean(), "diverged": share}
                )
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def _headline(grids: Grids, values: np.ndarray, statistic: str, level: float) -> Interval:
    return headline([Term(values)], statistic, level, grids.metric.score_bounds)


def _headlines(grids: Grids) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame, np.ndarray]]:
    """(algorithm, split, condition), its scores at the headline step and what of them diverged, where there are any."""
    for key in grids.keys:
        scores = grids.get(*key)
        if scores is not None:
            yield key, scores, _flags(grids, *key)


def _flags(grids: Grids, algorithm: str, split: str, condition: str, step: int | None = None) -> np.ndarray:
    flags = grids.get(algorithm, split, condition, step, "diverged")
    assert flags is not None, "they are recorded with the scores"
    return flags.to_numpy().astype(bool)


def _where(grids: Grids, algorithm: str, split: str, condition: str, step: int, statistic: str) -> dict:
    return {
        "algorithm": algorithm,
        "split": split,
        "condition": condition,
        "step": step,
        "metric": grids.metric.name,
        "statistic": statistic,
        **grids.about[split],
    }


def _core(headline: Interval, values: np.ndarray) -> dict:
    seeds, episodes = values.shape
    return {
        "score": headline.center,
        "low": headline.low,
        "high": headline.high,
        "interval": headline.kind,
        "seeds": seeds,
        "n_episodes": episodes,
    }
