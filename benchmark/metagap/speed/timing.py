"""Time, memory and arithmetic: what is measured, and nothing about what it is measured on."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


class Way(NamedTuple):
    """A way to run a problem: what it is called, what does an iteration, and on how many threads torch computes."""

    name: str
    iteration: Callable[[], Any]
    threads: int


@dataclass(frozen=True)
class Times:
    """Of repeated iterations, in milliseconds."""

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, seconds: Sequence[float], scale: float = 1.0) -> Times:
        """scale: what the times are multiplied by."""
        factor = 1e3 * scale
        return cls(statistics.median(seconds) * factor, min(seconds) * factor, max(seconds) * factor, len(seconds))


def seconds(way: Way, device: torch.device, iterations: int = 1) -> float:
    """The mean time of an iteration over `iterations` of them, device included."""
    torch.set_num_threads(way.threads)
    _wait(device)
    started = time.perf_counter()
    for _ in range(iterations):
        way.iteration()
    _wait(device)
    return (time.perf_counter() - started) / iterations


def interleaved(
    ways: Sequence[Way], turns: Sequence[int], device: torch.device, rounds: int, done: Callable[[float], None]
) -> list[list[float]]:
    """The times of an iteration of every way over `rounds` rounds, in each of which every way has a turn.

    turns: iterations of each in a turn, enough for short ones not to be slowed by what ran before. done: called with
    the share that is done.
    """
    times: list[list[float]] = [[] for _ in ways]
    gc.collect()
    gc.freeze()  # so that what is collected in a turn is what was made in it, not what earlier measurements left
    for i in range(rounds):
        for way, turn, found in zip(ways, turns, times, strict=True):
            found.append(seconds(way, device, turn))
        done((i + 1) / rounds)
    gc.unfreeze()
    return times


def peak_memory(iteration: Callable[[], Any], device: torch.device) -> int:
    """The most bytes of tensors during an iteration, above those before it.

    On a CPU of this thread's tensors alone: torch sees neither those of other threads nor a kernel's scratch space.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        iteration()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        iteration()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events: list[Any] = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def arithmetic(function: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions in a call."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops()


def peak_arithmetic(device: torch.device, threads: int) -> dict[str, float]:
    """Operations per second of a large matrix product and of a large 3x3 convolution: the device's ceiling here."""
    size, images = (8192, 256) if device.type == "cuda" else (2048, 16)
    a, b = torch.rand(2, size, size, device=device)
    x, w = torch.rand(images, 128, 64, 64, device=device), torch.rand(128, 128, 3, 3, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    measured: dict[str, tuple[Callable[[], Tensor], float]] = {
        "matrix product": (lambda: a @ b, 2 * size**3),
        "convolution": (lambda: F.conv2d(x, w, padding=1), 2 * x.numel() * 128 * 9),
    }
    found = {}
    with torch.no_grad():
        for name, (call, operations) in measured.items():
            way = Way(name, call, threads)
            found[name] = operations / min(seconds(way, device) for _ in range(4))
    return found


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """|ours - theirs| / |theirs| in the Euclidean norm."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
