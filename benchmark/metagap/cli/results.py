"""`metagap results`: what is in the store, whether it is whole, and taking from it or adding to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metagap.cli import output
from metagap.cli.options import Json, ReportsFolder, ResultsFolder, Seeds
from metagap.errors import UserError
from metagap.text import printable

if TYPE_CHECKING:
    from metagap.results.contrast import Contrast
    from metagap.results.verify import Checked

app = typer.Typer(help="The store: what is in it, and whether it is whole.", no_args_is_help=True)

Stored = Annotated[str | None, typer.Argument(metavar="[SUITE]", help="A suite that has results; all by default.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing: what there is to do.")]


@app.command(name="list")
def results_list(
    results: ResultsFolder = Path("results"), out: ReportsFolder = Path("reports"), json: Json = False
) -> None:
    """List every variant of every suite: in what it differs, how many cells are done, and where its report is."""
    from metagap.listing import print_listing
    from metagap.results import listing

    rows = listing(results, out)
    if json:
        output.print_json(rows)
    elif rows:
        print_listing([{**row, "bytes": f"{row['bytes']:,}"} for row in rows], output.console())
    else:
        print(f"No finished results in '{results}'.")


@app.command()
def verify(suite: Stored = None, results: ResultsFolder = Path("results"), json: Json = False) -> None:
    """Look at every file: its digest and its form. A line for each fault; exit code 1 if there is any."""
    from metagap.results.verify import verify as verified

    found = list(verified(results, suite))
    faults = [fault for one in found for fault in one.faults]
    if json:
        output.print_json({"files": sum(one.files for one in found), "cells": [_checked(one) for one in found]})
    else:
        screen = output.console()
        for fault in faults:
            screen.print(str(fault), markup=False, soft_wrap=True)
        _tell_of_work(found)
        left_out, files = sum(len(one.left_out) for one in found), sum(one.files for one in found)
        apart = f"; {left_out} weights or samples were left out of these records" if left_out else ""
        mend = "; `metagap results repair` sets aside what is damaged" if faults else ""
        screen.print(
            f"{files:,} files, {len(faults) or 'no'} fault{'s' * (len(faults) != 1)}{apart}{mend}.", soft_wrap=True
        )
    raise typer.Exit(bool(faults))


@app.command()
def repair(
    suite: Stored = None, results: ResultsFolder = Path("results"), dry_run: DryRun = False, json: Json = False
) -> None:
    """Set aside what is damaged, keep what is good, and say which cells will run again and why."""
    from metagap.results import sweep
    from metagap.results.repair import repair as repaired

    found = list(repaired(results, suite, dry_run))
    swept = [] if dry_run else sweep(results / suite if suite else results)
    if json:
        output.print_json(
            [{**_checked(one.checked), "aside": {str(k): str(v) for k, v in one.aside.items()}} for one in found]
        )
        return
    screen, again = output.console(), 0
    for one in found:
        for fault in one.checked.faults:
            aside = f"; kept as '{one.aside[fault.path].name}'" if fault.path in one.aside else ""
            screen.print(f"{fault}{aside}", markup=False, soft_wrap=True)
        if one.checked.again:
            again += 1
            screen.print(
                f"  {one.checked} will run again: {'; '.join(one.checked.again)}", markup=False, soft_wrap=True
            )
        elif one.checked.faults:
            screen.print(f"  nothing of {one.checked} runs again", markup=False, soft_wrap=True)
    _tell_of_work([one.checked for one in found])
    cells = f"{again or 'no'} cell{'s' * (again != 1)} will run again with `metagap run`"
    screen.print(f"{'Nothing was changed; ' if dry_run else ''}{cells}." if found else "Nothing is damaged.")
    if swept:
        screen.print(f"{len(swept)} temporary files and folders of killed runs were removed.")


@app.command()
def remove(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite that has results.")],
    variant: Annotated[str | None, typer.Option(metavar="HASH", help="Only this variant.")] = None,
    algorithm: Annotated[
        list[str] | None, typer.Option("--algorithm", "-a", metavar="A", help="Only this label (repeatable).")
    ] = None,
    seed: Seeds = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only cells that failed.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Only files that were set aside.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    results: ResultsFolder = Path("results"),
    dry_run: DryRun = False,
) -> None:
    """Remove results of a suite: shows what and how much, and asks. What other variants share is kept."""
    from rich.filesize import decimal

    from metagap.results.removal import plan
    from metagap.results.removal import remove as removed

    planned = plan(results, suite, variant, algorithm or (), seed or (), failed, damaged)
    screen = output.console()
    for one in planned:
        kept = f"; {one.kept} others are kept" if one.kept else ""
        what = f"{one.folder}: {len(one.files)} files, {decimal(one.bytes)}{kept}"
        screen.print(what, markup=False, soft_wrap=True)
    if not planned:
        screen.print("There is nothing to remove.")
        return
    total = f"{sum(len(one.files) for one in planned):,} files, {decimal(sum(one.bytes for one in planned))}"
    if dry_run:
        screen.print(f"Nothing was removed: {total}.")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("results remove asks before it removes anything, and there is nobody to ask: add --yes")
        typer.confirm(f"Remove {total}?", abort=True)
    left = list(removed(planned))
    for error in left:
        print(f"metagap: {printable(str(error))}; it was left alone", file=sys.stderr)
    screen.print(f"Removed {total}." if not left else f"{len(left)} of {len(planned)} were left alone.")
    raise typer.Exit(bool(left))


@app.command()
def export(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite that has results.")],
    file: Annotated[Path, typer.Option("-o", metavar="FILE", help="The archive: *.tar.gz or *.zip.")],
    variant: Annotated[str | None, typer.Option(metavar="HASH", help="Only this variant.")] = None,
    weights: Annotated[bool, typer.Option(help="With checkpoints and snapshots.")] = True,
    results: ResultsFolder = Path("results"),
) -> None:
    """Write finished cells into an archive to publish: its manifest has versions, variants and every sha256."""
    from rich.filesize import decimal

    from metagap.results.archives import export as exported

    done, screen = exported(results, suite, file, variant, weights), output.console()
    for note in done.notes:
        screen.print(f"Note: {note}", markup=False)
    text = f"{file}: {done.cells} cells, {done.files:,} files, {decimal(done.bytes)}"
    screen.print(text, markup=False, soft_wrap=True)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of `metagap results export`.")],
    results: ResultsFolder = Path("results"),
) -> None:
    """Put the cells of an archive into the store, once all of it is checked. Cells that are there already stay."""
    from metagap.results.archives import bring_in

    done = bring_in(results, file)
    here = f"; {len(done.skipped)} were here already" if done.skipped else ""
    output.console().print(f"{len(done.placed)} cells imported into '{results}'{here}.", markup=False)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A cell: its folder, or SUITE/ALGORITHM/SEED[-HASH].")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; or two stores or archives.")],
    results: ResultsFolder = Path("results"),
    json: Json = False,
) -> None:
    """Say why two runs of one cell differ: settings, data, code, environment; and how much their numbers do."""
    from dataclasses import asdict

    from metagap.results.contrast import contrasts

    found = contrasts(results, a, b)
    if json:
        output.print_json([{**asdict(one), "scores": [score._asdict() for score in one.scores]} for one in found])
        return
    screen = output.console()
    for one in found:
        for line in _contrast(one):
            screen.print(line, markup=False, soft_wrap=True)


def _contrast(one: Contrast) -> Iterator[str]:
    """Two runs in lines."""
    yield f"{one.a} → {one.b}"
    for what, lines in one.causes.items():
        yield f"  {what}"
        yield from (f"    {line}" for line in lines)
    if not one.causes:
        yield "  settings, data, code and environment: the same"
    if one.weights:
        name, gap = max(one.weights.items(), key=lambda item: item[1])
        yield f"  weights: {f'differ by {gap:.3g} at most, in {name}' if gap else 'the same to the last bit'}"
    yield f"  training curves: {'the same' if one.parts is None else f'part at iteration {one.parts:,}'}"
    for score in one.scores:
        means = f"{score.a:.6g} → {score.b:.6g} ({score.b - score.a:+.3g})"
        yield f"  split '{score.split}': {means}; {score.differing:,} of {score.episodes:,} episodes differ"
    yield from (f"  {sentence}" for sentence in one.unknown)


def _checked(one: Checked) -> dict[str, Any]:
    """What was found of a cell, as plain values."""
    faults = [
        {"file": str(fault.path), "problem": fault.problem, "damaged": fault.is_damaged, "again": fault.again}
        for fault in one.faults
    ]
    busy = str(one.busy) if one.busy else ""
    return {"folder": str(one.folder), "busy": busy, "faults": faults, "left_out": one.left_out, "again": one.again}


def _tell_of_work(found: list[Checked]) -> None:
    screen = output.console(stderr=True)
    for one in found:
        if one.busy:
            screen.print(f"{one} was left alone: {one.busy} has it in work", markup=False, soft_wrap=True)
