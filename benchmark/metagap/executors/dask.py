"""A cluster of Dask: workers that anything may have started, or a cluster on this machine to try it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from metagap import stopping
from metagap.errors import UserError
from metagap.executors.executor import Again, End, Event, Executor, Failure, Progress, Remark
from metagap.machine import Machine
from metagap.suite import Section

if TYPE_CHECKING:
    from metagap.suite import Cell

CONNECTING = 30
"""Seconds in which a scheduler has to answer."""
PATIENCE = 10.0
"""Seconds without news after which it is looked whether there are workers."""
EVERY = 1.0
"""Seconds between two words on the progress of a cell."""


class DaskSettings(Section):
    """Which scheduler: one of the two, $DASK_SCHEDULER_ADDRESS, or none, for a cluster on this machine."""

    address: str = Field("", description="of a scheduler, such as tcp://host:8786")
    scheduler_file: str = Field("", description="the file in which a scheduler says where it is")

    @model_validator(mode="after")
    def _one(self) -> DaskSettings:
        if self.address and self.scheduler_file:
            raise ValueError("'address' and 'scheduler_file' both say where the scheduler is; leave one out")
        return self


def _run(
    cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool, settings: DaskSettings
) -> Iterator[tuple[int, Event]]:
    """Cells as tasks; one whose worker dies is run again, as often as the scheduler allows: here once."""
    from distributed import Future

    news: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    topic = f"metagap-{token_hex(8)}"
    begun, left = Counter[int](), set(range(len(cells)))
    with _client(settings, machine, len(cells)) as client:
        client.subscribe_topic(topic, lambda event: news.put(event[1]))
        futures: list[Any] = []
        try:
            for number, cell in enumerate(cells):
                job = (cell, store.absolute(), replace(machine, workers=1), verbose, number, topic)
                futures.append(client.submit(_work, *job, key=f"{topic}-{number}", pure=False))
                futures[-1].add_done_callback(lambda future, number=number: news.put((number, future)))
            while left:
                try:
                    number, event = news.get(timeout=PATIENCE)
                except Empty:
                    if not client.nthreads():
                        yield min(left), Remark("there is no Dask worker; cells wait until one comes")
                    continue
                if isinstance(event, Future):
                    left.discard(number)
                    yield number, _end(event)
                elif number in left:  # else it comes late
                    if isinstance(event, str):
                        begun[number] += 1
                        event = Again("its Dask worker died") if begun[number] > 1 else None
                    elif event[0] == "Progress":
                        event = Progress(*event[1:])
                    else:
                        event = Remark(*event[1:])
                    if event is not None:
                        yield number, event
        finally:
            if left:
                with suppress(Exception):  # the cluster may be what has failed
                    client.cancel(futures, force=True)
                    client.run(_stop, topic, on_error="ignore")


def _end(future: Any) -> End:
    """How a task ended."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    if future.cancelled():
        return Failure("the Dask cluster ended, or lost its task")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Failure("its Dask worker died, as when memory runs out, as often as the scheduler allows", kind="killed")
    return Failure(f"Dask could not run it: {error!r}")


@contextmanager
def _client(settings: DaskSettings, machine: Machine, count: int) -> Iterator[Any]:
    """A client of the scheduler that is meant, or of a cluster that ends with it. Raises UserError if none answers."""
    import dask.config
    from distributed import Client, LocalCluster

    where = settings.address or dask.config.get("scheduler-address", "")
    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told by events
    if where or settings.scheduler_file:
        try:
            if settings.scheduler_file:
                client = Client(scheduler_file=settings.scheduler_file, timeout=CONNECTING, set_as_default=False)
            else:
                client = Client(where, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UserError(f"no Dask scheduler answers at '{where or settings.scheduler_file}': {error}") from None
        with client:
            yield client
        return
    from metagap.engine.machines import devices

    workers = len(devices(machine)[:count])
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, machine.cores // workers),
            processes=True,
            silence_logs=logging.CRITICAL,
            **options,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _where(machine: Machine, settings: DaskSettings) -> str:
    try:
        import dask.config
        import distributed  # noqa: F401
    except ImportError:
        raise UserError("--launch dask needs an extra: pip install 'metagap[dask]'") from None
    if settings.scheduler_file and not Path(settings.scheduler_file).is_file():
        raise UserError(f"executor 'dask': no file scheduler_file = '{settings.scheduler_file}'")
    at = settings.address or settings.scheduler_file or dask.config.get("scheduler-address", "")
    return f"Dask at {at}" if at else "Dask on this machine"


# In the workers.

_one_at_a_time = threading.Lock()
_running = ""


def _work(cell: Cell, store: Path, machine: Machine, verbose: bool, number: int, topic: str) -> End:
    """A cell, on as many cores as its worker has threads: of these, one computes at a time."""
    global _running
    from distributed import get_worker

    from metagap.executors.attempt import attempt

    worker, last = get_worker(), 0.0

    def tell(event: Progress | Remark) -> None:
        nonlocal last
        if isinstance(event, Remark) or time.monotonic() - last > EVERY:
            last = time.monotonic()
            worker.log_event(topic, [number, [type(event).__name__, *event]])

    with _one_at_a_time:
        worker.log_event(topic, [number, "begun"])
        _running = topic
        try:
            return attempt(cell, store, replace(machine, cores=worker.state.nthreads), verbose, tell)
        except stopping.Stopped:
            return Failure("it was told to stop")
        finally:
            _running = ""
            stopping.ask(False)


def _stop(topic: str) -> None:
    """Have the cell of a run that is over save its state and end."""
    if _running == topic:
        stopping.ask()


DASK = Executor(
    name="dask",
    about="Tasks of a Dask cluster, wherever its workers are; without one, of workers on this machine.",
    run=_run,
    where=_where,
    settings=DaskSettings(),  # type: ignore[call-arg]
)
