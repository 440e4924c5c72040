"""`metagap selftest`: whether metagap's own claims hold, tried on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metagap.cli import output
from metagap.cli.options import Json
from metagap.errors import CellError
from metagap.machine import count_cores
from metagap.progress import bars

if TYPE_CHECKING:
    from metagap.selftest.statistics import Part

app = typer.Typer(help="Try metagap's own claims.", no_args_is_help=True)


@app.callback()
def _selftest() -> None:
    """Try metagap's own claims."""


Jobs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; default: one for each core.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown, too.")]


@app.command()
def statistics(
    repeats: Annotated[
        int,
        typer.Option(min=10, max=10**6, metavar="N", help="Simulated results of each kind; of pages, a fifth."),
    ] = 2000,
    jobs: Jobs = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Simulate every interval and test that a page shows from a known truth, and print how often they are wrong."""
    from metagap.selftest import statistics as trial

    _try(trial.parts(repeats), jobs, out, json)


@app.command()
def linear(
    repeats: Annotated[int, typer.Option(min=10, max=10**6, metavar="N", help="Simulated suites.")] = 400,
    jobs: Jobs = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train and test on tasks whose truth is known, and print how often the intervals of scores and gaps hold it."""
    from metagap.selftest import linear as trial

    _try(trial.parts(repeats), jobs, out, json)


@app.command()
def faults(
    kills: Annotated[int, typer.Option(min=0, max=10**6, metavar="N", help="Runs that are disturbed.")] = 100,
    flips: Annotated[int, typer.Option(min=0, max=10**6, metavar="N", help="Bits that are flipped.")] = 200,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, metavar="S", help="Of the random moments and bits.")] = 0,
    jobs: Jobs = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Kill runs of a tiny suite at random moments, flip bits of its files, and see that no number is other for it."""
    from metagap.errors import UserError
    from metagap.files import check_writable
    from metagap.report.terminal import print_table
    from metagap.writing import write_whole

    if os.name != "posix":
        raise UserError("metagap selftest faults needs the signals and the fork of POSIX")
    from metagap.selftest import faults as trial

    if out is not None:
        check_writable(out.parent, "--out")
    console = output.console(stderr=json)
    with bars(console) as progress:
        tasks = {name: progress.add_task(name, total=count) for name, count in (("killed", kills), ("flipped", flips))}
        counts = {"killed": kills, "flipped": flips}
        tallies = trial.run(counts, seed, jobs or count_cores(), lambda name: progress.advance(tasks[name]))
    made = list(trial.tables(tallies))
    if out is not None:
        write_whole(out, "\n".join(table.markdown() for table in made).encode())
    if json:
        output.print_json({name: trial.as_record(tally) for name, tally in tallies.items()})
    else:
        for table in made:
            print_table(table, console)
    if found := [fault for tally in tallies.values() for fault in tally.faults]:
        raise CellError("\n".join([f"{len(found)} fault{'s' * (len(found) > 1)}", *found]))


def _try(todo: list[Part], jobs: int | None, out: Path | None, json: bool) -> None:
    """Compute all parts and print their rows; raises CellError where a claim does not hold."""
    from metagap.files import check_file
    from metagap.report.terminal import print_table
    from metagap.selftest import statistics as trial
    from metagap.writing import write_whole

    if out is not None:
        check_file(out, "--out")
    console = output.console(stderr=json)
    with bars(console) as progress:
        task = progress.add_task("simulated", total=len(todo))
        rows = trial.run(todo, jobs or count_cores(), lambda: progress.advance(task))
    made = trial.table(rows)
    if out is not None:
        write_whole(out, made.markdown().encode())
    if json:
        output.print_json(list(trial.as_records(rows)))
    else:
        print_table(made, console)
    if broken := [row for row in rows if not row.holds]:
        names = "; ".join(f"{row.what}, {row.law}, {row.seeds} seeds: {100 * row.share:.1f}%" for row in broken)
        raise CellError(f"{len(broken)} of {len(rows)} claims do not hold: {names}")
