"""Every claim that a page makes, and how often it is made where it is false."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.comparisons import all_pairs
from metagap.analysis.equivalence import AGREES, DIFFERS, compare
from metagap.analysis.grids import STANDARD
from metagap.analysis.published_values import components_of, published_variance
from metagap.results import Results
from metagap.results.episodes import Columns, Grid, Key, Recorded
from metagap.selftest.worlds import GAUSSIAN, Law, Setting, World
from metagap.suite import Suite

ALGORITHMS, DOMAINS = 5, 9
MARGIN = 0.01
"""Between ours and a published value."""
PUBLISHED = ("nothing", "± over the episodes of one run", "± over 5 runs")
"""What a paper says on how its value varies."""


class Claims(NamedTuple):
    """How often pages of equal algorithms claim something: that a score is better, or a gap smaller."""

    better: float
    smaller: float
    any: float


def false_claims(law: Law, seeds: int, episodes: int, repeats: int, algorithms: int = ALGORITHMS) -> Claims:
    """The share of pages of equal algorithms on a home split and nine domains that claim any difference."""
    rng = np.random.default_rng([1, seeds, episodes])
    claims = np.zeros((repeats, 2), bool)
    for repeat in range(repeats):
        found = all_pairs(results_of(World.draw(rng, law, seeds, episodes, algorithms, Setting(DOMAINS))))
        claims[repeat] = [frame["verdict"].str.contains("better|smaller").any() for frame in found]
    better, smaller = claims.mean(axis=0)
    return Claims(float(better), float(smaller), float(claims.any(axis=1).mean()))


def false_verdicts(seeds: int, episodes: int, published: str, repeats: int) -> tuple[float, float]:
    """How often equal values "differ", and values a margin apart "agree"; the published runs vary as ours do."""
    differs = [verdict == DIFFERS for verdict in _verdicts(seeds, episodes, published, repeats, 0.0)]
    agrees = [verdict == AGREES for verdict in _verdicts(seeds, episodes, published, repeats, MARGIN)]
    return float(np.mean(differs)), float(np.mean(agrees))


def _verdicts(seeds: int, episodes: int, published: str, repeats: int, apart: float) -> list[str]:
    rng, law = np.random.default_rng([2, seeds, episodes, PUBLISHED.index(published)]), GAUSSIAN
    verdicts = []
    for _ in range(repeats):
        world = World.draw(rng, law, seeds, episodes, 1, Setting(0))
        runs, length = (5, 600) if published == PUBLISHED[2] else (1, 10_000)
        theirs = World.draw(rng, law, runs, length, 1, Setting(0)).home.scores[0]
        means = theirs.mean(axis=1)
        kind, half = None, np.nan
        if published == PUBLISHED[1]:
            kind, half = f"95% CI over {length} episodes", 1.96 * theirs[0].std(ddof=1) / np.sqrt(length)
        elif published == PUBLISHED[2]:
            kind, half = f"std over {runs} runs", means.std(ddof=1)
        known = published_variance(kind, half)
        center, components = components_of(world.home.scores[0])
        alike = published != PUBLISHED[2]
        verdicts.append(compare(center, components, means.mean() + apart, known, MARGIN, alike).verdict)
    return verdicts


def results_of(world: World) -> Results:
    """A world as the results of a suite that was run."""
    names = [f"algorithm {number}" for number in range(len(world.seeds))]
    splits = {"home": world.home} | {f"domain {number}": domain for number, domain in enumerate(world.domains)}
    task = {"kind": "classification", "ways": 5, "shots": 1, "queries": 5}
    roles = ["in-distribution", *["cross-domain"] * len(world.domains)]
    suite = {
        "name": "made-up",
        "task": task,
        "algorithms": {name: {"algorithm": name, "evaluation": {"steps": 1}} for name in names},
        "splits": [
            {"name": name, "role": role, "ways": 5, "shots": 1, "source": {"name": name}}
            for name, role in zip(splits, roles, strict=True)
        ],
        "published": [],
    }
    grids = {}
    for split, found in splits.items():
        for name, scores in zip(names, found.scores, strict=True):
            columns = {"query_score": scores, "query_loss": 1 - scores}
            seeds, episodes = (np.arange(n) for n in scores.shape)
            grids[Key(name, split, STANDARD, 1)] = Grid(seeds, episodes, columns)
    shape = pd.DataFrame({"role": roles, "ways": 5, "shots": 1}, index=pd.Index(list(splits), name="split"))
    rows = sum(grid.columns["query_score"].size for grid in grids.values())
    columns = Columns(rows, names, shape, grids, dict.fromkeys(splits, 1.0))
    cells = pd.DataFrame({"algorithm": names, "seed": 0})
    return Results(
        suite=Suite.recorded(suite),
        cells=cells,
        episodes=Recorded(lambda: columns, pd.DataFrame),
        curves=pd.DataFrame(),
        samples={},
        notes=[],
    )
