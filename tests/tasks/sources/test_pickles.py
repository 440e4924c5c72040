"""Pickles become numbers, texts and arrays of these, or are refused: hostile ones neither run nor crash anything."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
import pytest

from metagap.errors import UserError
from metagap.tasks.sources import pickles

ARRAYS = [
    np.arange(6, dtype=np.uint8).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([1, -2], ">i4"),
    np.array(["cat", "dog"]),
    np.array([b"a", b"bc"]),
    np.array(True),
    np.zeros((0, 4), np.float32),
]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_read(protocol):
    value = {
        "arrays": ARRAYS,
        "twice": [ARRAYS[2], ARRAYS[2].dtype.str],
        "number": np.float64(2.5),
        "text": ("ü", b"\xff"),
    }
    found = pickles.from_bytes(pickle.dumps(value, protocol), "a.pkl")
    for a, b in zip(found["arrays"], ARRAYS, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a.dtype.kind, a.dtype.itemsize) == (b.dtype.kind, b.dtype.itemsize)
    assert (found["number"], found["text"], found["twice"][1]) == (2.5, ("ü", b"\xff"), ">i4")
    assert found["arrays"][2] is found["twice"][0]


class Called:
    """A call of one of the functions that are allowed, with any arguments, and then a state."""

    def __init__(self, name: str, *arguments: Any, state: Any = None):
        self.name, self.arguments, self.state = name, arguments, state


def dumped(value: Any) -> bytes:
    """A pickle with calls in it, as an attacker writes it by hand."""
    out = io.BytesIO()

    class Pickler(pickle._Pickler):
        def save(self, obj: Any, *more: Any) -> None:
            if not isinstance(obj, Called):
                return super().save(obj, *more)
            self.write(
                pickle.GLOBAL + obj.name.replace(".", "\n", 1).replace("core.multiarray", "core").encode() + b"\n"
            )
            if obj.arguments:
                super().save(obj.arguments)
                self.write(pickle.REDUCE)
            if obj.state is not None:
                super().save(obj.state)
                self.write(pickle.BUILD)
            return None

    Pickler(out, 2).dump(value)
    return out.getvalue()


def dtype(name: Any, state: Any) -> Called:
    return Called("numpy.dtype", name, False, True, state=state)


ADDRESS = b"\x41" * 8
HIDING = (3, "|", None, ("a",), {"a": (Called("numpy.dtype", "O8", False, True), 0)}, 8, 1, 0)


def array(of: Any, data: Any = ADDRESS) -> Called:
    made = ("numpy._reconstruct", Called("numpy.ndarray"), (0,), b"b")
    return Called(*made, state=(1, (1,), of, False, data))


@pytest.mark.parametrize(
    "hostile",
    [
        array(dtype("V8", HIDING)),
        array(dtype("V8", None)),
        array(dtype("u1", HIDING)),
        array(dtype("O", (3, "|", None, None, None, -1, -1, 0))),
        array(dtype("O", (3, "|", None, None, None, -1, -1, 63)), [1]),
        array(dtype([("a", "O")], None)),
        array(dtype("u1", (3, "|", None, None, None, 8, 8, 0))),
        array(dtype("i8", (3, "<", None, None, None, -1, 0, 0))),
        array(dtype("i8", (3, "<", None, None, None, -1, -1, 63))),
        array(dtype("i8", (3, "<", (dtype("O", None), (1,)), None, None, -1, -1, 0))),
        array(dtype("i8", (4, "<", None, None, None, -1, -1, 0, {"a": 1}))),
        array(dtype("i8", (3, "<", None, None, None, -1, -1, 0)), b"short"),
        array(dtype("i8", None), ["no bytes"]),
        Called("numpy.scalar", dtype("O", None), ADDRESS),
        Called("numpy.scalar", dtype("V8", HIDING), ADDRESS),
        Called("numpy._frombuffer", ADDRESS, dtype("V8", HIDING), (1,), "C"),
        Called("numpy.ndarray", (1,), dtype("O", None)),
        Called("_codecs.encode", "a", "idna"),
        Called("builtins.bytes", 10**12),
        Called("numpy.load", "a.npy"),
        Called("builtins.eval", "1"),
    ],
    ids=lambda hostile: hostile.name,  # the same in every process, unlike an address
)
def test_what_hides_addresses_or_calls_is_refused(hostile):
    data = dumped([hostile])
    assert pickletools.dis(data, io.StringIO()) is None  # a pickle it is
    with pytest.raises(UserError, match=r"'a\.pkl' is damaged, or no pickle of plain arrays"):
        pickles.from_bytes(data, "a.pkl")


def test_the_types_of_numpy_stay_what_they_are():
    pickles.from_bytes(dumped([Called("numpy.dtype", "i8", state=(3, ">", None, None, None, -1, -1, 0))]), "a.pkl")
    assert np.dtype("i8").str == "<i8"
