"""`metagap list` and `metagap show`: what there is, and what it means."""

from __future__ import annotations

from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json

LISTED = (
    *("suites", "tables", "algorithms", "models", "sources", "metrics", "kinds", "optimizers", "quantities"),
    "executors",
)


def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="|".join(LISTED),
            autocompletion=lambda: [*LISTED],
        ),
    ],
    json: Json = False,
) -> None:
    """List what there is of a kind, such as suites, algorithms or metrics, each with a line of explanation."""
    from metagap.listing import KINDS, listing, print_listing

    rows = listing(what)
    output.warn_of_clashes(KINDS.get(what))
    if json:
        output.print_json(rows)
    else:
        print_listing(rows, output.console())


def show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    json: Json = False,
) -> None:
    """Explain whatever `metagap list` lists, such as a suite, a table or a metric: settings, meaning and defaults."""
    from metagap import inspection

    description = inspection.describe(name)
    if json:
        output.print_json(description)
    else:
        inspection.print_description(description, output.console())
