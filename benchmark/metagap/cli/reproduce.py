"""`metagap reproduce`: a table of a paper next to ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Running, completed, spread, use_data
from metagap.errors import UserError


@spread
def reproduce(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A built-in table, or the path of a .toml file.",
            autocompletion=completed("table"),
        ),
    ],
    cells: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these (repeatable): suites or algorithms, such as 'omniglot*'."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Only this share of the meta-training iterations, such as 5%.")
    ] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Run nothing: the table from these results.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run nothing: what there is to do.")] = False,
    *,
    options: Running,
) -> None:
    """A table of a paper next to ours: run what is missing of it, and judge every value by a test of equivalence."""
    from metagap.files import check_writable
    from metagap.reproduce import paper_table

    chosen = paper_table.at_budget(paper_table.chosen(paper_table.load_table(table), cells or []), budget)
    if from_ is not None:
        if dry_run or options.results != Path("results"):
            raise UserError("--from only reads: leave out --dry-run and --results")
        if not from_.is_dir():
            raise UserError(f"--from '{from_}' is not a folder")
        check_writable(options.out / chosen.name, "--out")
        output.present_table(chosen, from_, options.seed, None, options.out, options.json)
        return
    from metagap.executors.running import diverged
    from metagap.reproduce import forecast, running

    use_data(options.data)
    machine, store, console = options.machine(), options.results, output.console(stderr=options.json)
    executor = options.executor()
    executor.place(machine)  # before data are read, which may take long
    todo = running.work(chosen, store, options.seed)
    if dry_run:
        found = forecast.forecast(todo, store, machine, console)
        if options.json:
            output.print_json(found)
        else:
            forecast.print_forecast(found, console)
        return
    output.print_title(console, chosen.title)
    for part in chosen.parts:
        check_writable(store / part.suite.name, "--results")
    check_writable(options.out / chosen.name, "--out")
    with output.interruptible():
        failed = running.run(todo, store, machine, console, executor, options.verbose, options.retry_failed)
    with output.failing(failed):
        found = output.present_table(chosen, store, options.seed, running.hashes(todo), options.out, options.json)
        failed += diverged(found.failed)
