"""Reading published pickles without running them.

A pickle is a program: loading one the ordinary way does whatever its author, or whoever has changed the file since,
wrote into it. The publishers of these files state no checksum that could tell, so what is read here can only ever
become numbers, texts, lists, dicts and numpy arrays.
"""

from __future__ import annotations

import codecs
import io
import pickle
import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmark.errors import UserError

FAULTS = (pickle.UnpicklingError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError)
"""What damaged pickles raise."""

_MAKERS = [np.zeros(0).__reduce__()[0], np.zeros(1).__reduce_ex__(5)[0], np.float64().__reduce__()[0]]
_ALLOWED: dict[str, Any] = {f"numpy.{maker.__name__}": maker for maker in (*_MAKERS, np.ndarray, np.dtype)} | {
    "_codecs.encode": codecs.encode
}
"""What arrays are made of: these functions and types, whichever submodule of numpy had them at the time."""

_IMAGES = (b"\x89PNG", b"\xff\xd8\xff")


def load(file: IO[bytes], name: str) -> Any:
    """The plain values and arrays of a pickle, of Python 2 or 3. Raises UserError for anything else in it.

    Texts of Python 2 are decoded byte by byte (latin-1). name: for messages.
    """
    with _reading(name):
        return _Plain(file, encoding="latin-1").load()


def images(path: Path) -> Iterator[bytes]:
    """The encoded images (PNG or JPEG) in a pickle of a list of byte arrays, one by one, in their order.

    Nothing is loaded: the file's operations are only listed, and the images picked from their arguments, so that a list
    of any length needs the memory of one. Raises UserError where the file is damaged.
    """
    with _reading(str(path)), path.open("rb") as file:
        for _, argument, _ in pickletools.genops(file):
            data = argument.encode("latin-1", "ignore") if isinstance(argument, str) else argument
            if isinstance(data, bytes | bytearray) and data.startswith(_IMAGES):
                yield bytes(data)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        found = _ALLOWED.get(f"{module.partition('.')[0]}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither a number, a text nor an array")
        return found


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        raise UserError(f"'{name}' is damaged, or no pickle of plain arrays: {error}") from None


def from_bytes(data: bytes, name: str) -> Any:
    """The same as `load`, of a pickle in memory."""
    return load(io.BytesIO(data), name)
