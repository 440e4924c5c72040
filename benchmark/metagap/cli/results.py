"""`metagap results`: what is in the store."""

from __future__ import annotations

from pathlib import Path

import typer

from metagap.cli import output
from metagap.cli.options import Json, ReportsFolder, ResultsFolder

app = typer.Typer(help="The store: what is in it.", no_args_is_help=True)


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
