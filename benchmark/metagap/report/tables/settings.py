"""What each algorithm was run with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def settings(frames: Frames) -> Table:
    """Hyper-parameters and budget of each algorithm: what a comparison between them compares."""
    rows = []
    for name in frames.algorithms:
        entry = frames.suite.algorithms[name]
        training, evaluation = entry.training, entry.evaluation
        trained = frames.cells.loc[frames.cells["algorithm"] == name, "iterations"].max() > 0
        form = [f"{_any(training[key])} {key}" for key in ("ways", "shots", "queries") if training.get(key)]
        if imbalance := training.get("imbalance"):
            form.append(f"{imbalance} imbalance")
        budget = f"{training['iterations']:,} iterations of {training['meta_batch']} tasks"
        outer = outer_rule(training, entry.hyperparameters if frames.kind.acts else {})
        rows.append(
            {
                "algorithm": name,
                "hyper-parameters": ", ".join(f"{key} {value}" for key, value in entry.hyperparameters.items()),
                "meta-training": ", ".join([budget, *form]) if trained else "none",
                "outer loop": (trained and outer) or MISSING,
                "inner steps at test": ", ".join(
                    [str(evaluation["steps"]), *(f"{k} {v}" for k, v in evaluation.get("settings", {}).items())]
                ),
            }
        )
    return Table(
        name="settings",
        caption="Each algorithm's hyper-parameters and budget. The form of tasks is named where meta-training has its "
        "own; of several ways or shots, each meta-batch has one at random.",
        frame=pd.DataFrame(rows),
        labels=1,
        plain=frozenset({"hyper-parameters", "meta-training", "outer loop"}),
    )


def _any(values: int | list[int]) -> str:
    return " or ".join(map(str, values)) if isinstance(values, list) else str(values)


def outer_rule(training: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """What moves the meta-parameters: the optimizer, or the rule that a learner of policies has chosen.

    policy: its hyper-parameters; empty for learners of other kinds.
    """
    if policy.get("outer") == "trpo":
        return f"TRPO, divergence up to {policy['max_kl']}"
    schedule = "" if training.get("schedule", "constant") == "constant" else f", {training['schedule']} to 0"
    optimizer = " at ".join(str(training[key]) for key in ("optimizer", "lr") if key in training) + schedule
    if policy.get("outer") == "ppo":
        return f"PPO, {policy['outer_steps']} steps of {optimizer}"
    return optimizer


SETTINGS = TableKind(name="settings", section="provenance", make=settings)
