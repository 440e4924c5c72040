"""Who has a cell in work: a lease on its folder, for shared folders too, where file locks may not work.

`.lease/OWNER.BEAT` is the lease: one file in a folder, named by a random token and by how often its owner has shown
that it lives. Each step is one operation that a file server does at one go, and none can hit the lease of anyone else:

    take                   a folder with the file is made aside and renamed to `.lease`; that fails unless it is empty
    beat                   the file is renamed to its next number; that fails once it has been taken away
    give back, take over   the file is removed by its full name; that fails if there was a beat since it was looked at

A lease is taken over when no beat was seen for its term, by the clock of the process that looks: clocks of two hosts
are never compared. One whose process has ended on this host is taken over at once. An owner that was suspended for
longer finds out before it writes: whatever `files` writes into a folder that this process holds is preceded by a beat.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from metagap.errors import UserError

TERM, BEAT = 120.0, 5.0
"""Seconds without a beat after which a lease is taken over, and between beats. NFS may show a folder a minute late."""
NAME = ".lease"
SIZE = 1024
"""Bytes of the file, always the same, so that it is written over at one go."""
TRIES, PAUSE = 50, 0.01
"""How often, and how many seconds apart, one looks again at what changes while it is looked at."""


@dataclass(frozen=True)
class Lease:
    """What others see of a lease."""

    owner: str
    """A random token, another one for each time that a lease is taken."""
    beat: int
    """How many beats there were."""
    host: str = "an unknown host"
    pid: int = 0
    machine: str = ""
    """Where the pid counts: on this boot of this host, in this container."""
    started: str = ""
    """When that process was started, in the system's words: the number of an ended one is given to others."""
    since: str = ""
    """When the lease was taken: ISO, UTC, by the owner's clock."""
    term: float = TERM
    phase: str = ""
    """What is being done, as in `Progress`; empty before the first was told."""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    """How much of this phase is done in a second, by this owner; 0 where that is not known yet."""
    silent: float = 0.0
    """Seconds since the last beat, by the clocks of file server and reader: for people alone."""

    def __str__(self) -> str:
        since = f" since {self.since[:16].replace('T', ' ')} UTC" if self.since else ""
        return f"process {self.pid} on {self.host}{since}" if self.pid else "another process"

    @property
    def is_dead(self) -> bool:
        """Whether its process has certainly ended, which only its own host knows."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):  # that of another user, which may be hidden below
            pass
        now = _started(self.pid)
        return bool(now) and now != self.started


TOLD = [field.name for field in fields(Lease) if field.name not in ("owner", "beat", "silent")]
"""What stands in the file."""


class HeldError(UserError):
    """Another process has the lease; `lease` says which, if it could be read."""

    def __init__(self, message: str, lease: Lease | None):
        super().__init__(message)
        self.lease = lease


class LostError(HeldError):
    """The lease was taken over from this process, which must not write any more."""


def read(folder: Path) -> Lease | None:
    """The lease on a folder, or None where it is free. Whether its owner still lives is not looked at."""
    found = _look(folder)
    return None if found is None else found[1]


@contextmanager
def hold(folder: Path, term: float = TERM, beat: float = BEAT) -> Iterator[Holding]:
    """Have the lease on a folder, which is made; beats come from a thread.

    term, beat: seconds; of the term that is written, others wait all. Raises HeldError where another process has it,
    and UserError where the folder cannot be written.
    """
    holding, over = Holding(folder, term), threading.Event()

    def beats() -> None:
        while not over.wait(beat):
            try:
                holding.check()
            except LostError:
                return
            except UserError:  # a file server that is away for a while
                continue

    try:
        holding._take()
        _HELD[folder] = holding
        threading.Thread(target=beats, daemon=True, name=f"lease {folder}").start()
        yield holding
    finally:
        over.set()
        if _HELD.get(folder) is holding:
            del _HELD[folder]
        holding._give_back()


def guard(path: Path) -> None:
    """Called before a file of the store is written or moved: raises LostError if its folder was held and is lost."""
    for folder in path.parents:
        if folder in _HELD:
            _HELD[folder].check()


_HELD: dict[Path, Holding] = {}
"""The leases of this process, by the folders as they are called where they are held."""


class Watch:
    """Looks at a lease that somebody else has, until it is free."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._seen, self._looked, self._waited = "", 0.0, 0.0
        self.lease: Lease | None = None
        """As it was seen last."""

    def is_free(self) -> bool:
        """Whether the lease can be had now, by anyone. One that has outlived its term is ended here. Where that cannot
        be found out it is True: whoever tries to have the lease is told why.

        To be called every few seconds: a longer time between two calls counts little, for this process may have been
        suspended together with the owner.
        """
        try:
            found = _look(self._folder)
        except OSError:
            return True
        if found is None:
            return True
        (path, self.lease), now = found, time.monotonic()
        if path.name == self._seen:
            self._waited += min(now - self._looked, self.lease.term / 4)
        else:
            self._seen, self._waited = path.name, 0.0
        self._looked = now
        return (self.lease.is_dead or self._waited > self.lease.term) and _end(path)


class Holding:
    """The lease in the hands of its owner."""

    def __init__(self, folder: Path, term: float):
        self._folder, self._lock = folder, threading.Lock()
        self._taken = False
        self._told, self._phase_began = ("", 0, 0, 0.0), (0.0, 0)
        host, pid, now = socket.gethostname()[:99], os.getpid(), datetime.now(UTC).isoformat(timespec="seconds")
        self._lease = Lease(secrets.token_hex(8), 0, host, pid, _machine(), _started(pid), now, float(term))

    def tell(self, phase: str, done: int, total: int) -> None:
        """Have the next beat say how far the work is; costs nothing."""
        now = time.monotonic()
        if phase != self._told[0]:
            self._phase_began = now, done
        began, before = self._phase_began
        self._told = phase, int(done), int(total), float(done - before) / (now - began) if now > began else 0.0

    def check(self) -> None:
        """Show that this process lives; raises LostError if it is too late.

        Who is suspended between this and a write, for longer than the term, writes nevertheless. So a write has to
        replace whole files, by what whoever took over would write too.
        """
        with self._lock:
            if not self._taken:
                raise self._lost()
            before = self._path
            phase, done, total, rate = self._told
            lease = replace(self._lease, beat=self._lease.beat + 1, phase=phase[:99], done=done, total=total, rate=rate)
            try:
                with before.open("r+b") as file:  # it never makes one
                    file.write(_written(lease))
                if not _renamed(before, _path(self._folder, lease)):
                    raise FileNotFoundError
            except (FileNotFoundError, NotADirectoryError):
                self._taken = False
                raise self._lost() from None
            except OSError as error:
                raise UserError(f"'{before}' cannot be written: {error.strerror or error}") from None
            self._lease = lease

    @property
    def _path(self) -> Path:
        return _path(self._folder, self._lease)

    def _lost(self) -> LostError:
        lease = read(self._folder)
        by = f"now {lease} has it" if lease is not None else "it was taken away"
        return LostError(f"this process must not write to '{self._folder}' any more: {by}", lease)

    def _take(self) -> None:
        aside = self._folder / f"{NAME}-{self._lease.owner}"
        try:
            aside.mkdir(parents=True)
            (aside / self._path.name).write_bytes(_written(self._lease))
            self._move(aside)
        except OSError as error:
            raise UserError(f"'{self._folder}' cannot be written: {error.strerror or error}") from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _move(self, aside: Path) -> None:
        for _ in range(TRIES):
            with suppress(OSError):
                (self._folder / NAME).rmdir()  # it is empty where an owner was killed while it gave it back
            with suppress(OSError):
                aside.rename(self._folder / NAME)
            if self._path.exists():  # asked for, since a file server may report a fault after it has done it
                self._taken = True
                return
            found = _look(self._folder)
            if found is not None and not (found[1].is_dead and _end(found[0])):
                raise HeldError(f"{found[1]} is at work in '{self._folder}'", found[1])
            time.sleep(PAUSE)
        raise UserError(f"'{self._folder / NAME}' is in the way, and no lease; it can be removed")

    def _give_back(self) -> None:
        with self._lock:
            if self._taken:
                _end(self._path)
            self._taken = False


def _path(folder: Path, lease: Lease) -> Path:
    return folder / NAME / f"{lease.owner}.{lease.beat}"


def _look(folder: Path) -> tuple[Path, Lease] | None:
    """The file of the lease and what stands in it; what is half written says little, and is alive all the same."""
    for _ in range(TRIES):
        try:
            names = [path.name.split(".") for path in (folder / NAME).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return None
        beats = {name[0]: int(name[1]) for name in names if len(name) == 2 and name[0] and name[1].isdecimal()}
        if not beats:
            return None
        bare = Lease(*max(beats.items(), key=lambda one: one[1]))
        path = _path(folder, bare)
        try:
            data, silent = path.read_bytes(), max(0.0, time.time() - path.stat().st_mtime)
        except FileNotFoundError:  # there was a beat in between
            continue
        return path, replace(bare, silent=silent, **_parsed(data, bare))
    return None


def _parsed(data: bytes, bare: Lease) -> dict[str, Any]:
    """What stands in the file, as far as it is of the right kind."""
    try:
        told = json.loads(data)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {key: value for key, value in told.items() if key in TOLD and type(value) is type(getattr(bare, key))}


def _written(lease: Lease) -> bytes:
    return json.dumps({key: getattr(lease, key) for key in TOLD}).encode().ljust(SIZE)


def _renamed(before: Path, after: Path) -> bool:
    """Rename a file that is there; False where it is not. A file server may say so though it has done it."""
    try:
        before.rename(after)
    except FileNotFoundError:
        return after.exists()
    return True


def _end(path: Path) -> bool:
    """Remove exactly this lease; False where it is another one by now."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # the next one is there already
        path.parent.rmdir()
    return True


@cache
def _machine() -> str:
    """Where process numbers mean the same as here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _started(pid: int) -> str:
    """When a process of this host was started, in some unit; empty where it is not to be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, *further = stat.rpartition(")")[2].split()
    return "ended" if state in "ZX" else further[18]
