"""`metagap data`: the data sets."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import DataFolder, Json, use_data

app = typer.Typer(help="The data sets: what is here, fetch one, check it, compare two.", no_args_is_help=True)


@app.command(name="list")
def data_list(data: DataFolder = None, json: Json = False) -> None:
    """List the data sets, and which are on this machine."""
    from metagap.listing import print_listing
    from metagap.tasks import catalogue
    from metagap.tasks.folders import data_folder

    use_data(data)
    rows = catalogue.listing()
    if json:
        output.print_json(rows)
        return
    print_listing([{key: row[key] for key in catalogue.BRIEFLY} for row in rows], output.console())
    for remark in (row["remark"] for row in rows if row["remark"]):
        print(f"Note: {remark}.")
    print(f"Data folder: {data_folder()}; who made a data set: metagap show NAME")


@app.command()
def get(names: Annotated[list[str], typer.Argument(metavar="SOURCE...")], data: DataFolder = None) -> None:
    """Download data sets into the data folder; a download that broke off is resumed."""
    from metagap.tasks import catalogue

    use_data(data, create=True)
    try:
        for name in names:
            catalogue.get(name, output.console())
    except KeyboardInterrupt:
        print("metagap: interrupted; run the same command again to resume", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE...]")] = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Read data sets whole and compare them with what their publishers say; all that are here by default."""
    from metagap.listing import print_listing
    from metagap.tasks import catalogue

    use_data(data)
    rows = catalogue.verify(names or [])
    if json:
        output.print_json(rows)
    else:
        print_listing(rows, output.console())
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(1)


@app.command()
def leaks(
    a: Annotated[str, typer.Argument(metavar="A", help="A source, or a part of one: NAME, NAME:PART or path:FILE.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Say which classes (by name) and images (to the last pixel) two sources, or two parts of one, share."""
    from metagap.tasks import catalogue

    use_data(data)
    found = catalogue.leaks(a, b)
    if json:
        output.print_json(found._asdict())
    else:
        print(found)
