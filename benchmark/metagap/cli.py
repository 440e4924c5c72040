"""The command `metagap`: parse, call, print. What is slow to import is imported where it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metagap.errors import CellError, UserError

if TYPE_CHECKING:
    from metagap.launch import CellFailure
    from metagap.registry import Kind
    from metagap.reproduce.tables import PaperTable
    from metagap.results import Results
    from metagap.suite import Suite

app = typer.Typer(
    name="metagap",
    help="How far does a meta-learner generalize? Meta-trains algorithms on suites and reports their gaps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
results_app = typer.Typer(help="The store: what is in it.", no_args_is_help=True)
app.add_typer(results_app, name="results")
data_app = typer.Typer(help="The data sets: what is here, fetch one, check it, compare two.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _completed(what: str) -> Any:
    """For the shell's completion: the names of this kind that begin as what was typed."""

    def complete(incomplete: str) -> list[str]:
        from metagap.files import SUITES, TABLES
        from metagap.registry import names

        written = {"suite": SUITES, "table": TABLES}
        found = written[what].names() if what in written else names(what)  # type: ignore[arg-type]
        return [name for name in found if name.startswith(incomplete)]

    return complete


SuiteName = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="A built-in suite, or the path of a .toml file.",
        autocompletion=_completed("suite"),
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", "-s", metavar="S", min=0, max=2**63 - 1, help="Only this one (repeatable)."),
]
ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where results lie.")]
ReportsFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where reports go.")]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where data sets lie; also $METAGAP_DATA.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, max=4096, metavar="N", help="Cells side by side; default: cores or GPUs.")
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compile the meta-step; default: where it pays.", show_default=False),
]
Engine = Annotated[
    str, typer.Option(metavar="WORDS", help="What the engine must do, such as 'loop channels-last'; the rest is timed.")
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="What the tasks computed at once may take, such as 8G.")
]
CheckpointEvery = Annotated[float, typer.Option(min=0, max=86400, metavar="SECONDS", help="Time between checkpoints.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what the engine chooses and why.")]
Variant = Annotated[
    str | None, typer.Option(metavar="HASH", help="Which configuration of the suite; the last one run by default.")
]


def main() -> None:
    """Run the command line; a UserError is printed and exits with code 2, a CellError with code 1."""
    try:
        app()
    except UserError as error:
        told = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(error))
        print(f"metagap: {told}", file=sys.stderr)
        sys.exit(2)
    except CellError as error:
        print(f"metagap: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # as of `metagap ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sys.exit(_internal(error))


def _internal(error: Exception) -> int:
    """Tell of a fault of metagap itself in one line; the traceback goes to a file."""
    import tempfile
    import traceback

    if os.environ.get("METAGAP_TRACEBACK"):
        raise error
    if isinstance(error, OSError) and error.filename:
        print(f"metagap: '{error.filename}': {error.strerror}", file=sys.stderr)
        return 2
    told = f"metagap: {type(error).__name__}: {error}".splitlines()[0]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="metagap-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    except OSError:  # no room
        where = "METAGAP_TRACEBACK=1 shows the traceback"
    print(f"{told}; this is a fault of metagap: {where}", file=sys.stderr)
    return 1


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from metagap import __version__

        print(f"metagap {__version__}")
        raise typer.Exit


@app.command()
def run(
    suite: SuiteName,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            metavar="A",
            help="Only this one (repeatable): a label, a name or FILE.py:CLASS.",
            autocompletion=_completed("algorithm"),
        ),
    ] = None,
    seed: Seeds = None,
    iterations: Annotated[
        int | None, typer.Option(min=0, max=10**9, metavar="N", help="Outer steps, instead of the suite's.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the suite (repeatable).")
    ] = None,
    data: DataFolder = None,
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    device: Device = "auto",
    jobs: Jobs = None,
    compile: Compile = None,
    engine: Engine = "auto",
    memory: Memory = None,
    checkpoint_every: CheckpointEvery = 30,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Meta-train and evaluate what is missing of a suite, then print scores and gaps and write the report."""
    from metagap.launch import check, devices, run_cells
    from metagap.results import differences, read, survey, write_own
    from metagap.runner.cell import is_done
    from metagap.suite import expand, variation

    _use_data(data)
    chosen, written = _load(suite, algorithm, seed, iterations, set_)
    workers, machine = devices(device, jobs), _machine(engine, compile, memory, checkpoint_every)
    cells = expand(chosen)
    console = _console(stderr=json)
    _warn_of_clashes("algorithm")
    console.print(f"[bold]{chosen.title}[/]: {len(cells)} cells on {', '.join(sorted(set(workers)))}")
    hashes = {cell.hash for cell in cells}
    changed = variation(cells[0], written)
    page = out / chosen.name / "variants" / changed if changed else out / chosen.name
    _check_room(results / chosen.name, page)
    if pending := [cell for cell in cells if not is_done(cell, results)]:
        if earlier := survey(results / chosen.name).earlier:
            console.print(
                f"Note: {len(earlier)} cells of this suite are of an earlier version of metagap, which did not know "
                "revisions of the code. They are kept (metagap results list), and their like is run anew.",
                markup=False,
            )
        for note in check(pending):
            console.print(f"Note: {note}", markup=False)
    with _interruptible():
        failed = run_cells(cells, results, workers, machine, console, verbose)
    with _failing(failed):
        if not changed:
            write_own(results / chosen.name, cells[0].variant, hashes)
        found = read(results, chosen.name, cells[0].variant, hashes)
        if changed:
            told = "; ".join(differences(written.model_dump(), chosen.model_dump())) or "other settings of algorithms"
            found.notes.insert(0, f"This is not the suite as its file has it: {told}.")
        _present(found, page, json)


@app.command()
def report(
    suite: SuiteName,
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Print scores and gaps of finished results and write the report page; needs no torch and no data."""
    from metagap.files import folder_name
    from metagap.results import read, read_own, report_folder

    name = folder_name(Path(suite).stem, "SUITE")
    found = read(results, name, variant)
    _present(found, report_folder(out, name, found.variant, read_own(results / name)), json)


@app.command()
def reproduce(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A built-in table, or the path of a .toml file.",
            autocompletion=_completed("table"),
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
    seed: Seeds = None,
    data: DataFolder = None,
    results: ResultsFolder = Path("results"),
    out: ReportsFolder = Path("reports"),
    device: Device = "auto",
    jobs: Jobs = None,
    compile: Compile = None,
    engine: Engine = "auto",
    memory: Memory = None,
    checkpoint_every: CheckpointEvery = 30,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """A table of a paper beside ours: run what is missing of it, and judge every value by a test of equivalence."""
    from metagap.reproduce import tables

    chosen = tables.at_budget(tables.chosen(tables.load_table(table), cells or []), budget)
    if from_ is not None:
        if dry_run or results != Path("results"):
            raise UserError("--from only reads: leave out --dry-run and --results")
        if not from_.is_dir():
            raise UserError(f"--from '{from_}' is not a folder")
        _present_table(chosen, from_, seed, None, out, json)
        return
    from metagap.files import check_writable
    from metagap.launch import devices
    from metagap.reproduce import forecast, running

    _use_data(data)
    workers, machine = devices(device, jobs), _machine(engine, compile, memory, checkpoint_every)
    todo, console = running.work(chosen, results, seed), _console(stderr=json)
    if dry_run:
        found = forecast.forecast(todo, results, workers, machine, console)
        if json:
            _print_json(found)
        else:
            forecast.print_forecast(found, console)
        return
    console.print(f"[bold]{chosen.title}[/]")
    for part in chosen.parts:
        check_writable(results / part.suite.name, "--results")
    check_writable(out / chosen.name, "--out")
    with _interruptible():
        failed = running.run(todo, results, workers, machine, console, verbose)
    with _failing(failed):
        _present_table(chosen, results, seed, running.hashes(todo), out, json)


@app.command()
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
    frame = compare_pair(found, a, b)
    if json:
        _print_json(terminal.as_json(frame))
    else:
        terminal.print_comparison(frame, a, b, found, _console())


@app.command()
def speed(
    workloads: Annotated[list[str] | None, typer.Argument(metavar="[WORKLOAD...]")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="PEER", help="Beside learn2learn, higher or jax (repeatable)."),
    ] = None,
    algorithm: Annotated[
        list[str] | None, typer.Option("--algorithm", "-a", metavar="A", help="Only this one (repeatable).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    repeats: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Timed iterations of each; default: what fits into seconds.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(metavar="WORDS", help="What the engine must do, such as 'loop channels-last'; the rest is timed."),
    ] = "auto",
    compile: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Also compiled; default: where it pays.", show_default=False),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32 or tf32.")] = "float32",
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the tasks computed at once may take, such as 8G.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything that was measured.")] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the times against the first peer: .png or .svg.")
    ] = None,
) -> None:
    """Time the engine on this machine, and beside other libraries; all workloads by default."""
    from metagap.speed import command

    chosen = command.settings(
        workloads or [],
        algorithms=algorithm or [],
        against=against or [],
        device=device,
        repeats=repeats,
        engine=engine,
        compile=compile,
        precision=precision,
        memory=memory,
    )
    command.check_files(json, picture, chosen)
    try:
        command.run(chosen, json, picture, _console())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def new(
    what: Annotated[str, typer.Argument(metavar="algorithm")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="In Python's spelling, such as my_maml.")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; default: here if it is empty, else a new folder NAME."),
    ] = None,
) -> None:
    """Begin an algorithm of your own: a file that works, its tests, and what is needed to install it."""
    from metagap.skeleton.project import new_algorithm

    if what != "algorithm":
        raise UserError(f"new '{what}'; allowed: algorithm")
    files = new_algorithm(name, folder)
    for file in files:
        print(file)
    here = files[0].parent == Path()
    print(f"Next: {'' if here else f'cd {files[0].parent}; '}change {files[0].name}, then metagap check")


@app.command()
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

    console, findings = _console(stderr=json), []
    colours = {"passed": "green", "failed": "red", "noted": "yellow"}
    for finding in examine(find(algorithm), set_ or []):
        findings.append(finding)
        console.print(f"[{colours[finding.outcome]}]{escape(str(finding))}[/]", soft_wrap=True)
    failed = sum(finding.outcome == "failed" for finding in findings)
    if json:
        _print_json([finding._asdict() for finding in findings])
    else:
        console.print(f"{len(findings)} examinations, {failed or 'none'} failed")
    if failed:
        raise typer.Exit(1)


@app.command(name="list")
def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="suites|tables|algorithms|sources|models",
            autocompletion=lambda: ["suites", "tables", "algorithms", "sources", "models"],
        ),
    ],
    json: Json = False,
) -> None:
    """List suites, tables of papers, algorithms, sources or models, each with a line of explanation."""
    from metagap.listing import KINDS, listing, print_listing

    rows = listing(what)
    _warn_of_clashes(KINDS.get(what))
    if json:
        _print_json(rows)
    else:
        print_listing(rows, _console())


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="SUITE|TABLE|ALGORITHM|SOURCE|MODEL")],
    json: Json = False,
) -> None:
    """Explain a suite, a table, an algorithm, a source or a model: its settings, their meaning and defaults."""
    from metagap import inspection

    description = inspection.describe(name)
    if json:
        _print_json(description)
    else:
        inspection.print_description(description, _console())


@results_app.command(name="list")
def results_list(
    results: ResultsFolder = Path("results"), out: ReportsFolder = Path("reports"), json: Json = False
) -> None:
    """List every variant of every suite: in what it differs, how many cells are done, and where its report is."""
    from metagap.listing import print_listing
    from metagap.results import listing

    rows = listing(results, out)
    if json:
        _print_json(rows)
    elif rows:
        print_listing([{**row, "bytes": f"{row['bytes']:,}"} for row in rows], _console())
    else:
        print(f"No finished results in '{results}'.")


@data_app.command(name="list")
def data_list(data: DataFolder = None, json: Json = False) -> None:
    """List the data sets, and which are on this machine."""
    from metagap.listing import print_listing
    from metagap.tasks import catalogue
    from metagap.tasks.folders import data_folder

    _use_data(data)
    rows = catalogue.listing()
    if json:
        _print_json(rows)
        return
    print_listing([{key: row[key] for key in catalogue.BRIEFLY} for row in rows], _console())
    for remark in (row["remark"] for row in rows if row["remark"]):
        print(f"Note: {remark}.")
    print(f"Data folder: {data_folder()}; who made a data set: metagap show NAME")


@data_app.command()
def get(names: Annotated[list[str], typer.Argument(metavar="SOURCE...")], data: DataFolder = None) -> None:
    """Download data sets into the data folder; what broke off goes on where it was."""
    from metagap.tasks import catalogue

    _use_data(data, create=True)
    try:
        for name in names:
            catalogue.get(name, _console())
    except KeyboardInterrupt:
        print("metagap: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None


@data_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE...]")] = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Read data sets whole and compare them with what their publishers say; all that are here by default."""
    from metagap.listing import print_listing
    from metagap.tasks import catalogue

    _use_data(data)
    rows = catalogue.verify(names or [])
    if json:
        _print_json(rows)
    else:
        print_listing(rows, _console())
    if any(row["state"] == "damaged" for row in rows):
        raise typer.Exit(1)


@data_app.command()
def leaks(
    a: Annotated[str, typer.Argument(metavar="A", help="A source, or a part of one: NAME, NAME:PART or path:FILE.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Say which classes (by name) and images (to the last pixel) two sources, or two parts of one, share."""
    from metagap.tasks import catalogue

    _use_data(data)
    found = catalogue.leaks(a, b)
    if json:
        _print_json(found._asdict())
    else:
        print(found)


def _load(
    name: str, algorithms: list[str] | None, seeds: list[int] | None, iterations: int | None, changes: list[str] | None
) -> tuple[Suite, Suite]:
    """The suite that is asked for, and the one that its file describes."""
    from metagap.suite import load_suite, with_algorithms, with_iterations, with_seeds

    written = load_suite(name)
    suite = load_suite(name, changes) if changes else written
    if iterations is not None:
        suite = with_iterations(suite, iterations)
    if algorithms:
        suite = with_algorithms(suite, algorithms)
    if seeds:
        suite = with_seeds(suite, seeds)
    return suite, written


def _check_room(results: Path, page: Path) -> None:
    """Raise UserError where results or the report could not be written after all the work."""
    from metagap.files import check_writable

    check_writable(results, "--results")
    for folder in (page, page / "figures", page / "tables" / "data"):
        check_writable(folder, "--out")


def _present(found: Results, folder: Path, json: bool) -> None:
    """Print the tables and write the page."""
    from rich.markup import escape

    from metagap.report import terminal
    from metagap.report.frames import Frames
    from metagap.report.page import write_report

    console = _console(stderr=json)
    with console.status("computing scores, gaps and their intervals"):
        frames = Frames.of(found)
    if json:
        tables = {name: terminal.as_json(frames.data(name)) for name in ("scores", "gaps", "pairs", "published")}
        _print_json({**tables, "notes": found.notes})
    else:
        terminal.print_results(frames, console)
        for note in found.notes:
            console.print(f"[yellow]Note:[/] {escape(note)}")
    with console.status("drawing the report"):
        page = write_report(frames, folder)
    console.print(f"Report: {page}")


def _present_table(table: PaperTable, store: Path, seeds: list[int] | None, hashes: Any, out: Path, json: bool) -> None:
    """Print the table beside ours and write its files."""
    from metagap.report import reproduction, terminal
    from metagap.reproduce.reading import read

    found = read(table, store, seeds, hashes)
    console = _console(stderr=json)
    if json:
        deviations = reproduction.deviations(found)
        _print_json({"cells": terminal.as_json(found.cells), "deviations": deviations, "notes": found.notes})
    else:
        reproduction.print_reproduction(found, console)
    console.print(f"Report: {reproduction.write(found, out / found.folder)}")


@contextmanager
def _failing(failed: Sequence[CellFailure]) -> Iterator[None]:
    """Present what there is; then the error of the cells that failed is raised, also where nothing can be presented."""
    from metagap.launch import error_of

    try:
        yield
    except UserError as error:
        if not failed:
            raise
        print(f"metagap: {error}", file=sys.stderr)
    if failed:
        raise error_of(failed)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C says how to go on, and exits with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("metagap: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None


def _machine(engine: str, compile: bool | None, memory: str | None, checkpoint_every: float) -> dict[str, Any]:
    """How cells are computed, from the options; raises UserError for words and sizes that there are not."""
    from metagap.engine.memory import parse_bytes
    from metagap.engine.strategy import Strategy, parse

    parse(engine, Strategy())
    size = None if memory is None else parse_bytes(memory)
    return {"engine": engine, "compile": compile, "memory": size, "checkpoint_seconds": checkpoint_every}


def _warn_of_clashes(kind: Kind | None) -> None:
    """Say which plugins are not used because of their name."""
    from metagap.registry import clashes

    for message in clashes(kind) if kind else []:
        print(f"metagap: {message}", file=sys.stderr)


def _use_data(folder: Path | None, create: bool = False) -> None:
    """Set the data folder for this process and its workers."""
    if folder is not None:
        if create:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"--data '{folder}' cannot be made: {error.strerror}") from None
        if not folder.is_dir():
            raise UserError(f"--data '{folder}' is not a folder")
        os.environ["METAGAP_DATA"] = str(folder.resolve())


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False))
