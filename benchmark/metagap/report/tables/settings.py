"""What each algorithm was run with."""

from __future__ import annotations

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
        form = [f"{training[key]} {key}" for key in ("shots", "queries") if training.get(key)]
        budget = f"{training['iterations']:,} iterations of {training['meta_batch']} tasks"
        schedule = "" if training.get("schedule", "constant") == "constant" else f", {training['schedule']} to 0"
        outer = " at ".join(str(training[key]) for key in ("optimizer", "lr") if key in training) + schedule
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
        caption="Each algorithm's hyper-parameters and budget. Shots and queries are named where meta-training has its "
        "own.",
        frame=pd.DataFrame(rows),
        labels=1,
        plain=frozenset({"hyper-parameters", "meta-training", "outer loop"}),
    )


SETTINGS = TableKind(name="settings", section="provenance", make=settings)
