"""The command `metagap`: parse, call, print. One file for each group of commands, and `options` that several have.

What is slow to import is imported where it is needed, inside of the commands.
"""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from metagap.cli import data, faults, new, output, power, report, reproduce, results, run, selftest, show, speed, status

app = typer.Typer(
    name="metagap",
    help="How far does a meta-learner generalize? Meta-trains algorithms on suites and reports their gaps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    run.run,
    status.status,
    report.report,
    reproduce.reproduce,
    report.compare,
    power.power,
    speed.speed,
    new.new,
    new.check,
):
    app.command()(command)
app.command(name="compare-suites")(report.compare_suites)
app.command()(report.associations)
app.command(name="list")(show.list_)
app.command()(show.show)
app.add_typer(results.app, name="results")
app.add_typer(data.app, name="data")
app.add_typer(selftest.app, name="selftest")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from metagap import __version__

        print(f"metagap {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a UserError is printed and exits with code 2, a CellError with code 1."""
    gc.set_threshold(
        100_000
    )  # most of what commands import and read stays: to look for garbage takes a tenth of a report
    output.say_what_is_run()
    faults.run(app)
