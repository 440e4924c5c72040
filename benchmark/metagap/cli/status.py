"""`metagap status`: how far suites are, while they run and afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metagap.cli import output
from metagap.cli.options import Json, ResultsFolder, completed


def status(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUITE]", help="Only this one, by its name or file.", autocompletion=completed("suite")
        ),
    ] = None,
    results: ResultsFolder = Path("results"),
    json: Json = False,
) -> None:
    """Show how far suites are: cells done, running, failed and waiting, and what they take on the disk."""
    from metagap.files import folder_name
    from metagap.results import status as rows_of

    rows = rows_of(results, None if suite is None else folder_name(Path(suite).stem, "SUITE"))
    if json:
        output.print_json(rows)
    elif rows:
        _print(rows)
    else:
        print(f"There is nothing in '{results}' yet.")


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.filesize import decimal
    from rich.markup import escape

    from metagap.listing import print_listing

    console = output.console()
    counts = [
        {
            "suite": row["suite"],
            "variant": row["variant"] or "–",
            "differs": row["differs"],
            "done": row["done"],
            **({"damaged": row["damaged"]} if any(one["damaged"] for one in rows) else {}),
            "running": len(row["running"]),
            "failed": len(row["failed"]),
            "waiting": "–" if row["waiting"] is None else row["waiting"],
            "disk": decimal(row["bytes"]),
        }
        for row in rows
    ]
    print_listing(counts, console)
    for row in rows:
        for one in row["running"]:
            console.print(f"{_name(row, one)}: {_progress(one)}", markup=False, soft_wrap=True)
        for one in row["failed"]:
            line = f"[red]✗[/] {escape(_name(row, one))} failed on {one['when']}: {escape(one['reason'])}"
            console.print(line, soft_wrap=True)


def _name(row: dict[str, Any], cell: dict[str, Any]) -> str:
    return f"{row['suite']}, {cell['label']} seed {cell['seed']}"


def _progress(one: dict[str, Any]) -> str:
    """Where a cell runs, and how far it is."""
    parts = [f"{one['phase']} {one['done']:,} of {one['total']:,}" if one["phase"] else "running"]
    if one["rate"]:
        parts.append(f"{one['rate']:,.2g}/s" if one["rate"] < 10 else f"{one['rate']:,.0f}/s")
    if one["left"] is not None:
        minutes, seconds = divmod(round(one["left"]), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
    silent = f"; no sign of life for {one['silent']:.0f} s" if one["silent"] > SILENT else ""
    return f"{', '.join(parts)}, by process {one['pid']} on {one['host']}{silent}"


SILENT = 60
"""Seconds without a beat that are worth a word."""
