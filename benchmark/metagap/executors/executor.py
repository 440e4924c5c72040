"""What an executor is: cells go in, and it tells how each of them ends."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from metagap import registry
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.suite import Cell

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors that are nobody's fault but the disk's."""


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
    """The other end: what is to be said of it, whether it is bad input, and where it happened."""

    message: str
    is_bad_input: bool = False
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an error means, while it is handled."""
        if isinstance(error, UserError):
            return cls(str(error), True, traceback.format_exc())
        no_room = isinstance(error, OSError) and error.errno in NO_ROOM
        return cls(str(error) if no_room else repr(error), no_room, traceback.format_exc())


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
        blamed = failure._replace(message=f"executor '{self.name}': {failure.message}")
        for number in left:
            yield number, blamed
