"""One cell: train what is not trained, score what is not scored, and say that it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from metagap import digests, results
from metagap.engine.memory import watching_memory
from metagap.machine import Machine
from metagap.results.lease import hold
from metagap.runner.along import score_along
from metagap.runner.attempts import Attempt
from metagap.runner.context import Report, TrainingContext, log
from metagap.runner.environment import environment
from metagap.runner.log import logged
from metagap.runner.quantities import measure
from metagap.runner.score import missing, score_splits
from metagap.runner.snapshots import Snapshots
from metagap.runner.train import train
from metagap.suite import Cell, Suite, as_json


def is_done(cell: Cell, store: Path, index: results.Index | None = None) -> bool:
    """Whether the cell is trained and scored on every split of its suite whose data are here, and its files are whole.

    Weights and snapshots are not looked at, for nothing is left to be done with them. index: of its suite, which spares
    reading what is known to be whole.
    """
    index = index or results.Index()
    try:
        one = index.marked(index.files(cell.folder(store)), f"done-{cell.variant}.json")
    except results.DamagedError:
        return False
    if one is None or one.is_earlier or results.damage_in(one, index):
        return False
    known = one.head
    for split in cell.suite.test_splits:
        if split.name not in known.splits and not (split.optional and missing(split)):
            return False
        here = cell.split_data.get(split.name)
        if split.name in known.splits and here is not None and here != known.splits[split.name]:
            return False  # data of an optional split that are other ones by now
    if not cell.quantities.keys() <= set(known.quantities):
        return False
    return all(split.name in known.along or (split.optional and missing(split)) for split in cell.suite.splits_along)


def unfinished(cells: Sequence[Cell], store: Path, index: results.Index | None = None) -> list[Cell]:
    """Those of a suite's cells that are not done. index: of the suite; what is verified is noted in it."""
    if not cells:
        return []
    index = index or results.Index(store / cells[0].suite.name)
    try:
        return [cell for cell in cells if not is_done(cell, store, index)]
    finally:
        index.save()


def run_cell(cell: Cell, store: Path, machine: Machine, report: Report = lambda *_: None) -> None:
    """Run what is left to run of a cell, with the lease on its folder.

    store: the results folder. Raises UserError where data are missing or unfit, HeldError where another process has the
    cell, and LostError where one took it over, as after this process was suspended for long.
    """
    with hold(cell.folder(store)) as lease:

        def told(phase: str, done: int, total: int) -> None:
            lease.tell(phase, done, total)
            report(phase, done, total)

        if not is_done(cell, store):
            with logged(cell.folder(store), str(cell), told) as also_logged:
                _run(cell, store, machine, also_logged)


def _run(cell: Cell, store: Path, machine: Machine, report: Report) -> None:
    folder, context = cell.folder(store), TrainingContext(cell, machine)
    with watching_memory(context.shortages):
        _compute(cell, context, folder, report)


def _compute(cell: Cell, context: TrainingContext, folder: Path, report: Report) -> None:
    results.sweep(folder, mine=True)
    snapshots = Snapshots(context, folder / "snapshots")
    here = environment(context.device)
    attempt = Attempt(folder, here, context.device, context.machine.checkpoint_seconds)
    attempt.write()
    report = attempt.watching(report)
    _set_marker_aside(folder / f"done-{cell.variant}.json")
    sha256 = {"config.json": _kept(folder / "config.json", json.loads(json.dumps(cell.identity)))}
    trained = train(context, folder, report, here, snapshots)
    sha256["environment.json"] = _kept(folder / "environment.json", trained.environment)
    sha256["curve.parquet"] = _kept(folder / "curve.parquet", trained.curve)
    sha256["checkpoint.pt"] = digests.of_file(folder / "checkpoint.pt")
    report = context.deadline.kept(report)
    started = time.monotonic()
    scored = score_splits(context, trained.meta, folder / "evaluation", report)
    sha256 |= {f"evaluation/{name}": digest for name, digest in scored.pop("sha256").items()}
    record = {
        **trained.record,
        "eval_seconds": time.monotonic() - started,
        "parameters": sum(parameter.numel() for parameter in context.network.parameters()),
    }
    if context.points:
        along = score_along(context, snapshots, folder / "along", report)
        sha256 |= {f"along/{name}": digest for name, digest in along.pop("sha256").items()}
        sha256 |= {f"snapshots/{name}": digest for name, digest in snapshots.sha256().items()}
        scored |= along
    if cell.suite.evaluation.quantities:
        selected = {trained.record["selected_iteration"]: trained.meta}
        measured = measure(context, snapshots, selected, folder / "quantities", report)
        sha256 |= {f"quantities/{name}": digest for name, digest in measured.pop("sha256").items()}
        scored |= measured | {"notes": [*scored["notes"], *measured["notes"]]}
    scored["notes"] += [f"{cell}: {said}." for said in dict.fromkeys(context.shortages)]
    attempt.write()
    about = {"record": record | attempt.total(), "environments": attempt.environments()}
    marker = {**as_json(cell), **scored, **about, "sha256": sha256, "finished": datetime.now(UTC).isoformat()}
    results.write_marker(folder, marker | {"metrics": described(cell.suite)})
    results.clear_failure(folder)


def described(suite: Suite) -> list[dict[str, Any]]:
    """The metrics of the records, the headline first, so that a report needs no plugin."""
    ways = [suite.task.ways, *(split.ways for split in suite.splits if split.ways is not None)]
    return [metric.described(ways) for metric in suite.metrics]


def _set_marker_aside(path: Path) -> None:
    """Make room for a new marker where there is one that is damaged or of another format."""
    try:
        marker = results.read_marker(path)
        problem = "" if marker is not None and marker["format"] == results.FORMAT else f"'{path}' has another format"
    except results.DamagedError as error:
        problem = str(error)
    if problem and path.is_file():
        log.warning("%s; it is kept as '%s'", problem, results.set_aside(path).name)


def _kept(path: Path, value: Any) -> str:
    """Write a file unless it is there and says just this; returns its digest. Another one is set aside, and logged."""
    if path.is_file():
        try:
            if isinstance(value, pd.DataFrame):
                same = results.read_frame(path).equals(value)
            else:
                same = results.read_json(path) == value
            if same:
                return digests.of_file(path)
            problem = f"'{path}' is not that of this training"
        except results.DamagedError as error:
            problem = str(error)
        log.warning("%s; it is written again, and kept as '%s'", problem, results.set_aside(path).name)
    if isinstance(value, pd.DataFrame):
        return results.write_frame(path, value)
    return results.write_json(path, value)


def _marker(cell: Cell, store: Path) -> Path:
    return cell.folder(store) / f"done-{cell.variant}.json"
