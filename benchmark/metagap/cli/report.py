"""`metagap report`, `compare`, `compare-suites`, `associations`: what the store has; none needs torch or data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json, ReportsFolder, ResultsFolder, SuiteName, Variant, completed
from metagap.errors import UserError


def report(
    suite: SuiteName,
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Print scores and gaps of finished results and write the report page; needs no torch and no data."""
    from metagap.files import check_writable, folder_name
    from metagap.results import read, read_own, read_sweep, report_folder

    name = folder_name(Path(suite).stem, "SUITE")
    check_writable(out / name, "--out")
    own = read_own(results / name)
    if variant is None and own is not None and own.sweep is not None:
        return output.present_sweep(read_sweep(results, name, own.sweep), out / name, json)
    found = read(results, name, variant)
    output.present(found, report_folder(out, name, found.variant, own), json)


def compare(
    suite: SuiteName,
    a: Annotated[str, typer.Argument(metavar="A", help="An algorithm of the suite.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    results: ResultsFolder = Path("results"),
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Compare two algorithms on the same episodes and seeds: which is better, by how much, is it significant?"""
    if a == b:
        raise UserError(f"compare: A and B are both '{a}'; name two algorithms")
    from metagap.analysis.comparisons import compare as compare_pair
    from metagap.files import folder_name
    from metagap.report import terminal
    from metagap.results import read

    found = read(results, folder_name(Path(suite).stem, "SUITE"), variant)
    compared = compare_pair(found, a, b)
    if json:
        tables = {name: terminal.as_json(frame) for name, frame in compared._asdict().items()}
        output.print_json({**tables, "notes": found.notes})
    else:
        screen = output.console()
        terminal.print_comparison(compared, a, b, found, screen)
        output.print_notes(found.notes, screen)


def compare_suites(
    suites: Annotated[
        list[str],
        typer.Argument(
            metavar="SUITE...", help="Two or more suites that have results.", autocompletion=completed("suite")
        ),
    ],
    on: Annotated[
        str, typer.Option(metavar="ROLE", help="The splits whose mean is a score: cross-domain or in-distribution.")
    ] = "cross-domain",
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    json: Json = False,
) -> None:
    """Compare algorithms across suites: mean ranks, their test, normalised scores; writes a page."""
    from metagap.analysis.across_suites import read_across
    from metagap.files import check_writable
    from metagap.report import across_suites

    check_writable(out, "--out")
    screen = output.console(stderr=json)
    with screen.status("reading results, testing ranks and resampling seeds"):
        found = read_across(suites, on, results)
    if json:
        output.print_json(across_suites.as_json(found))
    else:
        across_suites.print_across(found, screen)
    with screen.status("drawing the page"):
        page = across_suites.write(found, across_suites.folder_of(out, found))
    screen.print(f"Report: {page}", markup=False)


def associations(
    suites: Annotated[
        list[str],
        typer.Argument(
            metavar="SUITE...",
            help="Two or more suites that have results with quantities.",
            autocompletion=completed("suite"),
        ),
    ],
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    json: Json = False,
) -> None:
    """Say which recorded quantities go with the gaps over suites, and where the gaps vary; writes a page."""
    from metagap.analysis.associations import read_associations
    from metagap.files import check_writable
    from metagap.report import associations as pages

    check_writable(out, "--out")
    screen = output.console(stderr=json)
    with screen.status("reading results, correlating and counting orders"):
        found = read_associations(suites, results)
    if json:
        output.print_json(pages.as_json(found))
    else:
        pages.print_associations(found, screen)
    with screen.status("drawing the page"):
        page = pages.write(found, pages.folder_of(out, found))
    screen.print(f"Report: {page}", markup=False)
