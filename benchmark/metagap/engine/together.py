"""The processes of a group: started, heard, and ended together, so that a failure of one is that of all."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed as dist

from metagap import stopping
from metagap.engine.distributed import Group, UnreachableError
from metagap.engine.process import end_of, end_with_parent, set_up
from metagap.errors import KilledError

WAIT = 600.0
"""Seconds that a process waits for the others before it takes one of them for lost."""
REASON = 5.0
"""Seconds that are waited for the reason why one was lost."""
GRACE = 10.0
"""Seconds in which the first of them has to save its state when this process is told to stop."""

Tell = Callable[[Any], None]


def run_together(
    work: Callable[..., None], arguments: Sequence[Any], devices: Sequence[str], hear: Tell, wait_for: float = WAIT
) -> None:
    """Call `work(group, tell, *arguments)` in a process for each of the devices, and wait for all of them.

    hear: is given what they tell. Where one fails or dies the others are ended, and this raises what it failed with,
    or KilledError for one that died or did not answer for `wait_for` seconds.
    """
    context = multiprocessing.get_context("spawn")
    members: list[_Member] = []
    with tempfile.TemporaryDirectory(prefix="metagap-") as folder:
        meeting = Path(folder) / "meeting"
        try:
            for rank, device in enumerate(devices):
                ours, theirs = context.Pipe(duplex=False)
                given = (Group(rank, len(devices)), device, meeting, wait_for, theirs, work, arguments)
                process = context.Process(target=_serve, args=given)
                process.start()
                theirs.close()
                members.append(_Member(f"device {rank + 1} of {len(devices)}", process, ours))
            failed = _wait_for_all(members, hear, wait_for)
        except (
            KeyboardInterrupt,
            SystemExit,
        ):  # told to stop; the others are needed until the first one has finished its step
            for member in members[:1]:
                member.process.terminate()
                member.process.join(GRACE)
            raise
        finally:
            for member in members:
                member.end()
    if failed is not None:
        raise failed


class _Done(NamedTuple):
    """The last that a process tells: that it is done, or what it failed with."""

    error: BaseException | None


class _Member(NamedTuple):
    name: str
    process: Any
    connection: Connection

    def heard(self, hear: Tell) -> _Done | None:
        """Pass on what it has told; its end, once it has come to it."""
        died = not self.process.is_alive()  # looked at first: what it said before is still there
        try:
            while self.connection.poll():
                if isinstance(told := self.connection.recv(), _Done):
                    return told
                hear(told)
        except (EOFError, OSError):
            self.process.join(10)
            died = True
        return _Done(KilledError(f"{self.name}: its process {end_of(self.process.exitcode)}")) if died else None

    def end(self) -> None:
        """End the process, which has nothing left to do."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _wait_for_all(members: Sequence[_Member], hear: Tell, wait_for: float) -> BaseException | None:
    """What the first of them failed with, once it has; None once all are done."""
    left, lost = list(members), None
    while left:
        signs = [sign for member in left for sign in (member.connection, member.process.sentinel)]
        if not wait(signs, None if lost is None else REASON):
            break
        for member in left.copy():
            if (done := member.heard(hear)) is None:
                continue
            left.remove(member)
            if isinstance(done.error, UnreachableError):  # what happened to the other one is told soon
                lost = done.error
            elif done.error is not None:
                return done.error
    if lost is None:
        return None
    silent = " and ".join(member.name for member in left) or "a device"
    return KilledError(f"{silent} did not answer for {wait_for:g} s, or cannot be reached ({lost})")


# In the processes.


def _serve(
    group: Group,
    device: str,
    meeting: Path,
    wait_for: float,
    connection: Connection,
    work: Callable[..., None],
    arguments: Sequence[Any],
) -> None:
    end_with_parent()
    if group.leads:
        stopping.on_term()
    else:  # the first one may need this one to come to where it can stop
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    error = None
    try:
        set_up()
        _join(group, device, meeting, wait_for)
        work(group, connection.send, *arguments)
    except BaseException as found:  # SystemExit of a plugin, too
        error = _portable(found)
    connection.send(_Done(error))
    if error is None:
        dist.destroy_process_group()


def _join(group: Group, device: str, meeting: Path, wait_for: float) -> None:
    """Meet the other processes, all of them on this machine."""
    on_gpu = torch.device(device).type == "cuda"
    for backend in ("GLOO", "NCCL"):
        loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
        if loopback is not None:
            os.environ.setdefault(f"{backend}_SOCKET_IFNAME", loopback)
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{meeting}",
        rank=group.rank,
        world_size=group.size,
        timeout=timedelta(seconds=wait_for),
        device_id=torch.device(device) if on_gpu else None,
    )


def _portable(error: BaseException) -> BaseException:
    """The error for another process, with its traceback as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(repr(error))
    error.add_note(f"In its process:\n{trace}")
    return error
