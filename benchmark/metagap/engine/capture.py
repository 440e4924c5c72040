"""Capturing: the work of a whole iteration on a GPU, launched as one CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

log = logging.getLogger("metagap")

WARM_UP = 3
"""Iterations before the capture, in which libraries choose their kernels and buffers come to be."""


class Captured:
    """A function without arguments and results, whose work on the GPU is captured and from then on replayed.

    A small network's iteration is hundreds of short kernels, and launching them one by one takes longer than running
    them. What the function reads and writes must stay where it is, and nothing in it may wait for the device. Where
    the capture fails the function goes on as it is, and the log says so.
    """

    def __init__(self, function: Callable[[], None], generators: Sequence[torch.Generator]):
        """generators: the generators on the GPU that the function draws from; their streams go on as they would."""
        self._function, self._generators = function, generators
        self._graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        self._stream = torch.cuda.Stream()

    def __call__(self) -> None:
        """One iteration; the first ones and the rest compute the same."""
        self._calls += 1
        if self._calls == WARM_UP + 1:
            self._capture()
        if self._graph is not None:
            self._graph.replay()
        elif self._calls <= WARM_UP:
            with torch.cuda.stream(self._stream):
                self._function()
            torch.cuda.synchronize()
        else:
            self._function()

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        spare = [generator.clone_state() for generator in self._generators]
        for generator in self._generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._function()
            self._graph = graph
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            log.warning("the iteration cannot be captured as a CUDA graph, going on without (%s)", first)
            torch.cuda.synchronize()
            for generator, state in zip(self._generators, spare, strict=True):
                generator.graphsafe_set_state(state)
