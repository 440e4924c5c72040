"""Hand-made results: every number in them is chosen by the test."""

import numpy as np
import pandas as pd
import pytest

from metagap.results import Results
from metagap.suite import Suite


class Bench:
    """Collects grids of scores and hands them out as `metagap.results.Results`."""

    def __init__(self, kind="classification", ways=5, shots=1, steps=None):
        ways = ways if kind == "classification" else 1
        self.steps = steps or {"maml": 5}
        self.suite = {
            "name": "made up",
            "task": {"kind": kind, "ways": ways, "shots": shots, "queries": 15},
            "algorithms": {name: {"algorithm": name, "evaluation": {"steps": s}} for name, s in self.steps.items()},
            "splits": [],
            "published": [],
        }
        self.frames = []
        self.followed = []

    def split(self, name, role, ways=None, shots=None, source=None):
        task = self.suite["task"]
        entry = {"name": name, "role": role, "ways": ways or task["ways"], "shots": shots or task["shots"]}
        self.suite["splits"].append(entry | {"source": source or {"name": name}})
        return self

    def add(self, split, scores, algorithm="maml", condition="standard", step=None, seeds=None, **columns):
        """Scores (S, M) of one algorithm on one split; further columns are scalars or (S, M)."""
        self.frames.append(self._rows(split, scores, algorithm, condition, step, seeds, columns))
        return self

    def follow(self, split, scores, iterations, algorithm="maml"):
        """Scores (K, S, M) of one algorithm on one split at K iterations, the last of them as its scores, too."""
        for iteration, grid in zip(iterations, scores, strict=True):
            rows = self._rows(split, grid, algorithm, "standard", None, None, {})
            self.followed.append(rows.assign(iteration=iteration))
        is_tested = rows["role"].iloc[0] != "meta-val"
        return self.add(split, scores[-1], algorithm) if is_tested else self

    def _rows(self, split, scores, algorithm, condition, step, seeds, columns):
        scores = np.atleast_2d(np.asarray(scores, dtype=float))
        about = next(entry for entry in self.suite["splits"] if entry["name"] == split)
        n_seeds, n_episodes = scores.shape
        regression = self.suite["task"]["kind"] == "regression"
        defaults = {
            "support_loss": 0.1,
            "support_score": 1.0,
            "query_loss": -scores if regression else 0.5,
            "null_loss": 4.0 if regression else np.log(about["ways"]),
        }
        values = {name: np.broadcast_to(v, scores.shape).ravel() for name, v in (defaults | columns).items()}
        return pd.DataFrame(
            {
                "algorithm": algorithm,
                "seed": np.repeat(range(n_seeds) if seeds is None else seeds, n_episodes),
                "split": split,
                "role": about["role"],
                "condition": condition,
                "ways": about["ways"],
                "shots": about["shots"],
                "episode": np.tile(range(n_episodes), n_seeds),
                "step": self.steps[algorithm] if step is None else step,
                "query_score": scores.ravel(),
                **values,
            }
        )

    def only(self, *algorithms):
        """The same without the other algorithms."""
        self.frames = [frame for frame in self.frames if frame["algorithm"].iloc[0] in algorithms]
        return self

    def results(self):
        # Shuffled rows: nothing may depend on their order.
        episodes = pd.concat(self.frames, ignore_index=True).sample(frac=1, random_state=0).reset_index(drop=True)
        return Results(
            suite=Suite.recorded(self.suite),
            episodes=episodes,
            cells=episodes[["algorithm", "seed"]].drop_duplicates(),
            curves=pd.DataFrame(),
            samples={},
            notes=[],
            **({"along": pd.concat(self.followed, ignore_index=True)} if self.followed else {}),
        )


@pytest.fixture
def bench():
    return Bench


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def only():
    """The one row of a table that has the given values."""

    def pick(table, **where):
        for column, value in where.items():
            table = table[table[column] == value]
        assert len(table) == 1, f"{len(table)} rows with {where}"
        return table.iloc[0]

    return pick
