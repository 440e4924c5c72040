"""`metagap speed`: the engine timed, and other libraries next to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Device, Engine, Memory
from metagap.errors import UserError


def speed(
    workloads: Annotated[list[str] | None, typer.Argument(metavar="[WORKLOAD...]")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="PEER", help="Compare with learn2learn, higher or jax (repeatable)."),
    ] = None,
    algorithm: Annotated[
        list[str] | None, typer.Option("--algorithm", "-a", metavar="A", help="Only this one (repeatable).")
    ] = None,
    device: Device = "auto",
    repeats: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Timed iterations of each; default: what fits into seconds.")
    ] = None,
    engine: Engine = "auto",
    compile: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Also compiled; default: where it pays.", show_default=False),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32 or tf32.")] = "float32",
    memory: Memory = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything that was measured.")] = None,
    report_rows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Time `metagap report` on N rows of made-up records instead."),
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, metavar="N", help="Time N cells of a second each instead."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=4096, metavar="N", help="Of --cells, how many at the same time; default: 2."),
    ] = None,
    devices_per_cell: Annotated[
        int,
        typer.Option(min=1, max=4096, metavar="N", help="Time outer steps by N devices that share the tasks instead."),
    ] = 1,
    store_cells: Annotated[
        int | None,
        typer.Option(
            min=200, max=10**6, metavar="N", help="Time status, run and report on N finished, made-up cells instead."
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the times against the first peer: .png or .svg.")
    ] = None,
) -> None:
    """Time the engine on this machine, and compare it with other libraries; all workloads by default."""
    if report_rows is not None:
        if workloads or algorithm or against or json or picture:
            raise UserError(
                "--report-rows times reports alone: leave out workloads, --algorithm, --against, --json and --picture"
            )
        from metagap.speed import report

        output.console().print(str(report.measure(report_rows)))
        return
    if cells is not None:
        from metagap.speed.cells import measure

        console = output.console()
        console.print(str(measure(cells, jobs or 2, console)))
        return
    if jobs is not None:
        raise UserError("--jobs is about --cells, which is not given")
    if store_cells is not None:
        from metagap.speed import store

        for took in store.measure(store_cells):
            output.console().print(str(took), soft_wrap=True)
        return
    from metagap.speed import command

    chosen = command.settings(
        workloads or [],
        algorithms=algorithm or [],
        against=against or [],
        device=device,
        repeats=repeats,
        engine=engine,
        compile=compile,
        precision=precision,
        memory=memory,
        devices_per_cell=devices_per_cell,
    )
    if devices_per_cell > 1:
        from metagap.speed import devices

        devices.measure(chosen, devices_per_cell, output.console())
        return
    command.check_files(json, picture, chosen)
    try:
        command.run(chosen, json, picture, output.console())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
