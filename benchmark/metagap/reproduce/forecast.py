"""What running a table would take: cells, time, data and disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape

from metagap import registry
from metagap.engine.machines import devices
from metagap.engine.process import set_up
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.progress import bars
from metagap.report.table import Table
from metagap.report.terminal import print_table
from metagap.reproduce.running import Work
from metagap.runner.cost import estimate
from metagap.runner.score import missing
from metagap.source_tables import registered_name


def forecast(todo: Sequence[Work], store: Path, machine: Machine, console: Console) -> dict[str, Any]:
    """A row per suite and algorithm, the data that are missing, and time and disk in all.

    Every kind of cell that is to be run is timed on this machine for a few iterations and episodes, one after the
    other, where its data are here. Times are in seconds, sizes in bytes; what cannot be known is None.
    """
    pending = sum(len(one.lacking) for one in todo)
    set_up()  # as for a cell
    workers = devices(machine)
    rows = list(_rows(todo, machine.worker(workers[0], min(len(workers), pending)), console))
    known = [row for row in rows if row["seconds a cell"] is not None]
    each = [row["seconds a cell"] for row in known for _ in range(row["to run"])]
    return {
        "workers": workers,
        "cells": rows,
        "missing data": _missing_data(todo),
        "seconds": max([sum(each) / len(workers), *each], default=0.0),
        "bytes here": sum(_size(cell.folder(store)) for one in todo for cell in one.cells),
        "bytes to come": sum(row["to run"] * row["bytes a cell"] for row in known),
        "not timed": sum(row["to run"] for row in rows if row["seconds a cell"] is None),
    }


def print_forecast(found: dict[str, Any], console: Console) -> None:
    """The result of `forecast`, for reading."""
    print_table(_table(found["cells"]), console)
    for row in found["missing data"]:
        if row["needed"]:
            how = f": {row['download']}, `metagap data get {row['source']}`" if row["download"] else ""
            console.print(f"[yellow]Missing data:[/] {escape(row['source'] + how)}")
    if optional := [row["source"] for row in found["missing data"] if not row["needed"]]:
        console.print(f"Optional data that are missing: {escape(', '.join(optional))}")
    done, to_run = (sum(row[key] for row in found["cells"]) for key in ("done", "to run"))
    workers, left = len(found["workers"]), []
    if to_run > found["not timed"]:
        on = f"{workers} worker{'s' * (workers != 1)} ({', '.join(sorted(set(found['workers'])))})"
        left.append(f"about {_time(found['seconds'])} of computing on {on}")
    if found["not timed"]:
        left.append(f"{found['not timed']} that cannot be timed without their data")
    console.print(f"{done + to_run} cells, {done} done. To run: {' and '.join(left) or 'nothing'}.")
    console.print(f"Results: {decimal(found['bytes here'])} here{_to_come(found, to_run)}.")


def _table(cells: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for row in cells:
        timed = row["seconds a cell"] is not None
        rows.append(
            {
                "suite": row["suite"],
                "algorithm": row["algorithm"],
                "done": f"{row['done']} of {row['done'] + row['to run']}",
                "iterations": f"{row['iterations']:,}",
                "a cell takes": _time(row["seconds a cell"]) if timed else "not known" if row["to run"] else "",
            }
        )
    caption = "Cells that are done, and how long one takes that is not: a few iterations and episodes were timed here."
    return Table("forecast", caption, pd.DataFrame(rows), labels=2, title="What there is to run")


def _rows(todo: Sequence[Work], machine: Machine, console: Console) -> Iterator[dict[str, Any]]:
    kinds = [(one, label) for one in todo for label in one.part.rows]
    with bars(console) as bar:
        task = bar.add_task("", total=len(kinds))
        for one, label in kinds:
            bar.update(task, description=f"timing {label} of {one.part.suite.name}")
            yield _row(one, label, machine)
            bar.advance(task)


def _row(one: Work, label: str, machine: Machine) -> dict[str, Any]:
    cells = [cell for cell in one.cells if cell.label == label]
    lacking = [cell for cell in one.lacking if cell.label == label]
    seconds = size = None
    if lacking:
        try:
            found = estimate(lacking[0], machine)
            seconds, size = found.seconds, found.bytes
        except UserError:
            pass  # its data are listed as missing
    return {
        "suite": one.part.suite.name,
        "algorithm": label,
        "done": len(cells) - len(lacking),
        "to run": len(lacking),
        "iterations": cells[0].training.iterations,
        "seconds a cell": seconds,
        "bytes a cell": size,
    }


def _to_come(found: dict[str, Any], to_run: int) -> str:
    if not to_run:
        return ""
    if found["not timed"] == to_run:
        return ", how much is to come is not known"
    more = " and what the cells take that cannot be timed" if found["not timed"] else ""
    return f", about {decimal(found['bytes to come'])} to come{more}"


def _missing_data(todo: Sequence[Work]) -> list[dict[str, Any]]:
    """A row for each source that is not here, and whether the table needs it."""
    rows: dict[str, dict[str, Any]] = {}
    for one in todo:
        for split, needed in one.data:
            name, fault = split.source["name"], missing(split)
            if fault:
                size = getattr(registry.load("source", registered_name(split.source)), "download_size", "")
                row = rows.setdefault(name, {"source": name, "download": size, "needed": False, "found": fault})
                row["needed"] |= needed
    return list(rows.values())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.0f} days"
