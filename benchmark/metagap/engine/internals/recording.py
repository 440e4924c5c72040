"""Recording the tensor operations of a function.

Checked on torch 2.15. Uses `torch.fx.experimental.proxy_tensor`: its `make_fx`, with its `extract_val` replaced by one
that takes a third of the time. Where there is no `extract_val` to replace, `make_fx` is used as it is. Where there is
no `make_fx`, functions cannot be recorded, and are computed eagerly. While it records, `Tensor` has no methods that
hand its values to Python or NumPy.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, fx

try:
    from torch.fx.experimental import proxy_tensor
except ImportError:
    proxy_tensor = None

LIGHT = hasattr(proxy_tensor, "extract_val")
"""Whether notes of results are made in the light way."""


def record(function: Callable[[Any, Any], Any], first: Any, second: Any) -> fx.GraphModule:
    """The operations of `function` at two arguments; every node has its result without data in `meta["val"]`.

    Raises ValueError where the function looks at values, NotImplementedError where this torch cannot record.
    """
    if proxy_tensor is None:
        raise NotImplementedError("this version of torch does not record operations")

    def called(first: Any, second: Any) -> Any:  # make_fx looks at the signature, which a bound method hides
        return function(first, second)

    numbers = _numbers()
    with torch.no_grad(), _light_notes(), _values_hidden():
        recorded = proxy_tensor.make_fx(called)(first, second)
    if _numbers() != numbers and _draws(partial(function, first, second)):
        raise ValueError("it draws random numbers outside of torch")
    return recorded


@contextmanager
def _light_notes() -> Iterator[None]:
    """torch's own way makes a mode of fake tensors for every result, and with it a stack trace."""
    if not LIGHT or proxy_tensor is None:
        yield
        return
    extract_val = proxy_tensor.extract_val

    def noted(value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Tensor) and value.layout is torch.strided:
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return extract_val(value, *args, **kwargs)

    with mock.patch.object(proxy_tensor, "extract_val", noted):
        yield


@contextmanager
def _values_hidden() -> Iterator[None]:
    """Refuses what would put a value of this moment into the trace: Python's and NumPy's view of a tensor."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("it takes values out of tensors")

    with contextlib.ExitStack() as patches:
        for name in ("tolist", "numpy", "__array__"):
            patches.enter_context(mock.patch.object(Tensor, name, refuse))
        yield


def _numbers() -> tuple[Any, ...]:
    """Where the streams of Python and NumPy are."""
    return random.getstate(), *_numpy_numbers()


def _numpy_numbers() -> tuple[bytes, int]:
    state: dict[str, Any] = np.random.get_state(legacy=False)  # type: ignore[assignment]  # noqa: NPY002
    return state["state"]["key"].tobytes(), state["state"]["pos"]


def _draws(function: Callable[[], Any]) -> bool:
    """Whether a function draws from the stream of Python or NumPy.

    Others may do so meanwhile, as the event loop of a Dask worker does several times a second. Of Python's stream it is
    seen which thread draws.
    """
    stream, drawn = random.random.__self__, []

    def look(frame: FrameType, event: str, called: Any) -> None:
        by = called.__self__ if event == "c_call" and hasattr(called, "__self__") else None
        if by is stream or (event == "call" and frame.f_locals.get("self") is stream):
            drawn.append(called)

    numbers, before = _numpy_numbers(), sys.getprofile()
    sys.setprofile(look)
    try:
        with torch.no_grad():
            function()
    finally:
        sys.setprofile(before)
    return bool(drawn) or _numpy_numbers() != numbers
