"""Made-up results of the stored form, with names that need escaping and episodes that diverge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from metagap.report.contents import CONTENTS
from metagap.report.frames import Frames
from metagap.report.page import make, tables_of
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.results import Results
from metagap.suite import Suite

ALGORITHMS = ("maml", "fomaml", "reptile", "scratch", "pretrain")
CLASSIFICATION_SPLITS = (
    ("Omniglot train", "meta-train", 0.95),
    ("Omniglot train, held-out images", "recurring-task", 0.93),
    ("Omniglot val", "meta-val", 0.91),
    ("Omniglot test", "in-distribution", 0.90),
    ("Kuzushiji-Kanji", "cross-domain", 0.72),
    ("EMNIST <letters>", "cross-domain", 0.80),
    ("Fashion-MNIST & friends", "cross-domain", 0.48),
    ("Omniglot 10-way", "in-distribution", 0.80),
)
REGRESSION_SPLITS = (
    ("sinusoid train", "meta-train", 0.30),
    ("sinusoid test", "in-distribution", 0.35),
    ("larger amplitude", "cross-domain", 2.4),
    ("square wave", "cross-domain", 1.1),
)
SKILL = {"maml": 0.0, "fomaml": -0.02, "reptile": -0.03, "scratch": -0.35, "pretrain": -0.12}


def all_tables(frames: Frames) -> dict[str, Table]:
    """Every table that has something to show, by name."""
    return tables_of(make(frames, [shown for shown in CONTENTS if isinstance(shown, TableKind)])[1])


def make_results(
    kind: str = "classification",
    algorithms: tuple[str, ...] = ALGORITHMS,
    seeds: tuple[int, ...] = (0, 1, 2),
    episodes: int = 60,
    diverged: float = 0.04,
    curve_steps: int = 4,
    published: bool = True,
    small: bool = False,
    roles: tuple[str, ...] = ("meta-train", "in-distribution", "cross-domain"),
) -> Results:
    """A whole `Results` of `kind`; `diverged` is the share of regression episodes whose loss explodes.

    `small` keeps one split of each of these roles.
    """
    rng = np.random.default_rng(0)
    splits = CLASSIFICATION_SPLITS if kind == "classification" else REGRESSION_SPLITS
    if small:
        first = {role: (name, role, level) for name, role, level in reversed(splits)}
        splits = tuple(first[role] for role in roles)
    suite = _suite(kind, algorithms, seeds, splits, curve_steps, published)
    frames = [
        _episodes(rng, suite, algorithm, seed, split, level, episodes, diverged)
        for algorithm in algorithms
        for seed in seeds
        for split, (_, _, level) in zip(suite["splits"], splits, strict=True)
    ]
    return Results(
        suite=Suite.recorded(suite),
        cells=_cells(algorithms, seeds),
        episodes=pd.concat(frames, ignore_index=True),
        curves=pd.concat(
            [_curve(rng, kind, a, s).iloc[: None if a != "scratch" else 0] for a in algorithms for s in seeds]
        ),
        samples={split["name"]: _sample(rng, kind, split) for split in suite["splits"]},
        notes=["2 other configurations of this suite are in the store <not shown>."],
    )


def followed(results: Results, points: tuple[int, ...] = (0, 1000, 2000)) -> Results:
    """The same as if training had been followed: scores that rise, and two quantities; "scratch" does not train."""
    rng, last = np.random.default_rng(1), points[-1]
    rows = results.episodes[results.episodes["condition"] == "standard"]
    rows = rows[rows["step"] == rows["algorithm"].map(results.suite.headline_step)]
    along, quantities = [], []
    for iteration in points:
        here = rows if iteration == 0 else rows[rows["algorithm"] != "scratch"]
        noise = rng.normal(0, 0.01, len(here))
        lost = np.where(here["role"] == "cross-domain", 0.2, 0.5) * (1 - iteration / last)
        along.append(here.assign(iteration=iteration, query_score=here["query_score"] - lost + noise))
        for algorithm, seed in here[["algorithm", "seed"]].drop_duplicates().itertuples(index=False):
            about = {"algorithm": algorithm, "seed": seed, "iteration": iteration}
            tested = [split.name for split in results.suite.splits]
            measured = [("gradient-alignment", split, episode) for split in tested for episode in (0, 1)]
            for quantity, split, episode in [*measured, ("<norm>", "", -1)]:
                value = np.nan if algorithm == "reptile" and split else rng.normal(3e-7 if split else 4e4)
                key = {"quantity": quantity, "split": split, "episode": episode}
                quantities.append(about | key | {"value": value})
    return replace(results, along=pd.concat(along, ignore_index=True), quantities=pd.DataFrame(quantities))


def _suite(kind, algorithms, seeds, splits, curve_steps, published):
    ways, shots = (5, 1) if kind == "classification" else (1, 5)
    first_test = next(name for name, role, _ in splits if role == "in-distribution")
    value = 0.987 if kind == "classification" else 0.41
    evaluation = {"episodes": 60, "steps": 3, "curve_steps": curve_steps, "batch_norm": "transductive"}
    training = {"iterations": 2000, "meta_batch": 16, "steps": 2}
    return {
        "name": f"synthetic-{kind}",
        "title": f"Synthetic {kind} <b>suite</b>",
        "description": "Made-up numbers & names that need escaping.",
        "deviations": ["Classes are drawn <anew>.", "Tests have [more] queries."] if published else [],
        "task": {"kind": kind, "ways": ways, "shots": shots, "queries": 15},
        "model": {"name": "conv4" if kind == "classification" else "mlp", "channels": 64},
        "source": {"name": "synthetic"},
        "training": training,
        "evaluation": evaluation,
        "algorithms": {
            name: {
                "algorithm": name,
                "inner_lr": 0.4,
                "training": training,
                "evaluation": {"steps": 3, "curve_steps": curve_steps},
            }
            for name in algorithms
        },
        "seeds": list(seeds),
        "splits": [
            {
                "name": name,
                "role": role,
                "source": {"name": "synthetic"},
                "ways": 10 if "10-way" in name else ways,
                "shots": shots,
                "queries": 15,
            }
            for name, role, _ in splits
        ],
        "published": [
            {
                "algorithm": algorithms[0],
                "split": first_test,
                "step": 3,
                "value": value,
                "interval": 0.004,
                "kind": "95% CI over episodes",
                "source": "Author et al. 2017, Table 1, https://example.org/paper",
                "mark": "V",
            }
        ]
        if published
        else [],
    }


def _episodes(rng, suite, algorithm, seed, split, level, episodes, diverged):
    kind = suite["task"]["kind"]
    classification = kind == "classification"
    headline = suite["algorithms"][algorithm]["evaluation"]["steps"]
    steps = range(suite["evaluation"]["curve_steps"] + 1)
    difficulty = np.random.default_rng(sum(map(ord, split["name"]))).normal(0, 1, episodes)
    moments = [("standard", step) for step in steps]
    moments += [(condition, headline) for condition in ("inductive", "shuffled", "open") if classification]
    moments += [(condition, headline) for condition in ("shuffled", "open") if not classification]
    rows = []
    seed_effect = 0.006 * rng.normal()
    for condition, step in moments:
        progress = 1 - np.exp(-1.6 * step)
        if classification:
            chance = 1 / split["ways"]
            goal = level + SKILL.get(algorithm, -0.05) + seed_effect - (0.02 if condition == "inductive" else 0)
            mean = chance + (goal - chance) * (0.0 if condition == "shuffled" else progress)
            query = np.clip(mean + 0.04 * difficulty + 0.03 * rng.normal(size=episodes), 0, 1)
            support = np.clip(query + 0.06 * progress, 0, 1)
            query_loss, support_loss = -np.log(query.clip(1e-3)), -np.log(support.clip(1e-3))
            null = np.full(episodes, np.log(split["ways"]))
        else:
            start, worse = 4.0, 1 - 4 * SKILL.get(algorithm, -0.05)
            goal = level * worse * (6 if condition == "shuffled" else 1)
            query_loss = (start + (goal - start) * progress) * np.exp(
                0.5 * difficulty + 0.2 * rng.normal(size=episodes)
            )
            broken = (rng.random(episodes) < diverged) & (step > 1)
            query_loss = np.where(broken, rng.choice([1e20, np.inf, np.nan], episodes), query_loss)
            support_loss = query_loss * (1 - 0.5 * progress)
            query, support = -query_loss, -support_loss
            null = np.full(episodes, 4.5)
        rows.append(
            pd.DataFrame(
                {
                    "algorithm": algorithm,
                    "seed": seed,
                    "split": split["name"],
                    "role": split["role"],
                    "condition": condition,
                    "ways": split["ways"],
                    "shots": split["shots"],
                    "episode": np.arange(episodes),
                    "step": step,
                    "support_loss": support_loss,
                    "support_score": support,
                    "query_loss": query_loss,
                    "query_score": query,
                    "null_loss": null,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _cells(algorithms, seeds):
    return pd.DataFrame(
        [
            {
                "algorithm": algorithm,
                "seed": seed,
                "hash": "0a1b2c3d",
                "iterations": 2000,
                "selected_iteration": -1 if algorithm == "scratch" else 1500 + 100 * seed,
                "selection": "none" if algorithm == "scratch" else "best on validation",
                "train_seconds": 61.5,
                "eval_seconds": 9.25,
                "device": "CPU <2 cores>",
                "torch": "2.15.0",
                "commit": "abcdef0123",
                "parameters": 111_936,
                "label": algorithm,
            }
            for algorithm in algorithms
            for seed in seeds
        ]
    )


def _curve(rng, kind, algorithm, seed):
    iteration = np.arange(0, 2000, 10)
    loss = 0.3 + 1.5 * np.exp(-iteration / 400) + 0.1 * rng.random(len(iteration)) - 0.2 * SKILL.get(algorithm, -0.05)
    score = np.exp(-0.5 * loss) if kind == "classification" else -loss
    validated = iteration % 200 == 100
    return pd.DataFrame(
        {
            "algorithm": algorithm,
            "seed": seed,
            "iteration": iteration,
            "loss": loss,
            "score": score,
            "val_loss": np.where(validated, loss + 0.1, np.nan),
            "val_score": np.where(validated, score - 0.05, np.nan),
            "seconds": iteration * 0.03,
        }
    )


def _sample(rng, kind, split):
    ways, shots = split["ways"], split["shots"]
    if kind == "classification":
        strokes = np.zeros((ways, 1, 28, 28), np.uint8)
        for glyph in strokes[:, 0]:
            point = rng.integers(6, 22, 2)
            for _ in range(60):
                point = np.clip(point + rng.integers(-2, 3, 2), 1, 26)
                glyph[point[0] : point[0] + 2, point[1] : point[1] + 2] = 255
        support_y, query_y = np.repeat(np.arange(ways), shots), np.repeat(np.arange(ways), 3)
        return {
            "support_x": strokes[support_y],
            "support_y": support_y,
            "query_x": np.stack([np.roll(strokes[y], rng.integers(-3, 4), axis=-1) for y in query_y]),
            "query_y": query_y,
            "class_names": np.array([f"Tagalog/character{i:02d}" for i in range(ways)]),
        }
    curve_x = np.tile(np.linspace(-5, 5, 200)[None, :, None], (4, 1, 1))
    phase, height = rng.uniform(0, 3, (4, 1, 1)), rng.uniform(0.2, 5, (4, 1, 1))
    support_x, query_x = rng.uniform(-5, 5, (4, shots, 1)), rng.uniform(-5, 5, (4, 10, 1))
    return {
        "support_x": support_x,
        "support_y": height * np.sin(support_x + phase),
        "query_x": query_x,
        "query_y": height * np.sin(query_x + phase),
        "curve_x": curve_x,
        "curve_y": height * np.sin(curve_x + phase),
    }
