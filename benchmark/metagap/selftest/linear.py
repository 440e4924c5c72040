"""The whole chain on tasks whose truth is known: sampler, training, evaluation, records, grids, gaps, intervals.

Some runs of every algorithm are trained on linear tasks; they are the population. A repeat takes a few of them, with
replacement, as the runs of a suite, tests them on new episodes and computes scores and gaps with their intervals as a
page does. What these are about is known exactly: for the interval over episodes it is the mean over these very runs,
for the headline, over new runs and episodes, the mean over the population.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from metagap.algorithms.base import Params
from metagap.analysis.exact import RISK, contrasts, exact_table, exactly, value
from metagap.analysis.grids import Grids
from metagap.conditions import STANDARD
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy
from metagap.machine import Machine
from metagap.quantities.exact_risk import asked
from metagap.results import Results
from metagap.runner.context import TrainingContext, seed_of
from metagap.runner.score import Evaluators, score_draw
from metagap.selftest.statistics import Part, Row
from metagap.suite import expand, load_suite
from metagap.tasks import linear_risk
from metagap.tasks.linear import LinearTasks
from metagap.tasks.sampling import Sampler

SUITE = "linear-tasks"
ALGORITHMS = ("maml", "reptile", "ridge", "scratch")
SPLITS = ("training tasks", "new tasks", "mean 2", "spread of 1", "inputs × 1.25", "noise of 1")
BUDGET = ("training.iterations=60", "training.meta_batch=5")
"""Short, so that runs differ."""
ENGINE = "vmap plain eager"
SEEDS, EPISODES, RUNS = 3, 300, 40
ALLOWED = (0.93, 0.97)


def parts(repeats: int, runs: int = RUNS, episodes: int = EPISODES) -> list[Part]:
    """One for each algorithm."""
    return [partial(coverage, algorithm, repeats, runs, episodes) for algorithm in ALGORITHMS]


def coverage(algorithm: str, repeats: int, runs: int = RUNS, episodes: int = EPISODES) -> list[Row]:
    """How often the intervals of an algorithm's scores and gaps hold what they are about."""
    torch.set_num_threads(1)
    world = World.of(algorithm, runs)
    rng, held, tried = np.random.default_rng([5, runs, episodes]), Counter(), Counter()
    truths: dict[tuple[str, str], float] = {}
    for repeat in range(repeats):
        grids = Grids(world.results(rng.integers(runs, size=SEEDS), repeat, episodes))
        truths = truths or world.truths(grids)
        for row in exact_table(grids).to_dict("records"):
            what, truth = row["gap"], truths[row["gap"], row["split"]]
            tried[what] += 1
            held[what, "runs, episodes"] += row["low"] <= truth <= row["high"]
            held[what, "episodes"] += row["holds"]
    return [
        Row(what, new, f"linear tasks, {algorithm}", SEEDS, episodes, repeats, count / tried[what], ALLOWED)
        for (what, new), count in held.items()
    ]


@dataclass
class World:
    """The trained runs of an algorithm: their meta-parameters, and the exact risk of each on every split."""

    context: TrainingContext
    evaluators: Evaluators
    runs: list[Params]
    exact: list[dict[str, float]]

    @classmethod
    def of(cls, algorithm: str, runs: int) -> World:
        """Train them."""
        suite = load_suite(SUITE, BUDGET)
        kept = {
            "splits": [split for split in suite.splits if split.name in SPLITS],
            "algorithms": {algorithm: suite.algorithms[algorithm]},
            "seeds": list(range(runs)),
        }
        contexts = [TrainingContext(cell, Machine(engine=ENGINE)) for cell in expand(suite.model_copy(update=kept))]
        trained = [_trained(context) for context in contexts]
        first = contexts[0]
        return cls(first, Evaluators(first), trained, [_exact(first, meta) for meta in trained])

    def results(self, runs: np.ndarray, repeat: int, episodes: int) -> Results:
        """Some of the runs (S,) as the seeds of a suite, tested on episodes of this repeat."""
        rows = []
        for split in self.context.cell.suite.splits:
            sampler = self.context.sampler(split, "test")
            sampler = Sampler(sampler.tasks, sampler.spec, seed_of(f"selftest {split.name}", repeat))
            drawn = sampler.draw(episodes)
            for seed, run in enumerate(runs):
                scored = score_draw(self.evaluators, self.runs[run], split, sampler, drawn, STANDARD, lambda _: None)
                rows.append(scored.assign(algorithm=self.label, seed=seed))
        cells = pd.DataFrame({"algorithm": self.label, "seed": range(len(runs)), "selected_iteration": 0})
        return Results(
            suite=self.context.cell.suite,
            cells=cells,
            curves=pd.DataFrame(),
            samples={},
            notes=[],
            episodes=pd.concat(rows, ignore_index=True),
            quantities=self._recorded(runs),
        )

    def truths(self, grids: Grids) -> dict[tuple[str, str], float]:
        """What is true of new runs and new episodes: the means over the population, by gap and split."""
        every = self._recorded(range(len(self.runs))).set_index(["algorithm", "split", "seed"])["value"]
        found = contrasts(exactly(grids, -every), self.label)
        return {(gap, split): value(terms) for gap, split, terms in found}

    @property
    def label(self) -> str:
        """Of the algorithm."""
        return self.context.cell.label

    def _recorded(self, runs: Iterable[int]) -> pd.DataFrame:
        rows = [
            {"algorithm": self.label, "seed": seed, "split": split, "value": risk}
            for seed, run in enumerate(runs)
            for split, risk in self.exact[run].items()
        ]
        return pd.DataFrame(rows).assign(quantity=RISK, iteration=0, episode=-1)


def _trained(context: TrainingContext) -> Params:
    """The meta-parameters of a run."""
    if context.algorithm.trains:
        settings = context.cell.training
        loop = OuterLoop(context.bind(context.training_spec), context.meta, settings, Strategy())
        sampler = Sampler(context.training_tasks, context.training_spec, seed_of("training", context.cell.seed))
        for _ in range(settings.iterations):
            loop.step(sampler.episodes(settings.meta_batch))
    return context.meta


def _exact(context: TrainingContext, meta: Params) -> dict[str, float]:
    """The exact risk on each split."""
    found = {}
    for split in context.cell.suite.splits:
        spec = context.spec(split)
        tasks: LinearTasks = context.sampler(split, "test").tasks  # pyright: ignore[reportAssignmentType]
        facts = tasks.facts(spec)
        learner = asked(context.bind(spec, test=True), meta, context.cell.evaluation.steps, facts)
        found[split.name] = linear_risk.risk(facts, learner)
    return found
