"""`metagap new` and `metagap check`: for whoever writes an algorithm or a source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from metagap.cli import output
from metagap.cli.options import DataFolder, Json, completed, use_data
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.checking.findings import Finding

COLOURS = {"passed": "green", "failed": "red", "noted": "yellow"}


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
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="An algorithm or a source: a name, table:FILE or its like, FILE.py or FILE.py:CLASS; before it "
            "algorithm: or source: where there are both. Default: the one of the project here.",
            autocompletion=completed("algorithm"),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a hyper-parameter or an option (repeatable)."),
    ] = None,
    ways: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of a source's tasks; default: 5, or what every part has.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of a source's tasks; default: 1, and 5 without ways.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, metavar="N", help="Of a source's tasks; default: 5.")] = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Examine an algorithm or a source as a reviewer would, before anything is trained; exit code 1 if something is
    wrong with it."""
    from metagap.checking.named import named

    use_data(data)
    kind, found = named(name)
    form = {key: value for key, value in (("ways", ways), ("shots", shots), ("queries", queries)) if value is not None}
    if kind == "algorithm" and form:
        raise UserError(f"--{next(iter(form))} is about the tasks of a source, and '{found}' is an algorithm")
    console = output.console(stderr=json)
    findings = (_algorithm if kind == "algorithm" else _source)(found, set_ or [], form, console)
    failed = sum(finding.outcome == "failed" for finding in findings)
    if json:
        output.print_json([finding._asdict() for finding in findings])
    else:
        console.print(f"{len(findings)} examinations, {failed or 'none'} failed")
    if failed:
        raise typer.Exit(1)


def _algorithm(name: str, changes: list[str], _: dict[str, int], console: Console) -> list[Finding]:
    from metagap import registry
    from metagap.checking.examine import examine

    return _printed(f"[bold]algorithm[/] {escape(name)}", examine(registry.find("algorithm", name), changes), console)


def _source(name: str, changes: list[str], form: dict[str, int], console: Console) -> list[Finding]:
    from metagap.checking.settings import table
    from metagap.checking.sources.examine import EXAMINATIONS, examine
    from metagap.checking.sources.subject import Subject
    from metagap.checking.sources.values import measured
    from metagap.listing import print_listing

    subject = Subject.of({"name": name, **table(changes)}, form)
    findings = _printed(f"[bold]source[/] {escape(name)}", examine(subject), console)
    if len(findings) == len(EXAMINATIONS):  # else there are no tasks to measure
        print_listing(measured(subject), console)
    return findings


def _printed(head: str, findings: Iterable[Finding], console: Console) -> list[Finding]:
    """The findings, each printed as it comes."""
    console.print(head, soft_wrap=True)
    found = []
    for finding in findings:
        found.append(finding)
        console.print(f"[{COLOURS[finding.outcome]}]{escape(str(finding))}[/]", soft_wrap=True)
    return found
