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
from typing import IO, Any, ClassVar

import numpy as np

from metagap.errors import UserError

FAULTS = (pickle.UnpicklingError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError)
"""What damaged pickles raise."""

PLAIN = "biufcSU"
"""The kinds of numbers and texts that an array may hold: whose memory holds no addresses."""


def _dtype(name: Any, *_: Any) -> np.dtype:
    if not isinstance(name, str):
        raise pickle.UnpicklingError(f"it describes an array by a {type(name).__name__}")
    return _plain(np.dtype(name, copy=True))  # a copy, for what follows in a pickle changes it


def _plain(dtype: Any) -> np.dtype:
    """The dtype, unless its arrays would hold objects, or records in which these can be hidden."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in PLAIN:
        raise pickle.UnpicklingError(f"it holds an array of {dtype}, which are neither numbers nor texts")
    return dtype


def _empty(*_: Any) -> np.ndarray:
    """The array that its state is then put into; what a pickle says of it here is of no use."""
    return np.empty(0, np.uint8)


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return np.frombuffer(buffer, _plain(dtype)).reshape(shape, order=order)


def _scalar(dtype: Any, data: Any) -> Any:
    return np.frombuffer(data, _plain(dtype), 1)[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r:.40}")
    return codecs.encode(text, "latin-1")


def _no_bytes() -> bytes:
    return b""


_ALLOWED: dict[str, Any] = {
    "numpy._reconstruct": _empty,
    "numpy._frombuffer": _from_buffer,
    "numpy.scalar": _scalar,
    "numpy.ndarray": "numpy.ndarray",  # named as what `_reconstruct` is to make, and not to be called
    "numpy.dtype": _dtype,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}
"""What stands in for the functions and types that arrays are made of, whichever submodule of numpy had them."""

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


_BUILD: Any = pickle._Unpickler.dispatch[pickle.BUILD[0]]


class _Plain(pickle._Unpickler):
    """The unpickler that is written in Python, for it lets us look at what is put into a dtype or an array."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def load_build(self) -> None:
        """Put a state into what was made last: numpy takes whatever it is told of a dtype, addresses included."""
        *_, made, state = self.stack
        if isinstance(made, np.dtype):
            _, order, subarray, names, fields, size, alignment, flags, *metadata = state
            described = subarray, names, fields, *metadata, size in (-1, made.itemsize), flags
            usual = None, None, None, *(None for _ in metadata), True, made.flags
            if described != usual or order not in "<>|=" or alignment not in (-1, made.alignment):
                raise pickle.UnpicklingError(f"it changes what {made} is to numpy")
        elif isinstance(made, np.ndarray):
            _, _, dtype, _, data = state
            _plain(dtype)
            if not isinstance(data, bytes | bytearray | str):
                raise pickle.UnpicklingError("it holds an array whose content is no bytes")
        else:
            raise pickle.UnpicklingError(f"it changes a {type(made).__name__}")
        _BUILD(self)

    dispatch[pickle.BUILD[0]] = load_build

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
