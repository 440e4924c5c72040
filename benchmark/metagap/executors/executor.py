"""What an executor is: cells go in, and it tells how each of them ends."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from metagap import registry
from metagap.errors import FULL, NoRoomError, TimedOutError, UserError, is_out_of_memory
from metagap.machine import Machine
from metagap.suite import Cell


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
    where: Callable[[Machine], str] | None = None
    """What a `Machine` means here, such as `cpu`, for a message. Raises UserError where it cannot be had."""

    def place(self, machine: Machine) -> str:
        """Where cells would run, for a message. Raises UserError where they cannot."""
        return self.where(machine) if self.where is not None else f"executor '{self.name}'"

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
            told = iter(run(cells, store, machine, verbose))
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
