"""`metagap power`: how many seeds and episodes it takes to find a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json, ResultsFolder, SuiteName, Variant


def power(
    suite: SuiteName,
    a: Annotated[
        str | None, typer.Argument(metavar="A", help="An algorithm of the suite; all pairs by default.")
    ] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help="Another one.")] = None,
    difference: Annotated[
        float | None,
        typer.Option(metavar="X", help="To be found, as printed: percentage points, 2 by default.", show_default=False),
    ] = None,
    power: Annotated[float, typer.Option(metavar="P", help="The probability with which it is to be found.")] = 0.8,
    on: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Default: the mean over the cross-domain splits.", show_default=False),
    ] = None,
    results: ResultsFolder = Path("results"),
    variant: Variant = None,
    json: Json = False,
) -> None:
    """How many seeds and episodes does it take to find a difference, and which of the two is to be bought?"""
    from metagap.analysis.power import power as power_of
    from metagap.files import folder_name
    from metagap.report import terminal
    from metagap.report.tables.power import advice, of_power
    from metagap.results import read

    found = read(results, folder_name(Path(suite).stem, "SUITE"), variant)
    computed = power_of(found, a, b, difference, power, on)
    sentences = advice(computed, found.metric) if a is not None else []
    if json:
        tables = {name: terminal.as_json(frame) for name, frame in computed._asdict().items()}
        output.print_json({**tables, "advice": sentences, "notes": found.notes})
        return
    screen = output.console()
    for table in of_power(computed, found.metric):
        terminal.print_table(table, screen)
    for sentence in sentences:
        screen.print(sentence, markup=False)
    output.print_notes(found.notes, screen)
