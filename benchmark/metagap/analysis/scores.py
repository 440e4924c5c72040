"""The score of every algorithm on every split, with all four intervals; and the curves over inner steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap import conditions
from metagap.analysis.grids import STANDARD, Grids
from metagap.analysis.intervals import (
    LEVEL,
    OPEN,
    Interval,
    hierarchical_bootstrap,
    over_episodes,
    over_open_tasks,
    over_seeds,
    summarise,
)

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import Results

SCORE_COLUMNS = [
    "algorithm", "split", "role", "condition", "ways", "shots", "step", "metric", "statistic",
    "score", "low", "high", "interval",
    "episodes_low", "episodes_high", "bootstrap_low", "bootstrap_high", "open_score", "open_low", "open_high",
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

    - low, high, interval: the headline interval, over "seeds" if there are at least two, else over "episodes".
    - episodes_low/high: of the score averaged over the seeds, episode by episode: new episodes for these very runs. The
      mean of per-run intervals would ignore that averaging runs averages noise.
    - bootstrap_low/high: hierarchical bootstrap (NaN for one seed).
    - open_score, open_low, open_high: from the condition "open" of the same split (NaN where it was not recorded).
    - diverged: share of diverged (seed, episode) pairs; finite_mean: mean score over the pairs that did not diverge.
    """
    grids = Grids.of(results, metric)

    @cache
    def opened(algorithm: str, split: str, statistic: str) -> Interval:
        scores = grids.get(algorithm, split, conditions.OPEN.name)
        if scores is None:
            return Interval(np.nan, np.nan, np.nan, OPEN, 0)
        return over_open_tasks(scores.to_numpy(), statistic, level)

    rows = []
    for (algorithm, split, condition), scores, flags in _headlines(grids):
        values = scores.to_numpy()
        for statistic in grids.statistics:
            episodes = over_episodes(values, statistic, level)
            bootstrap = hierarchical_bootstrap(values, statistic, level)
            headline = headline_interval(values, statistic, level)
            open_tasks = opened(algorithm, split, statistic)
            rows.append(
                _where(grids, algorithm, split, condition, grids.headline[algorithm], statistic)
                | _core(headline, values)
                | {
                    "episodes_low": episodes.low,
                    "episodes_high": episodes.high,
                    "bootstrap_low": bootstrap.low,
                    "bootstrap_high": bootstrap.high,
                    "open_score": open_tasks.center,
                    "open_low": open_tasks.low,
                    "open_high": open_tasks.high,
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
        for statistic in grids.statistics:
            where = _where(grids, algorithm, split, condition, grids.headline[algorithm], statistic)
            centers = summarise(scores.to_numpy(), statistic)
            for seed, values, center, flag in zip(scores.index, scores.to_numpy(), centers, flags, strict=True):
                with np.errstate(invalid="ignore"):
                    sd = values.std(ddof=1) if len(values) > 1 else np.nan
                row = {"seed": seed, "score": center, "sd": sd, "n_episodes": len(values), "diverged": flag.mean()}
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
            share = _flags(grids, scores, algorithm, split, condition, step).mean()
            for statistic in grids.statistics:
                rows.append(
                    _where(grids, algorithm, split, condition, step, statistic)
                    | _core(headline_interval(values, statistic, level), values)
                    | {"support_score": summarise(support.to_numpy(), statistic).mean(), "diverged": share}
                )
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def headline_interval(values: np.ndarray, statistic: str = "mean", level: float = LEVEL) -> Interval:
    """Over seeds if there are at least two of them, else over the episodes of the one run; `values` is (S, M)."""
    return over_seeds(values, statistic, level) if len(values) > 1 else over_episodes(values, statistic, level)


def _headlines(grids: Grids) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame, np.ndarray]]:
    """(algorithm, split, condition), its scores at the headline step and what of them diverged, where there are any."""
    for key in grids.keys:
        scores = grids.get(*key)
        if scores is not None:
            yield key, scores, _flags(grids, scores, *key)


def _flags(grids: Grids, scores: pd.DataFrame, algorithm: str, split: str, condition: str, step=None) -> np.ndarray:
    flags = grids.get(algorithm, split, condition, step, "diverged")
    assert flags is not None, "they are recorded with the scores"
    return flags.loc[scores.index, scores.columns].to_numpy().astype(bool)


def _where(grids: Grids, algorithm: str, split: str, condition: str, step: int, statistic: str) -> dict:
    about = grids.splits.loc[split, ["role", "ways", "shots"]].to_dict()
    return {
        "algorithm": algorithm,
        "split": split,
        "condition": condition,
        "step": step,
        "metric": grids.metric.name,
        "statistic": statistic,
    } | about


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
