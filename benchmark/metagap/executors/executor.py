"""What an executor is: cells go in, and it tells how each of them ends."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from metagap import registry
from metagap.errors import FULL, KilledError, NoRoomError, TimedOutError, UserError, is_out_of_memory
from metagap.machine import Machine
from metagap.suite import Cell, Section, validated
from metagap.suite.edit import value_of


class Progress(NamedTuple):
    """How far a cell is: what is done of a phase, such as training."""

    phase: str
    done: int
    total: int


class Remark(NamedTuple):
    """A sentence on the work, shown once, however many cells have cause for it."""

    text: str


class Again(NamedTuple):
    """A cell was stopped from outside and is begun once more, from its last checkpoint."""

    reason: str


class Done(NamedTuple):
    """The end of a cell: its records are in the store. elsewhere: another process has brought it to its end."""

    seconds: float
    elsewhere: bool = False


class Held(NamedTuple):
    """No end, but all that is to be had now: another process has the cell in work. It is waited for."""

    by: str


class Failure(NamedTuple):
    """The other end: what is to be said of it, whether it is bad input, and where in the code it happened.

    kind: one of `metagap.results.failures.KINDS`. at: how far the cell was, if it was not told as `Progress`.
    """

    message: str
    is_bad_input: bool = False
    traceback: str = ""
    kind: str = "not run"
    at: Progress | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an error means, while it is handled."""
        where = traceback.format_exc()
        if isinstance(error, NoRoomError) or (isinstance(error, OSError) and error.errno in FULL):
            return cls(str(error), True, where, "no room")
        if isinstance(error, UserError):
            return cls(str(error), True, where, "bad input")
        if isinstance(error, TimedOutError):
            return cls(str(error), False, "", "timed out")
        if isinstance(error, KilledError):
            return cls(str(error), False, "", "killed")
        if is_out_of_memory(error):
            return cls(str(error).strip().partition("\n")[0] or repr(error), False, where, "out of memory")
        return cls(repr(error), False, where, "environment" if isinstance(error, OSError | ImportError) else "error")


End = Done | Failure | Held
Event = Progress | Remark | Again | End


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Runs many cells, each as `metagap.executors.attempt.attempt` does."""

    name: str
    """As `--launch` says it."""
    about: str
    """One sentence on where cells run."""
    run: str | Callable[..., Iterator[tuple[int, Event]]]
    """The generator function, or `package.module:name` of it, so that it is listed without torch.

    Of `cells`, none of which is done, the `store`, the `Machine` that is asked for and `verbose` (whether the engine
    says what it chooses) it yields `(number, event)`: the place of a cell in `cells`, and what happened to it. Each
    cell ends in `Done`, a `Failure` or `Held`, after which `run` is called with it again; what was said before is for
    people to watch. When it is closed, as by Ctrl-C, what it started has to end.
    """
    where: Callable[..., str] | None = None
    """What a `Machine` means here, such as `cpu`, for a message. Raises UserError where it cannot be had."""
    settings: Section | None = None
    """What can be set by `--launch-set KEY=VALUE`, with the defaults; the last argument of all functions above and
    below. None: nothing can, and they have no such argument."""
    detach: Callable[..., str] | None = None
    """Have cells run while nobody waits for them, and give a sentence on how to follow them. None: it cannot.

    Its arguments are those of `run`, but first of all lists of cells, of which each is begun after the one before, and
    before the settings a list of words: the arguments of `metagap` that are to follow when all of them have ended.
    """

    def with_settings(self, given: Mapping[str, Any]) -> Executor:
        """Itself with these settings. Raises UserError with the key, what was found and what is allowed."""
        if not given:
            return self
        if self.settings is None:
            keys = ", ".join(given)
            raise UserError(f"executor '{self.name}' has no settings such as {keys}; --launch NAME chooses another one")
        told = {**self.settings.model_dump(exclude_unset=True), **given}
        return replace(self, settings=validated(type(self.settings), told, f"executor '{self.name}'"))

    def place(self, machine: Machine) -> str:
        """Where cells would run, for a message. Raises UserError where they cannot."""
        return self.where(machine, *self._set) if self.where is not None else f"executor '{self.name}'"

    def submit(
        self, parts: Sequence[Sequence[Cell]], store: Path, machine: Machine, verbose: bool, then: Sequence[str]
    ) -> str:
        """What `detach` does. Raises UserError where it cannot."""
        if self.detach is None:
            raise UserError(f"executor '{self.name}' runs cells as long as somebody waits for them")
        return self.detach(parts, store, machine, verbose, then, *self._set)

    @property
    def _set(self) -> list[Section]:
        return [] if self.settings is None else [self.settings]

    def events(
        self, cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool
    ) -> Generator[tuple[int, Event], None, None]:
        """What `run` yields, with exactly one end for each cell: a fault of the executor is that of the cells it left.

        What it started ends with the iteration.
        """
        left, failure = dict.fromkeys(range(len(cells))), Failure("it ended without running this cell")
        told: Any = None
        try:
            run = registry.function(self.run, f"executor '{self.name}': its function")
            told = iter(run(cells, store, machine, verbose, *self._set))
            for number, event in told:
                if not isinstance(event, Event):
                    raise TypeError(f"it tells {event!r:.80}, which is no event")
                if number not in left:
                    raise ValueError(f"it tells of cell {number!r:.80}, which is not among those that it has to run")
                if isinstance(event, End):
                    del left[number]
                yield number, event
        except Exception as error:
            failure = Failure.of(error)
        finally:
            if hasattr(told, "close"):
                told.close()
        blamed = failure._replace(message=f"executor '{self.name}': {failure.message}", kind="not run")
        for number in left:
            yield number, blamed


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """A table of settings written as `key=value`, values as in TOML or as plain text. Raises UserError for others."""
    table: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (equals and key.strip()):
            raise UserError(f"--launch-set '{setting}': write it as key=value, for example time=60")
        if key.strip() in table:
            raise UserError(f"--launch-set '{setting}': '{key.strip()}' is set twice; a list is ['one', 'two']")
        table[key.strip()] = value_of(text)
    return table
