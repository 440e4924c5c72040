"""`metagap report` timed on made-up records of many test episodes, in the form in which a run writes them."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from metagap import results
from metagap.conditions import CONDITIONS, STANDARD
from metagap.errors import CellError, UserError
from metagap.suite import Cell, Split, as_json, expand, load_suite

SUITE = "quickstart"
SEEDS = range(5)
STEPS = 5
"""Recorded inner steps of an episode, that before adaptation included."""
MEGABYTE = 2**20


class Cost(NamedTuple):
    """What a report took."""

    rows: int
    """One per test episode and inner step."""
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of the memory of the process."""

    def __str__(self) -> str:
        return (
            f"report of {self.rows:,} rows: {self.cpu_seconds:.1f} s CPU ({self.seconds:.1f} s), "
            f"{self.peak_bytes / MEGABYTE:,.0f} MiB at most"
        )


def measure(rows: int) -> Cost:
    """What `metagap report` takes where about `rows` rows are recorded.

    The records are those of five algorithms with five seeds. Raises UserError for too few rows, CellError where the
    report fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = write(Path(folder, "results"), rows)
        return _timed(Path(folder), written)


def write(store: Path, rows: int) -> int:
    """Write finished cells with about `rows` rows of made-up scores; returns how many there are.

    Raises UserError where these are less than an episode for every cell and split.
    """
    suite = load_suite(SUITE, [f"evaluation.curve_steps={STEPS - 1}"]).model_copy(update={"seeds": list(SEEDS)})
    cells = expand(suite)
    least = len(cells) * len(suite.test_splits) * STEPS
    if rows < least:
        raise UserError(f"--report-rows {rows}: at least {least:,} are needed, an episode for every cell and split")
    return sum(write_cell(cell, store, rows // least) for cell in cells)


def write_cell(cell: Cell, store: Path, episodes: int) -> int:
    """Write a finished cell with that many episodes of every split; returns how many rows there are."""
    folder, rng, sha256, files, rows = cell.folder(store), np.random.default_rng(cell.seed), {}, {}, 0
    curve = pd.DataFrame({"iteration": [0.0], "seconds": 0.0, "loss": 1.0, "score": 0.5}).assign(
        val_loss=1.0, val_score=0.5
    )
    environment = {"device": "cpu", "torch": "none", "commit": "none"}
    sha256["config.json"] = results.write_json(folder / "config.json", cell.identity)
    sha256["environment.json"] = results.write_json(folder / "environment.json", environment)
    sha256["curve.parquet"] = results.write_frame(folder / "curve.parquet", curve)
    for number, split in enumerate(cell.suite.test_splits):
        frame = pd.concat(_scores(cell, split, episodes, rng), ignore_index=True)
        files[split.name] = f"split-{number}"
        name = f"evaluation/{files[split.name]}.parquet"
        sha256[name] = results.write_frame(folder / name, frame)
        rows += len(frame)
    record = {"iterations": 1, "selected_iteration": 1, "selection": "best on validation", "train_seconds": 1.0}
    record |= {"diverged": False, "eval_seconds": 1.0, "parameters": 1}
    marker = {**as_json(cell), "files": files, "sha256": sha256, "episodes": {}, "notes": [], "record": record}
    results.write_marker(folder, marker)
    return rows


def _scores(cell: Cell, split: Split, episodes: int, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    evaluation, task = cell.evaluation, cell.suite.split_task(split)
    queries = task.ways * task.queries
    for condition in CONDITIONS:
        usual = condition == STANDARD
        count = episodes if usual else min(episodes, evaluation.diagnostic_episodes)
        steps = range(STEPS) if usual else [evaluation.steps]
        right = rng.binomial(queries, 0.6, (count * len(steps)))
        loss = rng.exponential(1.0, len(right))
        has_ways = task.ways > 1  # without them the score is minus the squared error
        yield pd.DataFrame(
            {
                "episode": np.repeat(np.arange(count), len(steps)),
                "step": np.tile(steps, count),
                "support_loss": loss / 2,
                "support_score": 1.0 if has_ways else -loss / 2,
                "query_loss": loss,
                "query_score": right / queries if has_ways else -loss,
                "null_loss": np.log(task.ways) if has_ways else 2.0,
                "split": split.name,
                "role": split.role,
                "condition": condition.name,
                "ways": task.ways,
                "shots": task.shots,
            }
        )


def _timed(folder: Path, rows: int) -> Cost:
    code = "from metagap.cli import main; main()"
    command = [sys.executable, "-c", code, "report", SUITE, "--results", "results", "--out", "reports"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise CellError(f"the report failed: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(rows, seconds, cpu, after.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
