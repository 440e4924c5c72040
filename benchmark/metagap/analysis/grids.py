"""From the long episode table to the seeds x episodes grids that the statistics work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap import conditions
from metagap.analysis.divergence import diverged, worst_if_nan

if TYPE_CHECKING:
    from metagap.kinds import TaskKind
    from metagap.metrics import Metric
    from metagap.results import Results
    from metagap.suite import Suite

KEY = ["algorithm", "split", "condition"]
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
            `home`: whether it has the ways and shots of the suite's own task.
        headline: algorithm -> its headline inner step.
    """

    def __init__(self, results: Results, metric: Metric | None = None):
        """metric: any; default: the headline metric of the results. Of one that was not recorded there is no grid."""
        suite, episodes = results.suite, results.episodes
        self.results = results
        self.suite = suite
        self.kind = suite.kind
        self.metric = metric or results.metric
        self.statistics = self.metric.statistics
        self.algorithms = _in_suite_order(suite.algorithms, episodes["algorithm"])
        self.headline: dict[str, int] = {name: suite.headline_step(name) for name in self.algorithms}
        self.splits = _splits(episodes, suite, self.kind)
        self._groups = _grouped(episodes, self.kind, self._columns(results))
        self._grids: dict[tuple[str, str, str, int, str], pd.DataFrame | None] = {}

    @classmethod
    def of(cls, results: Results | Grids, metric: Metric | None = None) -> Grids:
        """Those of results, or the same again: the tables of a report share theirs, which take most of its time."""
        if not isinstance(results, Grids):
            return cls(results, metric)
        return results if metric in (None, results.metric) else cls(results.results, metric)

    def _columns(self, results: Results) -> dict[str, pd.Series] | None:
        """The scores of queries and support sets in this metric, a column each; None where they were not recorded."""
        name, parts = self.metric.name, ("query", "support")
        if name == results.metric.name:
            return {f"{part}_score": results.episodes[f"{part}_score"] for part in parts}
        if name not in [metric.name for metric in results.metrics]:
            return None
        return {f"{part}_score": self.metric.sign * results.episodes[f"{part}_{name}"] for part in parts}

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """Every (algorithm, split, condition) that has episodes, in the order of the suite; "standard" comes first."""
        algorithms, splits = self.algorithms, list(self.splits.index)
        return sorted(self._groups, key=lambda k: (algorithms.index(k[0]), splits.index(k[1]), k[2] != STANDARD, k[2]))

    def home(self, role: str) -> list[str]:
        """The splits of a role with the ways and shots of the suite's own task."""
        return list(self.splits.index[self.splits["home"] & (self.splits["role"] == role)])

    @property
    def plain(self) -> list[str]:
        """The splits with the ways and shots of the suite's own task."""
        return list(self.splits.index[self.splits["home"]])

    @property
    def domains(self) -> list[str]:
        """The cross-domain splits with the ways and shots of the suite's own task: those that are averaged over."""
        return self.home("cross-domain")

    def role(self, split: str) -> str:
        """The role of a split; that of the average is cross-domain."""
        return "cross-domain" if split == AVERAGE else str(self.splits.at[split, "role"])

    def ways(self, split: str) -> int:
        """The ways of the tasks of a split."""
        return int(self.splits["ways"].to_dict()[split])

    def steps(self, algorithm: str, split: str) -> list[int]:
        """The recorded inner steps of condition "standard"."""
        group = self._groups.get((algorithm, split, STANDARD))
        return [] if group is None else list(group.index.unique("step"))

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
        key = (algorithm, split, condition, self.headline[algorithm] if step is None else step, column)
        if key not in self._grids:  # every pair of algorithms asks for the same ones
            self._grids[key] = self._made(*key)
        return self._grids[key]

    def _made(self, algorithm: str, split: str, condition: str, step: int, column: str) -> pd.DataFrame | None:
        group = self._groups.get((algorithm, split, condition))
        if group is None or step not in group.index.unique("step"):
            return None
        grid = group.loc[step][column].astype(float).unstack("episode").dropna(axis="columns")
        return None if grid.empty else grid


def pair(a: pd.DataFrame | None, b: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Two grids cut to the seeds and episodes they share, each (S, M), or None if they share none."""
    if a is None or b is None:
        return None
    seeds, episodes = a.index.intersection(b.index), a.columns.intersection(b.columns)
    if seeds.empty or episodes.empty:
        return None
    return a.loc[seeds, episodes].to_numpy(), b.loc[seeds, episodes].to_numpy()


def _grouped(
    episodes: pd.DataFrame, kind: TaskKind, scores: dict[str, pd.Series] | None
) -> dict[tuple[str, str, str], pd.DataFrame]:
    if scores is None:
        return {}
    table = episodes[[*KEY, "step", "seed", "episode"]].assign(
        **{name: worst_if_nan(values, -np.inf) for name, values in scores.items()},
        query_loss=worst_if_nan(episodes["query_loss"], np.inf),
        diverged=diverged(episodes, kind),
    )
    groups = table.groupby(KEY, sort=False, observed=True)
    return {
        (str(algorithm), str(split), str(condition)): group.set_index(["step", "seed", "episode"]).sort_index()
        for (algorithm, split, condition), group in groups
    }


def _splits(episodes: pd.DataFrame, suite: Suite, kind: TaskKind) -> pd.DataFrame:
    found = episodes.drop_duplicates("split").set_index("split")[["role", "ways", "shots"]]
    found = found.loc[_in_suite_order([split.name for split in suite.splits], found.index)]
    home = found["shots"] == suite.task.shots
    if kind.has_ways:
        home &= found["ways"] == suite.task.ways
    return found.assign(home=home)


def _in_suite_order(names, present) -> list[str]:
    present = list(pd.unique(pd.Series(present)))
    return [name for name in names if name in present] + [name for name in present if name not in set(names)]
