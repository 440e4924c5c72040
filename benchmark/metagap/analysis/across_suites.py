"""Algorithms compared across suites: who ranks better, and what do they score where guessing is 0 and the best is 1?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap.analysis.aggregates import interquartile_mean, performance_profile
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import LEVEL, summarise
from metagap.analysis.ranks import LEAST_ALGORITHMS, LEAST_SUITES, RankTest, rank_test
from metagap.errors import UserError
from metagap.files import folder_name
from metagap.results import Results, read

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.suite import Suite

ROLES = ("cross-domain", "in-distribution")
RUNS = ["suite", "algorithm", "seed", "score", "normalised"]
TAUS = 101
"""Points of a performance profile."""


@dataclass(frozen=True)
class AcrossSuites:
    """What several suites say of the algorithms that all of them have results of, the best mean rank first.

    Attributes:
        suites: by name, in the order in which they were given.
        metrics: the headline metric of each.
        splits: those whose mean is a suite's score.
        on: their role.
        algorithms: in the order of their mean ranks.
        runs: a row per suite, algorithm and seed: score, and normalised score (NaN where the suite has none).
        scores: a row per suite and algorithm: score (mean over seeds), normalised, rank in this suite, seeds.
        test: of the ranks.
        aggregates: a row per algorithm: rank, and iqm, low, high of the normalised scores; NaN without these.
        profiles: a row per algorithm and tau: share of runs above it, low, high; empty without normalised scores.
        notes: sentences that a reader of the numbers should know.
    """

    suites: dict[str, Suite]
    metrics: dict[str, Metric]
    splits: dict[str, list[str]]
    on: str
    runs: pd.DataFrame
    scores: pd.DataFrame
    test: RankTest
    aggregates: pd.DataFrame
    profiles: pd.DataFrame
    notes: list[str]

    @property
    def algorithms(self) -> list[str]:
        """In the order of their mean ranks."""
        return list(self.test.ranks.index)


def read_across(names: Sequence[str], on: str = "cross-domain", results: Path = Path("results")) -> AcrossSuites:
    """Compare algorithms across the suites of these names, or files, by what the store has of each as its file says.

    results: the folder of the store. Raises UserError as `across_suites` does, for a suite that is named twice, and for
    suites without results, all of them at once.
    """
    return across_suites(read_all(names, results), on)


def read_all(names: Sequence[str], results: Path = Path("results")) -> dict[str, Results]:
    """What the store has of the suites of these names, or files. Raises UserError as `read_across` does."""
    names = [folder_name(Path(name).stem, "SUITE") for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"suites are named more than once: {_listed(twice)}")
    found, faults = {}, []
    for name in names:
        try:
            found[name] = read(results, name)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return found


def across_suites(found: Mapping[str, Results], on: str = "cross-domain", level: float = LEVEL) -> AcrossSuites:
    """Compare the algorithms that all suites have results of.

    A run's score in a suite is the mean over its cross-domain splits of the suite's own ways and shots, or its first
    in-distribution split, in the headline metric and statistic. An algorithm that a suite lacks, or that lacks a split
    of it, is left out of the whole comparison, and the notes name both.

    Args:
        found: the results of each suite by its name.
        on: which splits.
        level: of intervals, and 1 - the probability of any false difference.

    Raises:
        UserError: for fewer than two suites, a suite without such a split, a label that is not the same algorithm
            everywhere, or fewer than three algorithms in common.
    """
    if on not in ROLES:
        raise UserError(f"--on '{on}': allowed are {', '.join(ROLES)}")
    if len(found) < LEAST_SUITES:
        raise UserError(f"a comparison across suites needs at least {LEAST_SUITES} suites; given: {', '.join(found)}")
    grids = {name: Grids(results) for name, results in found.items()}
    splits = {name: one.domains if on == "cross-domain" else one.home(on)[:1] for name, one in grids.items()}
    if lacking := [name for name, names in splits.items() if not names]:
        raise UserError(
            f"no {on} split with the ways and shots of the suite has results in {_listed(lacking)}; leave "
            f"{'it' if len(lacking) == 1 else 'them'} out, or choose another --on: {', '.join(ROLES)}"
        )
    parts = {
        name: {label: run for label in one.algorithms if len(run := _per_seed(one, label, splits[name]))}
        for name, one in grids.items()
    }
    shared, notes = _shared(parts)
    check_labels(shared, {name: results.suite for name, results in found.items()})
    rows = []
    for name, by_label in parts.items():
        zero, one = scale_of(grids[name].metric, grids[name].ways(splits[name][0]))
        for label in shared:
            table = pd.DataFrame({"seed": by_label[label].index, "score": by_label[label].to_numpy()})
            rows.append(table.assign(suite=name, algorithm=label, normalised=(table["score"] - zero) / (one - zero)))
    runs = pd.concat(rows, ignore_index=True)[RUNS]
    scores, wide = _scores(runs)
    test = rank_test(wide.loc[list(found), shared], level)
    aggregates, profiles = _aggregated(runs, test, level)
    return AcrossSuites(
        suites={name: results.suite for name, results in found.items()},
        metrics={name: one.metric for name, one in grids.items()},
        splits=splits,
        on=on,
        runs=runs,
        scores=scores,
        test=test,
        aggregates=aggregates,
        profiles=profiles,
        notes=[
            *filter(None, [test.warning]),
            *notes,
            *dependent(found),
            *_remarks(runs, {name: one.metric for name, one in grids.items()}),
            *(f"{name}: {note}" for name, results in found.items() for note in results.notes),
        ],
    )


def _per_seed(grids: Grids, algorithm: str, splits: list[str]) -> pd.Series:
    """Seed -> the mean over the splits of this run's score; empty where the algorithm lacks one of the splits."""
    found = []
    for split in splits:
        grid = grids.get(algorithm, split)
        if grid is None:
            return pd.Series(dtype=float)
        found.append(pd.Series(summarise(grid.to_numpy(), grids.metric.statistic), index=grid.index))
    return pd.concat(found, axis=1, join="inner").mean(axis=1, skipna=False).fillna(-np.inf)


def _shared(parts: Mapping[str, Mapping[str, pd.Series]]) -> tuple[list[str], list[str]]:
    """The algorithms that all suites have, in the order of the first, and a sentence on each other one."""
    everyone = list(dict.fromkeys(label for by_label in parts.values() for label in by_label))
    lacking = {label: [name for name, by_label in parts.items() if label not in by_label] for label in everyone}
    shared = [label for label in everyone if not lacking[label]]
    if len(shared) < LEAST_ALGORITHMS:
        have = "; ".join(f"{name} has {_listed(by_label) or 'none'}" for name, by_label in parts.items())
        raise UserError(
            f"a comparison across suites needs at least {LEAST_ALGORITHMS} algorithms that all suites have results of; "
            f"in common: {_listed(shared) or 'none'}. {have}"
        )
    notes = [
        f"{label} is left out: {_listed(names)} lacks it or a split of it." for label, names in lacking.items() if names
    ]
    return shared, notes


def check_labels(labels: list[str], suites: Mapping[str, Suite]) -> None:
    """Raise UserError where a label is one algorithm here and another there."""
    for label in labels:
        kinds = {name: suite.algorithms[label].algorithm for name, suite in suites.items() if label in suite.algorithms}
        if len(set(kinds.values())) > 1:
            what = ", ".join(f"{kind} in {name}" for name, kind in kinds.items())
            raise UserError(
                f"'{label}' is not the same algorithm in all suites: {what}; give it the same label and kind"
            )


def scale_of(metric: Metric, ways: int) -> tuple[float, float]:
    """The scores that become 0 and 1: those of guessing, or the worst where there is no guessing, and the best.

    NaN where one of them is not finite: there is no such scale.
    """
    guessing = metric.chance_score(ways)
    zero, one = metric.worst_score if guessing is None else guessing, metric.best_score
    return (zero, one) if math.isfinite(zero) and math.isfinite(one) else (math.nan, math.nan)


def _scores(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row per suite and algorithm, and the scores alone as suites x algorithms."""
    grouped = runs.groupby(["suite", "algorithm"], sort=False)
    scores = grouped.agg(
        score=("score", "mean"), normalised=("normalised", "mean"), seeds=("seed", "size")
    ).reset_index()
    scores["rank"] = scores.groupby("suite")["score"].rank(ascending=False)
    return scores, scores.pivot(index="suite", columns="algorithm", values="score")


def _aggregated(runs: pd.DataFrame, test: RankTest, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of algorithms and the performance profiles, of the suites that have normalised scores."""
    scaled = runs.dropna(subset="normalised")
    enough = scaled["suite"].nunique() >= LEAST_SUITES
    taus = np.linspace(0, 1, TAUS)
    rows, profiles = [], [pd.DataFrame(columns=["algorithm", "tau", "share", "low", "high"])]
    for label, rank in test.ranks.items():
        row = {"algorithm": label, "rank": rank, "iqm": np.nan, "low": np.nan, "high": np.nan}
        if enough:
            own = scaled[scaled["algorithm"] == label]
            strata = [part.to_numpy() for _, part in own.groupby("suite", sort=False)["normalised"]]
            center, low, high, *_ = interquartile_mean(strata, level)
            row |= {"iqm": center, "low": low, "high": high}
            share, below, above = performance_profile(strata, taus, level)
            columns = {"tau": taus, "share": share, "low": below, "high": above}
            profiles.append(pd.DataFrame({"algorithm": label, **columns}))
        rows.append(row)
    return pd.DataFrame(rows), pd.concat(profiles[1:] or profiles, ignore_index=True)


def dependent(found: Mapping[str, Results]) -> list[str]:
    """A sentence on suites that train on the same source, for the test takes suites as independent."""
    by_source: dict[str, list[str]] = {}
    for name, results in found.items():
        by_source.setdefault(str(results.suite.source.get("name")), []).append(name)
    return [
        f"{_listed(names)} train on the same source, {source}: they are not independent of each other, and p-values "
        "take suites as independent."
        for source, names in by_source.items()
        if len(names) > 1
    ]


def _remarks(runs: pd.DataFrame, metrics: Mapping[str, Metric]) -> list[str]:
    """Sentences on what the normalised scores leave out, and on intervals that cannot be."""
    notes = []
    without = list(dict.fromkeys(runs.loc[runs["normalised"].isna(), "suite"]))
    if without:
        which = ", ".join(f"{name} ({metrics[name].label})" for name in without)
        notes.append(
            f"Normalised scores leave out {which}: the metric has neither a value of guessing nor a worst one. Ranks "
            "have all suites."
        )
    counts = runs[runs["normalised"].notna()].groupby(["suite", "algorithm"], sort=False).size()
    counted = counts[counts == 1].index.get_level_values("suite")
    if single := list(dict.fromkeys(counted)):
        notes.append(f"There is one seed only in {_listed(single)}, so that the IQM has no interval.")
    return notes


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names))
