"""Worker processes with one job each at a time: one that dies takes nothing with it but its own job."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from metagap import stopping
from metagap.engine.process import end_of, end_with_parent
from metagap.executors.executor import Again, Done, End, Event, Failure

METHOD = "spawn"
"""How processes are started. Threads and CUDA survive no fork."""
TRIES = 2
"""How often a job is begun whose process dies: the second time it resumes, among fewer others."""

GRACE = 15
"""Seconds in which a process that is told to stop has to save its state; schedulers often give it 30."""

Tell = Callable[[Any], None]
"""What a job calls to report something while it runs."""

Work = Callable[[Any, int, Tell], End | None]
"""Does a job on a number of cores."""


def run(
    jobs: Sequence[Any],
    work: Work,
    starts: Sequence[Callable[[Tell], None]],
    cores: int = 1,
    admits: Callable[[int, Collection[int]], bool] = lambda place, busy: True,
) -> Generator[tuple[int, Event | Any], None, None]:
    """Do the jobs in as many processes as there are `starts`, each of which is called once in its process.

    cores: shared by the jobs in work, so that the last ones have those of the processes that are idle; a job keeps the
    cores that it began with. admits: whether a process may have a job while the busy ones have theirs, by their places.

    Yields (number of the job, event): what the job has reported, `Again` for one whose process died, and at its end
    what `work` returns, or else `Done` or a `Failure`. The processes end with the iteration, and with this process.
    """
    waiting, begun = deque(range(len(jobs))), Counter[int]()
    workers = [_Worker(work, start) for start in starts[: len(jobs)]]
    told: list[tuple[int, Any]] = []
    try:
        while True:
            while waiting and (idle := _idle(workers, admits)):
                number = waiting.popleft()
                begun[number] += 1
                free = cores - sum(worker.cores for worker in workers if worker.job is not None)
                idle[0].begin(number, jobs[number], max(1, free // min(len(idle), len(waiting) + 1)))
            yield from told  # now, since no process has to wait for whoever is told
            busy = [(worker, worker.job) for worker in workers if worker.job is not None]
            if not busy:
                return
            wait([thing for worker, _ in busy for thing in worker.signs])
            told = []
            for worker, number in busy:
                for event in worker.events():
                    if not isinstance(event, _Died):
                        told.append((number, event))
                    elif begun[number] < TRIES:
                        waiting.append(number)
                        told.append((number, Again(str(event))))
                    else:
                        told.append((number, Failure(f"{event}, {TRIES} times", kind="killed")))
    finally:
        for worker in workers:
            worker.dismiss()
        for worker in workers:
            worker.end()


def _idle(workers: Sequence[_Worker], admits: Callable[[int, Collection[int]], bool]) -> list[_Worker]:
    """Those that may have a job now."""
    busy = [place for place, worker in enumerate(workers) if worker.job is not None]
    return [worker for place, worker in enumerate(workers) if worker.job is None and admits(place, busy)]


class _Died(str):
    """How the process of a job ended before the job did."""


class _Worker:
    """A process, made when it is needed, and made again when it has died."""

    def __init__(self, work: Work, start: Callable[[Tell], None]):
        self._work, self._start = work, start
        self._process: Any = None
        self._connection: Any = None
        self.job: int | None = None
        self.cores = 0

    def begin(self, number: int, job: Any, cores: int) -> None:
        """Have a job done."""
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context(METHOD)
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._work, self._start))
            self._process.start()
            theirs.close()
        self.job, self.cores = number, cores
        with suppress(OSError):  # where it has died, its sentinel says so
            self._connection.send((job, cores))

    @property
    def signs(self) -> list[Any]:
        """What is ready when something has happened."""
        return [self._connection, self._process.sentinel]

    def events(self) -> Iterator[Any]:
        """What has happened: what was reported, and how the job ended."""
        died = not self._process.is_alive()  # looked at first: what it said before is still there
        try:
            while self._connection.poll():
                event = self._connection.recv()
                if isinstance(event, End):
                    self.job = None
                yield event
                if self.job is None:
                    return
        except (EOFError, OSError):
            self._process.join(10)
            died = True
        if died and self.job is not None:
            code = self._process.exitcode
            self.job, self._process = None, None
            self._connection.close()
            yield _Died(f"its process {end_of(code)}")

    def dismiss(self) -> None:
        """Let the process end by itself if it has nothing to do, and end it if it has."""
        if self._process is None:
            return
        if self.job is not None:
            self._process.terminate()
        with suppress(OSError):
            self._connection.send(None)

    def end(self) -> None:
        """Wait for the process, which was dismissed, and end it if it does not."""
        if self._process is None:
            return
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
        self._connection.close()


# In the workers.


def _serve(connection: Connection, work: Work, start: Callable[[Tell], None]) -> None:
    end_with_parent()
    stopping.on_term()
    lock = threading.Lock()

    def tell(event: Any) -> None:
        with lock:
            connection.send(event)

    started = False
    while True:
        sent, began = connection.recv(), time.monotonic()
        if sent is None:
            return
        job, cores = sent
        try:
            if not started:
                start(tell)
                started = True
            end = work(job, cores, tell)
        except stopping.Stopped:
            stopping.die()
        except BaseException as error:  # SystemExit of a plugin, too
            tell(Failure.of(error))
        else:
            tell(end or Done(time.monotonic() - began))
