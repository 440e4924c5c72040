"""What an examination finds, and how an exception is worded in a line."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch

from metagap.errors import UserError

S = TypeVar("S")

MARKS = {"passed": "✓", "failed": "✗", "noted": "–"}


class Finding(NamedTuple):
    """The result of one examination."""

    examination: str
    outcome: Literal["passed", "failed", "noted"]
    text: str
    """What was found, and where."""

    def __str__(self) -> str:
        return f"{MARKS[self.outcome]} {self.examination}: {self.text}"


class Fault(Exception):
    """Raised by an examination: something is wrong with what is examined. The message says what, and where."""


class Note(Exception):
    """Raised by an examination: nothing is wrong, but something is to be known, or there was nothing to examine."""


@contextmanager
def during(place: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a `Fault` of this place; a UserError is its own word."""
    try:
        yield
    except (Fault, Note, UserError):
        raise
    except Exception as error:
        raise Fault(f"{place} fails with {error_with_origin(error)}") from error


def findings(examinations: Mapping[str, Callable[[S], str]], subject: S) -> Iterator[Finding]:
    """What each examination finds, one after another, as it is made; each returns what is well, or raises."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # everything is small
    try:
        for examination, function in examinations.items():
            yield finding(examination, function, subject)
    finally:
        torch.set_num_threads(threads)


def finding(examination: str, function: Callable[[S], str], subject: S) -> Finding:
    """What one examination finds: whatever it raises is worded."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return Finding(examination, "passed", function(subject))
    except Note as note:
        return Finding(examination, "noted", f"{note}")
    except (Fault, UserError) as fault:
        return Finding(examination, "failed", f"{fault}")
    except Exception as error:
        return Finding(examination, "failed", f"fails with {error_with_origin(error)}")


def error_with_origin(error: BaseException) -> str:
    """The type of an exception, the first line of its message, and the line of the plugin that it came from."""
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{f': {message}' if message else ''}{_origin(error)}"


def _origin(error: BaseException) -> str:
    package = Path(__file__).parents[1]
    others = [str(path) for path in (Path(torch.__file__).parent, package / "checking", package / "engine")]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*others, "<"))]
    own = [frame for frame in frames if not frame.filename.startswith(str(package))] or frames
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
