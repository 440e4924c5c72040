"""Everything that one report shows, computed once from the stored results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from metagap import kinds as task_kinds
from metagap.analysis import comparisons, exact, leaders, outliers, published_values, scores, variance
from metagap.analysis.along import Along, along_training
from metagap.analysis.gaps import ADJUSTED, GapKind, gap_kinds, gap_table
from metagap.analysis.gaps.kind import Place
from metagap.analysis.grids import AVERAGE, STANDARD, Grids
from metagap.analysis.intervals import CLAIMS_FROM, CROSSED
from metagap.analysis.responses import Family, Responses, families, response_tables
from metagap.metrics import Metric
from metagap.report import theme
from metagap.results import Failed
from metagap.suite import Split, Suite
from metagap.text import uncertain

ROLE_ORDER = ("meta-train", "recurring-task", "meta-val", "in-distribution", "cross-domain")
STATISTICS = {"mean": "mean", "median": "median", "iqm": "interquartile mean"}
HEADLINE = ("meta-train", "in-distribution", "cross-domain")
"""The roles that gaps are about."""
WITHIN = "Within a split: support and query, adaptation, batch statistics, memorization"
WITHIN_ACTING = "Within a split: support and query, adaptation"
SHIFT_GROUP, SHIFT_GROUP_ACTING = "other ways or shots", "other horizons or shots"


def within_title(frames: Frames) -> str:
    """What is clicked on to see the gaps within a split."""
    return WITHIN_ACTING if frames.kind.acts else WITHIN


Scored = Literal["scores", "runs", "steps"]
"""The tables of scores."""


@dataclass(frozen=True)
class Frames:
    """The tables of `metagap.analysis` for one suite, with the questions that figures and tables ask of them."""

    suite: Suite
    metrics: tuple[Metric, ...]
    cells: pd.DataFrame
    curves: pd.DataFrame
    samples: dict[str, dict[str, np.ndarray]]
    notes: list[str]
    scores: pd.DataFrame
    runs: pd.DataFrame
    steps: pd.DataFrame
    gap_kinds: dict[str, GapKind]
    gaps: pd.DataFrame
    pairs: pd.DataFrame
    gap_pairs: pd.DataFrame
    leaders: pd.DataFrame
    outliers: pd.DataFrame
    variance: pd.DataFrame
    published: pd.DataFrame
    along: Along
    responses: Responses
    failed: tuple[Failed, ...] = ()
    """Cells that failed, or diverged."""
    rollouts: dict[str, dict[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    """Split -> algorithm -> what the policy of its first seed does in the first test tasks."""
    exact: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=exact.COLUMNS))
    bounds: pd.DataFrame = field(default_factory=pd.DataFrame)
    environments: pd.DataFrame = field(default_factory=pd.DataFrame)
    further: dict[str, dict[Scored, pd.DataFrame]] = field(default_factory=dict)
    """The tables of scores in the metrics after the headline one, by name."""

    @classmethod
    def of(cls, results: Any) -> Frames:
        """Analyse a `metagap.results.Results`."""
        grids = Grids(results)
        compared, known = comparisons.all_pairs(grids), exact.exact_table(grids)
        kinds, faults = gap_kinds()
        if (named := results.suite.reference) and named not in grids.algorithms:
            faults.append(f"The reference, {named}, has no results here: there are no difficulty-adjusted gaps.")
        return cls(
            suite=results.suite,
            metrics=results.metrics,
            cells=results.cells,
            environments=results.environments,
            curves=results.curves,
            samples=results.samples,
            failed=results.failed,
            rollouts=_of_first_seeds(results),
            gap_kinds={kind.name: kind for kind in kinds},
            gaps=gap_table(grids, kinds, failed=faults.append),
            notes=[*results.notes, *faults],
            **_scored(grids),
            further={metric.name: _scored(Grids(results, metric)) for metric in results.metrics[1:]},
            pairs=compared.scores,
            gap_pairs=compared.gaps,
            leaders=leaders.leader_table(grids, compared.scores),
            outliers=outliers.outlier_table(grids),
            variance=variance.variance_table(grids),
            published=published_values.published_table(grids),
            along=along_training(results),
            responses=response_tables(grids),
            exact=known,
            bounds=exact.bounds_table(grids, known),
        )

    @cached_property
    def metric(self) -> Metric:
        """What the scores are: the headline metric."""
        return self.metrics[0]

    @cached_property
    def kind(self) -> task_kinds.TaskKind:
        """The kind of the tasks."""
        return self.suite.kind

    def in_metric(self, table: Scored, metric: Metric) -> pd.DataFrame:
        """A table of scores for any metric that was recorded."""
        return getattr(self, table) if metric == self.metric else self.further[metric.name][table]

    def data(self, name: str) -> pd.DataFrame:
        """A table as it is written for others: that of every metric, where it is about scores."""
        further = [frame for tables in self.further.values() for key, frame in tables.items() if key == name]
        return pd.concat([getattr(self, name), *further], ignore_index=True) if further else getattr(self, name)

    @property
    def deviations(self) -> list[str]:
        """In what the suite differs from the protocol of the published values."""
        return self.suite.deviations

    @cached_property
    def algorithms(self) -> list[str]:
        """The algorithms that have results, in the order of the suite."""
        present = set(self.scores["algorithm"])
        return [name for name in self.suite.algorithms if name in present]

    @cached_property
    def seeds(self) -> int:
        """The number of seeds of the algorithm that has most."""
        return int(self.cells.groupby("algorithm")["seed"].nunique().max()) if len(self.cells) else 0

    def without_results(self) -> dict[str, int]:
        """How many cells of each algorithm failed and have no results; only of those with any."""
        return dict(Counter(one.label for one in self.failed if one.kind != "diverged"))

    @property
    def seed_words(self) -> str:
        """The number of seeds of the algorithms."""
        return seed_words(self.cells.groupby("algorithm")["seed"].nunique())

    @property
    def interval(self) -> str:
        """The kind of the headline interval in words."""
        return f"95% {interval_words(self.headline_scores())}"

    @property
    def whiskers(self) -> str:
        """What the whiskers of a figure of scores are."""
        return f"Whiskers: {self.interval}."

    @property
    def is_robust(self) -> bool:
        """Whether the headline statistic is a robust one, for single episodes can be arbitrarily bad."""
        return self.metric.statistic != "mean"

    @property
    def robust(self) -> str:
        """What a caption has to say then."""
        if not self.is_robust:
            return ""
        return f" The {self.statistic_name} is shown{self._on_log}, for single diverged episodes decide the mean."

    @property
    def _on_log(self) -> str:
        return ", on a logarithmic axis" if self.metric.log else ""

    @property
    def edge(self) -> str:
        """What a caption has to say where a value may lie beyond the axis."""
        return " Values beyond the axis are written at its edge." if self.is_robust else ""

    def headline_step(self, algorithm: str) -> int:
        """The inner step at which an algorithm is scored."""
        return self.suite.headline_step(algorithm)

    def trained_steps(self, algorithm: str) -> int | None:
        """The number of inner steps that an algorithm was meta-trained with, where its options say so."""
        entry = self.suite.algorithms[algorithm]
        if entry.algorithm in theme.CONTROLS or entry.algorithm in theme.LIKE:
            return None
        for source in (entry.hyperparameters, entry.training):
            for key in ("inner_steps", "steps"):
                if isinstance(source.get(key), int):
                    return source[key]
        return None

    def selected(self, algorithm: str) -> dict[int, int]:
        """Seed -> the iteration whose parameters were evaluated."""
        rows = self.cells[(self.cells["algorithm"] == algorithm) & (self.cells["selection"] != "none")]
        return dict(zip(rows["seed"].astype(int), rows["selected_iteration"].astype(int), strict=True))

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Split name -> its entry in the suite, for the splits that have results."""
        present = set(self.scores["split"])
        return {split.name: split for split in self.suite.splits if split.name in present}

    def is_shifted(self, name: str) -> bool:
        """Whether a split has other ways or shots than the suite's task."""
        return self.suite.is_shifted(name)

    def plain_splits(self) -> list[str]:
        """The splits with the suite's own ways and shots."""
        return [name for name in self.splits if not self.is_shifted(name)]

    def role(self, role: str) -> list[str]:
        """The splits of a role with the suite's own ways and shots."""
        return [name for name in self.plain_splits() if self.splits[name].role == role]

    def split_groups(self, average: bool = False) -> list[tuple[str, list[str]]]:
        """(role, splits) in the order training to cross-domain; splits of another shape come last, as one group.

        With `average`, the mean over the cross-domain splits follows them.
        """
        roles: dict[str, str] = {name: split.role for name, split in self.splits.items()}
        plain = self.plain_splits()
        others = [role for role in dict.fromkeys(roles.values()) if role not in ROLE_ORDER]
        groups = [(role, [name for name in plain if roles[name] == role]) for role in (*ROLE_ORDER, *others)]
        groups = [(role, [*names, AVERAGE] if average and role == "cross-domain" else names) for role, names in groups]
        groups.append(
            (
                SHIFT_GROUP_ACTING if self.kind.acts else SHIFT_GROUP,
                [name for name in self.splits if self.is_shifted(name)],
            )
        )
        return [(role, names) for role, names in groups if names]

    def ordered(self, table: pd.DataFrame, algorithm: str = "algorithm") -> pd.DataFrame:
        """The rows by split and then by algorithm, both in the order of the report."""
        splits = [name for _, names in self.split_groups(average=True) for name in names]
        keys = {"_split": table["split"].map(splits.index), "_algorithm": table[algorithm].map(self.algorithms.index)}
        return table.assign(**keys).sort_values(["_split", "_algorithm"], kind="stable")

    def split_label(self, name: str) -> str:
        """The split's name, with its shape where that is not the suite's."""
        return self.suite.split_label(name)

    def chance(self, name: str) -> float | None:
        """The printed score of guessing on a split; None where there is no such thing."""
        guessing = self.metric.chance_score(self.suite.split_task(self.splits[name]).ways)
        return None if guessing is None else guessing * self.metric.score_scale

    def score_label(self, short: bool = False) -> str:
        """The axis label of a score; short leaves out the direction."""
        name = f"{self.statistic_name} of the {self.metric.label}" if self.is_robust else self.metric.label
        unit = f" ({self.metric.unit})" if self.metric.unit else ""
        return f"{name}{unit}" if short else f"{name}{unit}, {self.metric.better} is better"

    def gap_row(self, name: str) -> str:
        """The label of a row of the gap table."""
        return self.split_label(name) if name in self.splits else name

    def headline_scores(self, statistic: str | None = None, condition: str = STANDARD) -> pd.DataFrame:
        """One row per algorithm and split: the headline step, condition and statistic."""
        table = self.scores
        return table[(table["condition"] == condition) & (table["statistic"] == (statistic or self.metric.statistic))]

    def headline_steps(self) -> pd.DataFrame:
        """One row per algorithm, split and inner step in the headline statistic."""
        return self.steps[self.steps["statistic"] == self.metric.statistic]

    def headline_gaps(self, within: bool = False, place: Place = "table") -> pd.DataFrame:
        """One row per gap, algorithm and split in the headline statistic, with the rows of a gap together.

        Either the gaps between two splits, or (`within`) those between two readings of the same split; of these, the
        ones that are shown in this place.
        """
        shown = [
            name for name, kind in self.gap_kinds.items() if kind.is_within == within and place in kind.shown_where
        ]
        return self.gaps[(self.gaps["statistic"] == self.metric.statistic) & self.gaps["gap"].isin(shown)]

    def headline_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table in the headline statistic."""
        return table[table["statistic"] == self.metric.statistic]

    @cached_property
    def families(self) -> list[Family]:
        """The responses of the suite."""
        return families(self.suite)

    def headline_pairs(self) -> pd.DataFrame:
        """One row per pair of algorithms and split in the headline statistic."""
        return self.pairs[self.pairs["statistic"] == self.metric.statistic]

    def headline_gap_pairs(self) -> pd.DataFrame:
        """One row per pair of algorithms and gap in the headline statistic."""
        return self.gap_pairs[self.gap_pairs["statistic"] == self.metric.statistic]

    def reference(self, gaps: pd.DataFrame) -> str:
        """The algorithm whose gap is subtracted in the difficulty-adjusted ones of these rows; empty without any."""
        return self.suite.reference_label if gaps["gap"].isin([kind.name for kind in ADJUSTED]).any() else ""

    def reference_words(self, gaps: pd.DataFrame) -> str:
        """What a caption of these gaps says of it, with a space before it."""
        name = self.reference(gaps)
        return f" Difficulty-adjusted: minus the gap of the reference, {name}." if name else ""

    def gap_text(self, gap: str) -> Callable[..., str]:
        """How a gap of this kind is written: with its interval, in its unit."""
        kind = self.gap_kinds[gap]
        if kind.unit == "ratio":
            return partial(uncertain, decimals=2)
        if kind.unit == "loss":
            return partial(uncertain, decimals=2, signed=True)
        return self.metric.score if kind.sign == "score" else self.metric.gap

    def headline_leaders(self) -> pd.DataFrame:
        """One row per algorithm in the headline statistic, the best first."""
        return self.leaders[self.leaders["statistic"] == self.metric.statistic]

    @property
    def correction(self) -> str:
        """What the p-values and verdicts of the comparisons are corrected for."""
        return correction(pd.concat([self.headline_pairs(), self.headline_gap_pairs()]))

    def highest(self, split: str, statistic: str | None = None) -> list[str]:
        """The algorithms with the best finite score of a split (several if equal); none if there is only one score."""
        table = self.headline_scores(statistic)
        table = table[(table["split"] == split) & np.isfinite(table["score"])]
        return list(table.loc[table["score"] == table["score"].max(), "algorithm"]) if len(table) > 1 else []

    def best(self, split: str, statistic: str | None = None) -> list[str]:
        """The best algorithm of a split and all that are not significantly worse, by the correction of the page.

        None of those that have too few seeds for a claim, and none at all on a split on which nothing is claimed.
        """
        pairs = self.pairs[(self.pairs["split"] == split) & (self.pairs["seeds"] >= CLAIMS_FROM)]
        pairs = pairs[pairs["statistic"] == (statistic or self.metric.statistic)]
        scores = self.headline_scores(statistic).query("split == @split").set_index("algorithm")["score"]
        tested = scores[np.isfinite(scores) & scores.index.isin([*pairs["a"], *pairs["b"]])]
        if tested.empty:
            return []
        winner = tested.idxmax()
        of_winner = pairs[(pairs["a"] == winner) | (pairs["b"] == winner)]
        worse = of_winner[of_winner["verdict"] == f"{winner} better"]
        return [name for name in tested.index if name == winner or name not in {*worse["a"], *worse["b"]}]

    @property
    def statistics(self) -> list[str]:
        """The statistics that are there, mean first."""
        return [name for name in STATISTICS if name in set(self.scores["statistic"])]

    @property
    def statistic_name(self) -> str:
        """The headline statistic in words."""
        return STATISTICS[self.metric.statistic]

    def has_divergence(self) -> bool:
        """Whether the share of diverged episodes is worth a table: regression, or any episode that diverged."""
        return self.is_robust or bool((self.scores["diverged"] > 0).any())


def values_by(table: pd.DataFrame, keys: list[str], columns: list[str]) -> dict[tuple[Any, ...], list[Any]]:
    """The values of some columns in the row that the other columns, the keys, name."""
    rows = table[[*keys, *columns]].itertuples(index=False, name=None)
    return {row[: len(keys)]: list(row[len(keys) :]) for row in rows}


def _of_first_seeds(results: Any) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """The rollouts by split and algorithm."""
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for algorithm, seed, split in sorted(results.rollouts, key=lambda key: key[1]):
        found.setdefault(split, {}).setdefault(algorithm, results.rollouts[algorithm, seed, split])
    return found


def _scored(grids: Grids) -> dict[Scored, pd.DataFrame]:
    """The tables of scores, in the metric of the grids."""
    return {"scores": scores.score_table(grids), "runs": scores.run_table(grids), "steps": scores.step_table(grids)}


def interval_words(rows: pd.DataFrame) -> str:
    """The headline interval in words: what is new in it, and over how many seeds, from the columns of the rows."""
    is_crossed = rows["interval"] == CROSSED
    if not is_crossed.any():
        return "interval over new episodes of the one run"
    alone = "" if is_crossed.all() else "; where there is one run, over new episodes"
    return f"interval over new training runs and new episodes ({seed_words(rows.loc[is_crossed, 'seeds'])}{alone})"


def seed_words(counts: Iterable[int]) -> str:
    """How many seeds: one number, or the least and the most."""
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{least} to {most} seeds" if least < most else f"{most} seed{'s' * (most != 1)}"


def correction(pairs: pd.DataFrame, scope: str = "this page") -> str:
    """What the verdicts of these comparisons follow, the same words on the page and in the terminal."""
    family = int(pairs["family"].max()) if len(pairs) else 0
    if not family:
        return f"Nothing is claimed from fewer than {CLAIMS_FROM} seeds."
    of = f"all {family} comparisons" if family > 1 else "the one comparison"
    few = f" Nothing is claimed from fewer than {CLAIMS_FROM} seeds." if (pairs["seeds"] < CLAIMS_FROM).any() else ""
    return (
        f"A difference is significant at p < 0.05 after Holm's correction over {of} of {scope} (scores and gaps); the "
        f"intervals are not corrected.{few}"
    )
