"""`metagap run`: what is missing of a suite is run, and all of it reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Running, SuiteName, completed, spread, use_data
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.executors import Executor
    from metagap.results import Index
    from metagap.suite import Suite, Sweep


@spread
def run(
    suite: SuiteName,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            metavar="A",
            help="Only this one (repeatable): a label, a name or FILE.py:CLASS.",
            autocompletion=completed("algorithm"),
        ),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=0, max=10**9, metavar="N", help="Outer steps, instead of the suite's.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="A share of the outer steps of every algorithm, such as 5%."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the suite (repeatable).")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit the cells and return; their last job writes the report.")
    ] = False,
    *,
    options: Running,
) -> None:
    """Meta-train and evaluate what is missing of a suite, then print scores and gaps and write the report."""
    from metagap.suite import Sweep, load_chosen, share_of, with_choices

    use_data(options.data)
    if budget is not None and iterations is not None:
        raise UserError("--budget and --iterations exclude each other: both are about the outer steps")
    choices = algorithm or (), options.seed or (), iterations, share_of(budget)
    match load_chosen(suite, set_ or []):
        case Sweep() as sweep, written:
            _run_sweep(sweep.with_choices(*choices), written, options, detach)
        case chosen, written:
            _run_suite(with_choices(chosen, *choices), written, options, detach)


def _run_suite(chosen: Suite, written: Suite, options: Running, detach: bool) -> None:
    from metagap.executors.running import diverged, run_cells
    from metagap.report.folder import is_of, stamp
    from metagap.results import Index, differences, read, survey, write_own
    from metagap.runner.cell import unfinished
    from metagap.suite import expand, variation

    machine, executor = options.machine(), _executor(options, detach)
    place, cells = executor.place(machine), expand(chosen)
    console, store = output.console(stderr=options.json), options.results
    output.warn_of_clashes("algorithm")
    output.print_title(console, chosen.title, f": {len(cells)} cells on {place}")
    hashes = {cell.hash for cell in cells}
    changed = variation(cells[0], written)
    planned = hashes if chosen == written or changed else {*hashes, *(cell.hash for cell in expand(written))}
    page = options.out / chosen.name / "variants" / changed if changed else options.out / chosen.name
    _check_room(store / chosen.name, page)
    index = Index(store / chosen.name)
    pending = unfinished(cells, store, index)
    if len(pending) < len(cells):
        console.print(f"{len(cells) - len(pending)} of {len(cells)} cells are already done.")
    if pending:
        from metagap.runner.preflight import check

        for note in [*survey(store / chosen.name).notes, *check(pending)]:
            console.print(f"Note: {note}", markup=False)
    if not changed:  # before they are run, so that `metagap status` knows which are waiting
        write_own(store / chosen.name, cells[0].variant, planned, chosen.reference)
    if detach and pending:
        which = [f"--variant={cells[0].variant}"] if changed else []
        told = executor.submit([pending], store, machine, options.verbose, _report(chosen.name, options, which))
        console.print(told, markup=False, soft_wrap=True)
        return
    with output.interruptible():
        failed = run_cells(pending, store, machine, console, executor, options.verbose, retry=options.retry_failed)
    state = _state(Index(store / chosen.name) if pending else index, chosen, written, hashes)
    if not pending and not failed and not options.json and is_of(page, state):
        again = f"metagap report {chosen.name}" + (f" --variant {cells[0].variant}" if changed else "")
        told = f"Report: {page / 'index.html'}, of these very results; `{again}` prints it"
        console.print(told, markup=False, soft_wrap=True)
        return
    with output.failing(failed):
        found = read(store, chosen.name, cells[0].variant, hashes, chosen.reference)
        failed += diverged(found.failed)
        if changed:
            changes = differences(written.model_dump(), chosen.model_dump()) or ["other settings of algorithms"]
            found.notes.insert(0, f"This is not the suite as its file has it: {'; '.join(changes)}.")
        output.present(found, page, options.json)
        if state and not failed:
            stamp(page, state)


def _state(index: Index, chosen: Suite, written: Suite, hashes: set[str]) -> str:
    """What identifies all that a report shows: the results, the suite and metagap itself; empty where plugins have a
    part in it, which may have been changed."""
    import metagap
    from metagap import digests, registry
    from metagap.results import files_of

    if registry.has_plugins():
        return ""
    code = files_of(Path(metagap.__file__).parent)
    ours = code.signature(*(name for name in code.stats if "__pycache__" not in name))
    return digests.of_value([ours, index.state(), chosen.model_dump(), written.model_dump(), sorted(hashes)])


def _run_sweep(sweep: Sweep, written: Sweep | None, options: Running, detach: bool) -> None:
    from metagap.executors.running import diverged
    from metagap.executors.sweeps import missing, plan_of, run_sweep
    from metagap.results import read_sweep, write_own_sweep

    machine, executor = options.machine(), _executor(options, detach)
    place, name = executor.place(machine), sweep.first.name
    console, store = output.console(stderr=options.json), options.results
    output.warn_of_clashes("algorithm")
    output.print_title(console, sweep.first.title, f": {sweep.over} on {place}")
    changed = sweep.variation(written)
    page = options.out / name / "variants" / changed if changed else options.out / name
    _check_room(store / name, page)
    if detach and changed:
        raise UserError("--detach: a sweep that was changed has no report of its own; put the change into a suite file")
    if detach and (parts := missing(sweep, store, console)):
        write_own_sweep(store / name, plan_of(sweep))
        told = executor.submit(parts, store, machine, options.verbose, _report(name, options))
        console.print(told, markup=False, soft_wrap=True)
        return
    with output.interruptible():
        failed = run_sweep(sweep, store, machine, console, executor, options.verbose, options.retry_failed)
    with output.failing(failed):
        plan = plan_of(sweep) if changed else write_own_sweep(store / name, plan_of(sweep))
        found = read_sweep(store, name, plan)
        for values, one in found.members.items():
            failed += diverged(one.failed, f", {found.said(values)}")
        if changed:
            found.notes.insert(0, f"This is not the {'sweep' if sweep.axes else 'suite'} as its file has it.")
        output.present_sweep(found, page, options.json)


def _executor(options: Running, detach: bool) -> Executor:
    executor = options.executor()
    if detach and executor.detach is None:
        raise UserError(f"--detach: executor '{executor.name}' runs cells only while somebody waits; allowed: slurm")
    return executor


def _report(name: str, options: Running, which: Sequence[str] = ()) -> list[str]:
    """The command that reports on a suite once it has been run."""
    folders = [f"--results={options.results.absolute()}", f"--out={options.out.absolute()}"]
    return ["report", name, *which, *folders, *(["--json"] if options.json else [])]


def _check_room(results: Path, page: Path) -> None:
    """Raise UserError where results or the report could not be written after all the work."""
    from metagap.files import check_writable

    check_writable(results, "--results")
    for folder in (page, page / "figures", page / "tables" / "data"):
        check_writable(folder, "--out")
