"""The error types that a user is meant to read, and what other errors mean."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What the system says where there is no room for a file."""
SHORTAGES = (
    "can't allocate memory",
    "Cannot allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What torch and the system say where memory runs out, in errors that have no type of their own."""


class UserError(Exception):
    """Bad input, in one message: the place (file, key, value), what was found and what is allowed.

    The command line prints the message and exits with code 2; nothing has been changed on disk when it is raised.
    """


class CellError(Exception):
    """Cells that failed in the middle, most often for a fault in a plugin: which, why, and the file with the traceback.

    The command line prints the message and exits with code 1; what other cells have done is kept.
    """


class NoRoomError(UserError):
    """A file that cannot be written because the disk is full, or nothing may be written there."""


class KilledError(Exception):
    """A process of several that train a cell was killed, or crashed, or does not answer; the cell resumes."""


class TimedOutError(Exception):
    """A cell that took longer than it may; it resumes from its checkpoint."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a type of its own for it on a GPU, and only a text on a CPU."""
    of_torch = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, MemoryError) or of_torch or any(text in str(error) for text in SHORTAGES)


@contextmanager
def at(place: str) -> Iterator[None]:
    """A UserError that is raised inside begins with the place."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{place}: {error}") from None


@contextmanager
def foreign(what: str, but: type[Exception] = UserError) -> Iterator[None]:
    """Whatever the code of somebody else raises inside, `but` this, is a UserError that begins with `what`."""
    try:
        yield
    except (UserError, but):
        raise
    except Exception as error:
        raise UserError(f"{what} fails with {type(error).__name__}: {error}") from error
