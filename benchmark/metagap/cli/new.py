"""`metagap new` and `metagap check`: for whoever writes an algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json
from metagap.errors import UserError


def new(
    what: Annotated[str, typer.Argument(metavar="algorithm")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="In Python's spelling, such as my_maml.")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; default: here if it is empty, else a new folder NAME."),
    ] = None,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Of the tasks it is for: classification, regression or control.")
    ] = "classification",
) -> None:
    """Begin an algorithm of your own: a file that works, its tests, and what is needed to install it."""
    from metagap.skeleton.project import new_algorithm

    if what != "algorithm":
        raise UserError(f"new '{what}'; allowed: algorithm")
    files = new_algorithm(name, folder, kind)
    for file in files:
        print(file)
    here = files[0].parent == Path()
    print(f"Next: {'' if here else f'cd {files[0].parent}; '}change {files[0].name}, then metagap check")


def check(
    algorithm: Annotated[
        str | None,
        typer.Argument(
            metavar="[ALGORITHM]", help="A name, FILE.py or FILE.py:CLASS; default: the one of the project here."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a hyper-parameter (repeatable).")
    ] = None,
    json: Json = False,
) -> None:
    """Examine an algorithm as a reviewer would; exit code 1 if something is wrong with it."""
    from rich.markup import escape

    from metagap.checking.examine import examine, find

    console, findings = output.console(stderr=json), []
    colours = {"passed": "green", "failed": "red", "noted": "yellow"}
    for finding in examine(find(algorithm), set_ or []):
        findings.append(finding)
        console.print(f"[{colours[finding.outcome]}]{escape(str(finding))}[/]", soft_wrap=True)
    failed = sum(finding.outcome == "failed" for finding in findings)
    if json:
        output.print_json([finding._asdict() for finding in findings])
    else:
        console.print(f"{len(findings)} examinations, {failed or 'none'} failed")
    if failed:
        raise typer.Exit(1)
