"""How the command ends when something is wrong: in one message, with a code that says whose fault it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from metagap.errors import CellError, UserError
from metagap.text import printable


def run(command: Callable[[], None]) -> None:
    """Run a command; a UserError is printed and exits with code 2, a CellError with code 1."""
    try:
        command()
    except UserError as error:
        print(f"metagap: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except CellError as error:
        print(f"metagap: {printable(str(error))}", file=sys.stderr)
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
    message = f"metagap: {type(error).__name__}: {error}".splitlines()[0]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="metagap-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    except OSError:  # no room
        where = "METAGAP_TRACEBACK=1 shows the traceback"
    print(f"{message}; this is a fault of metagap: {where}", file=sys.stderr)
    return 1
