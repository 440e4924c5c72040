"""`metagap list` and `metagap show`: what there is, and what it means."""

from __future__ import annotations

from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json


def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="suites|tables|algorithms|sources|models",
            autocompletion=lambda: ["suites", "tables", "algorithms", "sources", "models"],
        ),
    ],
    json: Json = False,
) -> None:
    """List suites, tables of papers, algorithms, sources or models, each with a line of explanation."""
    from metagap.listing import KINDS, listing, print_listing

    rows = listing(what)
    output.warn_of_clashes(KINDS.get(what))
    if json:
        output.print_json(rows)
    else:
        print_listing(rows, output.console())


def show(
    name: Annotated[str, typer.Argument(metavar="SUITE|TABLE|ALGORITHM|SOURCE|MODEL")],
    json: Json = False,
) -> None:
    """Explain a suite, a table, an algorithm, a source or a model: its settings, their meaning and defaults."""
    from metagap import inspection

    description = inspection.describe(name)
    if json:
        output.print_json(description)
    else:
        inspection.print_description(description, output.console())
