"""Options that several commands have, bound once."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from metagap.errors import UserError
from metagap.machine import Machine

if TYPE_CHECKING:
    from metagap.executors import Executor


def completed(what: str) -> Any:
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
        autocompletion=completed("suite"),
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
    int | None, typer.Option(min=1, max=4096, metavar="N", help="Cells at the same time; default: cores or GPUs.")
]
DevicesPerCell = Annotated[
    int, typer.Option(min=1, max=4096, metavar="N", help="GPUs, or CPU cores, that train a cell together.")
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compile the meta-step; default: where it pays.", show_default=False),
]
Engine = Annotated[
    str, typer.Option(metavar="WORDS", help="What the engine must do, such as 'loop channels-last'; the rest is timed.")
]
Launch = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The executor that runs the cells: a name or FILE.py:NAME.",
        autocompletion=completed("executor"),
    ),
]
LaunchSet = Annotated[
    list[str] | None,
    typer.Option(
        "--launch-set",
        "--slurm",
        "--dask",
        metavar="KEY=VALUE",
        help="A setting of the executor (repeatable), such as partition=gpu; `metagap show slurm` lists them.",
    ),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="What the tasks computed at once may take, such as 8G.")
]
CheckpointEvery = Annotated[float, typer.Option(min=0, max=86400, metavar="SECONDS", help="Time between checkpoints.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="What a cell may take, such as 2h; then it stops at a checkpoint and has failed."
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try again what failed before, also where it would fail in the same way.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what the engine chooses and why.")]
Variant = Annotated[
    str | None, typer.Option(metavar="HASH", help="Which configuration of the suite; the last one run by default.")
]


@dataclass(frozen=True)
class Running:
    """The options of every command that runs cells."""

    seed: Seeds = None
    data: DataFolder = None
    results: ResultsFolder = Path("results")
    out: ReportsFolder = Path("reports")
    device: Device = "auto"
    jobs: Jobs = None
    devices_per_cell: DevicesPerCell = 1
    launch: Launch = "local"
    launch_set: LaunchSet = None
    compile: Compile = None
    engine: Engine = "auto"
    memory: Memory = None
    checkpoint_every: CheckpointEvery = 30
    time_limit: TimeLimit = None
    retry_failed: RetryFailed = False
    verbose: Verbose = False
    json: Json = False

    def executor(self) -> Executor:
        """The executor that is asked for; raises UserError for names and settings that there are not."""
        from metagap.executors import find

        return find(self.launch, self.launch_set or ())

    def machine(self) -> Machine:
        """The machine that is asked for; raises UserError for words and sizes that there are not."""
        from metagap.engine.machines import asked

        return asked(
            device=self.device,
            engine=self.engine,
            compile=self.compile,
            memory=self.memory,
            workers=self.jobs,
            checkpoint_seconds=self.checkpoint_every,
            time_limit=self.time_limit,
            devices_per_cell=self.devices_per_cell,
        )


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer: of a parameter that is a dataclass, such as `Running`, each field is an option."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY))
            continue
        types = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(one.name, parameter.KEYWORD_ONLY, default=one.default, annotation=types[one.name])
            for one in fields(groups[name])
        ]

    @functools.wraps(command)
    def spreading(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        command(**given)

    spreading.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spreading.__annotations__ = {one.name: one.annotation for one in parameters}
    return spreading


def use_data(folder: Path | None, create: bool = False) -> None:
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
