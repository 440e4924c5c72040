"""From the columns of the records to the seeds x episodes grids that the statistics work on."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap import conditions
from metagap.analysis.divergence import diverged, worst_if_nan
from metagap.results.episodes import Grid, Key
from metagap.suite.schema.response import SHIFTED

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import Results

STANDARD = conditions.STANDARD.name
AVERAGE = "average"
"""The name of the mean over the cross-domain splits, where a split's name stands otherwise."""


class Grids:
    """The grids of one suite's results, looked up by algorithm, split, condition and inner step.

    Attributes:
        results: what they are made of.
        suite: resolved.
        kind: the kind of task.
        metric: what the scores are.
        statistics: the statistics worth showing: the mean for accuracies; mean, median and iqm for heavy-tailed errors.
        algorithms: names that have episodes, in the order of the suite.
        splits: one row per split that has episodes, in the order of the suite: split (index), role, ways, shots, and
            `home`: whether its tasks have the form of the suite's own: ways, shots, imbalance and horizon. Shifted
            ones, which only responses are about, are in `shifted`.
        about: split -> its role, ways and shots.
        headline: algorithm -> its headline inner step.
    """

    def __init__(self, results: Results, metric: Metric | None = None):
        """metric: any; default: the headline metric of the results. Of one that was not recorded there is no grid."""
        suite, self._recorded = results.suite, results.columns
        self.results = results
        self.suite = suite
        self.kind = suite.kind
        self.metric = metric or results.metric
        self.statistics = self.metric.statistics
        self.algorithms = _in_suite_order(suite.algorithms, self._recorded.algorithms)
        self.headline: dict[str, int] = {name: suite.headline_step(name) for name in self.algorithms}
        found = self._splits()
        self.splits, self.shifted = found[found["role"] != SHIFTED], found[found["role"] == SHIFTED]
        about = self.splits[["role", "ways", "shots"]].to_dict("index")
        self.about = {str(name): {str(key): value for key, value in row.items()} for name, row in about.items()}
        home = self.splits[self.splits["home"]]
        self._home = {str(role): list(part.index) for role, part in home.groupby("role", observed=True)}
        self._scores = self._scored()
        self._steps: dict[tuple[str, str, str], list[int]] = {}
        for key in self._recorded.grids if self._scores else ():
            if key.split in self.splits.index:
                self._steps.setdefault(key[:3], []).append(key.step)
        self._grids: dict[tuple[Key, str], pd.DataFrame | None] = {}

    @classmethod
    def of(cls, results: Results | Grids, metric: Metric | None = None) -> Grids:
        """Those of results, or the same again: the tables of a report share theirs, which take most of its time."""
        if not isinstance(results, Grids):
            return cls(results, metric)
        return results if metric in (None, results.metric) else cls(results.results, metric)

    def _scored(self) -> dict[str, tuple[str, int]]:
        """Where the scores of queries and support sets in this metric are, and with which sign; empty: nowhere."""
        name, parts = self.metric.name, ("query", "support")
        if name == self.results.metric.name:
            return {f"{part}_score": (f"{part}_score", 1) for part in parts}
        if name not in [metric.name for metric in self.results.metrics]:
            return {}
        return {f"{part}_score": (f"{part}_{name}", self.metric.sign) for part in parts}

    def _splits(self) -> pd.DataFrame:
        suite, found = self.suite, self._recorded.splits
        found = found.loc[_in_suite_order([split.name for split in suite.splits], found.index)]
        home = found["shots"] == suite.task.shots
        if self.kind.has_ways:
            home &= found["ways"] == suite.task.ways
            home &= np.array([suite.imbalance(str(split)) == suite.imbalance() for split in found.index], dtype=bool)
        if self.kind.acts:
            home &= np.array([suite.horizon(str(split)) == suite.horizon() for split in found.index], dtype=bool)
        return found.assign(home=home)

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """Every (algorithm, split, condition) that has episodes, in the order of the suite; "standard" comes first."""
        algorithms, splits = self.algorithms, list(self.splits.index)
        return sorted(self._steps, key=lambda k: (algorithms.index(k[0]), splits.index(k[1]), k[2] != STANDARD, k[2]))

    def home(self, role: str) -> list[str]:
        """The splits of a role whose tasks have the form of the suite's own."""
        return self._home.get(role, [])

    @property
    def plain(self) -> list[str]:
        """The splits whose tasks have the form of the suite's own."""
        return list(self.splits.index[self.splits["home"]])

    @property
    def domains(self) -> list[str]:
        """The cross-domain splits that are averaged over: those whose tasks have the form of the suite's own."""
        return self.home("cross-domain")

    def role(self, split: str) -> str:
        """The role of a split; that of the average is cross-domain."""
        return "cross-domain" if split == AVERAGE else str(self.splits.at[split, "role"])

    def ways(self, split: str) -> int:
        """The ways of the tasks of a split."""
        return int(self.splits["ways"].to_dict()[split])

    def seeds(self, algorithm: str) -> list[int]:
        """The seeds of an algorithm, on any split."""
        grids = [self.get(algorithm, str(split)) for split in self.splits.index]
        return sorted({int(seed) for grid in grids if grid is not None for seed in grid.index})

    def steps(self, algorithm: str, split: str) -> list[int]:
        """The recorded inner steps of condition "standard"."""
        return sorted(self._steps.get((algorithm, split, STANDARD), []))

    def classes(self, algorithm: str | None, split: str) -> np.ndarray | None:
        """Which classes of the split each episode of the standard condition holds: (episodes, ways), by index.

        algorithm: whose grid at its headline step the rows belong to; None: those that all grids of this split share.
        None where some seed has no record of them, or their records differ.
        """
        grids = {name: self.get(name, split) for name in (self.algorithms if algorithm is None else [algorithm])}
        there = {name: grid for name, grid in grids.items() if grid is not None}
        if not there:
            return None
        found = [self.results.classes.get((name, seed, split)) for name, grid in there.items() for seed in grid.index]
        first = found[0]
        if first is None or any(one is None or not np.array_equal(one, first) for one in found):
            return None
        return first[reduce(np.intersect1d, [grid.columns for grid in there.values()])]

    def get(
        self,
        algorithm: str,
        split: str,
        condition: str = STANDARD,
        step: int | None = None,
        column: str = "query_score",
    ) -> pd.DataFrame | None:
        """The grid of one column, seeds (index) x episodes (columns), or None where nothing was recorded.

        Columns: query_score, support_score, query_loss, diverged. NaN scores are -inf and NaN losses inf. `step` is the
        algorithm's headline step if not given. An episode that some seed lacks is left out, for the grid is crossed.
        """
        key = Key(algorithm, split, condition, self.headline[algorithm] if step is None else step)
        if (key, column) not in self._grids:  # every pair of algorithms asks for the same ones
            self._grids[key, column] = self._made(key, column)
        return self._grids[key, column]

    def _made(self, key: Key, column: str) -> pd.DataFrame | None:
        grid = self._recorded.grids.get(key) if self._scores else None
        if grid is None or not len(grid.episodes):
            return None
        seeds, episodes = pd.Index(grid.seeds, name="seed"), pd.Index(grid.episodes, name="episode")
        return pd.DataFrame(self._values(grid, key.split, column), index=seeds, columns=episodes, copy=False)

    def _values(self, grid: Grid, split: str, column: str) -> np.ndarray:
        """One column as numbers (S, M), those that are not there as the worst that there are."""
        loss = grid.columns["query_loss"]
        if column == "query_loss":
            return worst_if_nan(loss, np.inf)
        if column == "diverged":
            return diverged(loss, self.kind, self._recorded.null_loss[split]).astype(float)
        name, sign = self._scores[column]
        return worst_if_nan(sign * grid.columns[name], -np.inf)


def pair(a: pd.DataFrame | None, b: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Two grids cut to the seeds and episodes they share, each (S, M), or None if they share none."""
    if a is None or b is None:
        return None
    if not a.empty and a.index.equals(b.index) and a.columns.equals(b.columns):
        return a.to_numpy(), b.to_numpy()
    seeds, episodes = a.index.intersection(b.index), a.columns.intersection(b.columns)
    if seeds.empty or episodes.empty:
        return None
    return a.loc[seeds, episodes].to_numpy(), b.loc[seeds, episodes].to_numpy()


def _in_suite_order(names, present) -> list[str]:
    present = list(present)
    return [name for name in names if name in present] + [name for name in present if name not in set(names)]
