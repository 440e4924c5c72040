"""Worker processes for a CPU: a trace computed for the pieces of a batch on all cores.

Threads would wait for each other's Python between any two operations, and for one allocator. Inputs and results lie in
a file that all the processes have in memory; what goes through the pipes is the numbers of the pieces.

Checked on Python 3.11 and torch 2.15, on Linux. Uses `multiprocessing.connection.Connection` on one end of a socket
pair that a process inherits, and `torch.from_file` on a file in `/dev/shm`. The public way: this process computes all
pieces, as it does on one core; `backends.Workers` takes it at the first `WorkerError`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from socket import socketpair
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from metagap.engine.internals.generated import Code, Whole, portable
from metagap.engine.process import set_up
from metagap.engine.trees import tree_filled, tree_leaves, tree_map

Cuts = Sequence[tuple[int, int]]
"""The first and the last but one task of every piece."""


class WorkerError(Exception):
    """A worker could not compute its share; the text says why."""


class Slot(NamedTuple):
    """Where in the common memory a tensor lies, and how."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes from its first value to its last."""
        last = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return self.dtype.itemsize * (1 + last) if 0 not in self.shape else 0

    def of(self, memory: Tensor) -> Tensor:
        """The tensor in the memory (bytes,)."""
        found = memory[self.offset : self.offset + self.size].view(self.dtype)
        return found.as_strided(self.shape, self.stride)


class Job(NamedTuple):
    """A function of flat lists of tensors, and where they lie: given whole, cut into pieces, and a result a piece."""

    function: Code | Whole
    cuts: Cuts
    given: list[Slot]
    cut: list[Slot]
    results: list[Slot]

    @classmethod
    def of(cls, trace: fx.GraphModule, cuts: Cuts, *tensors: list[Tensor]) -> tuple[Job, int]:
        """The job of a trace, and the bytes of common memory it needs. tensors: examples of the three kinds."""
        slots: list[list[Slot]] = []
        end = 0
        for kind in tensors:
            slots.append([])
            for tensor in kind:
                slots[-1].append(Slot(end, tuple(tensor.shape), tensor.stride(), tensor.dtype))
                end += -(-slots[-1][-1].size // 64) * 64
        return cls(portable(trace), cuts, *slots), end


class Share:
    """A job in the memory of one process."""

    def __init__(self, job: Job, memory: Tensor):
        self.function, self.cuts = job.function.function(), job.cuts
        kinds = (job.given, job.cut, job.results)
        self.given, self.cut, self.results = ([slot.of(memory) for slot in kind] for kind in kinds)

    def compute(self, piece: int) -> None:
        """Write the results of a piece."""
        start, end = self.cuts[piece]
        with torch.no_grad():
            results = self.function(*self.given, *(value[start:end] for value in self.cut))
            for slot, result in zip(self.results, results, strict=True):
                slot[piece].copy_(result)


class Run:
    """A job ready to be run by this process and its workers."""

    def __init__(self, workers: Workers, number: int, share: Share, result: Any):
        self._workers, self._number, self._share, self._result = workers, number, share, result

    def __call__(self, given: Any, batch: Any, advance: Callable[[int], None]) -> list[Any]:
        """The result of every piece, to be read before the next run. advance is told each piece that is done.

        Raises WorkerError.
        """
        for slots, values in ((self._share.given, given), (self._share.cut, batch)):
            for slot, value in zip(slots, tree_leaves(values), strict=True):
                _distinct(slot).copy_(_distinct(value))
        count = len(self._share.cuts)
        for piece in self._workers.compute(self._number, count, self._share.compute):
            advance(piece)
        return [tree_filled(self._result, [value[i] for value in self._share.results]) for i in range(count)]


def _distinct(tensor: Tensor) -> Tensor:
    """What an expanded tensor repeats, once."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


class Workers:
    """Processes that each compute a share of the pieces, on one thread each; they end when this one does."""

    def __init__(self, count: int):
        """count: processes in addition to this one, which takes its share too."""
        started = [_start() for _ in range(count)]
        self._processes, self._pipes = [process for process, _ in started], [pipe for _, pipe in started]
        self._starting = set(self._pipes)
        self._jobs = 0

    def ready(self, timeout: float | None = 0) -> bool:
        """Whether all of them have started; waits for that for `timeout` seconds, or as long as it takes."""
        while self._starting and (started := _ready(self._starting, timeout)):
            for pipe in started:
                _receive(pipe)
                self._starting.discard(pipe)
        return not self._starting

    def run(self, trace: fx.GraphModule, given: Any, batch: Any, cuts: Cuts, result: Any) -> Run:
        """A trace made known to all. result: of one piece, for its shape.

        Raises WorkerError.
        """
        each = [value.expand(len(cuts), *value.shape).contiguous() for value in tree_leaves(result)]
        job, size = Job.of(trace, cuts, tree_leaves(given), tree_leaves(batch), each)
        self._jobs += 1
        number, folder = self._jobs, "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.NamedTemporaryFile(dir=folder, prefix="metagap-") as file:
            file.truncate(max(1, size))
            for pipe in self._pipes:
                _send(pipe, ("job", number, job, file.name, size))
            share = Share(job, _memory(file.name, size))
            for pipe in self._pipes:
                _receive(pipe)  # it has the file in memory
        run = Run(self, number, share, tree_map(lambda _: None, result))
        weakref.finalize(run, self._forget, number)
        return run

    def compute(self, number: int, count: int, here: Callable[[int], None]) -> Iterator[int]:
        """The pieces of a job as they are done, by the workers and `here`."""
        stride, expected = len(self._pipes) + 1, {}
        try:
            for i, pipe in enumerate(self._pipes, start=1):
                expected[pipe] = len(range(i, count, stride))
                _send(pipe, ("compute", number, range(i, count, stride)))
            for piece in range(0, count, stride):
                here(piece)
                yield piece
            while waiting := [pipe for pipe, left in expected.items() if left]:
                for pipe in _ready(waiting):
                    yield _receive(pipe)
                    expected[pipe] -= 1
        except BaseException:  # what the others go on to send would be taken for something else
            for pipe in self._pipes:
                pipe.close()
            raise

    def _forget(self, number: int) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(WorkerError):
                _send(pipe, ("forget", number))


@cache
def workers(count: int) -> Workers:
    """This process's workers, started when they are first asked for."""
    return Workers(count)


def _start() -> tuple[subprocess.Popen, Connection]:
    ours, theirs = socketpair()
    code = f"import sys; sys.path[:0] = [{str(Path(__file__).parents[3])!r}]; "
    code += f"from metagap.engine.internals.pool import main; main({theirs.fileno()})"
    # A session of its own: an interruption from the terminal reaches this process, which ends the others.
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], start_new_session=True)
    theirs.close()
    return process, Connection(ours.detach())


def _memory(file: str, size: int) -> Tensor:
    return torch.from_file(file, shared=True, size=max(1, size), dtype=torch.uint8)


def _ready(pipes: Iterable[Connection], timeout: float | None = None) -> list[Connection]:
    return [pipe for pipe in wait(pipes, timeout) if isinstance(pipe, Connection)]


def _send(pipe: Connection, message: Any) -> None:
    try:
        pipe.send_bytes(pickle.dumps(message))
    except OSError as error:
        raise WorkerError(f"a worker process has ended ({error})") from None


def _receive(pipe: Connection) -> Any:
    try:
        answer = pipe.recv()
    except (OSError, EOFError):
        raise WorkerError("a worker process has ended") from None
    if isinstance(answer, str):
        raise WorkerError(answer)
    return answer


def main(handle: int) -> None:
    """A worker's life: answers a number to everything it has done, or a text that says why it could not."""
    set_up()
    pipe, shares = Connection(handle), {}
    try:
        pipe.send(0)
        while True:
            try:
                match pipe.recv():
                    case "job", number, job, file, size:
                        shares[number] = Share(job, _memory(file, size))
                        pipe.send(0)
                    case "compute", number, pieces:
                        for piece in pieces:
                            shares[number].compute(piece)
                            pipe.send(piece)
                    case "forget", number:
                        shares.pop(number, None)
            except (EOFError, OSError):
                raise
            except Exception as error:
                pipe.send(f"{type(error).__name__}: {error}")
    except (EOFError, OSError):
        pass
