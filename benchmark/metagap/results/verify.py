"""Every file of the store looked at: is it what was written, and is it of the form that it should have?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metagap import digests
from metagap.files import is_inside
from metagap.metrics import Metric
from metagap.results import lease
from metagap.results.cells import cells, label_of, suites
from metagap.results.files import DamagedError, read_json, read_sealed, read_signed
from metagap.results.markers import CLASSES, ROLLOUTS, read_config, read_marker
from metagap.results.tables import read_arrays, read_frame
from metagap.results.training import ALONG, BESIDE, QUANTITIES
from metagap.suite import Suite

SCORED = ("evaluation", *BESIDE)
"""The folders of a cell whose files have receipts."""
BASE = ("config.json", "environment.json", "curve.parquet")
COLUMNS = {"along": set(ALONG) - {"algorithm", "seed"}, "quantities": set(QUANTITIES) - {"algorithm", "seed"}}
COLUMNS["evaluation"] = COLUMNS["along"] - {"iteration"}


@dataclass(frozen=True)
class Fault:
    """Something wrong with a file. is_damaged: the file is there and of no use; else it is missing, or of another
    training. again: what `metagap run` has to do for it; empty where nothing needs it now."""

    path: Path
    problem: str
    is_damaged: bool
    again: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass
class Checked:
    """A cell that was looked at. left_out: files that records may lack, such as weights. busy: who has it in work; such
    a cell is not looked at."""

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    files: int = 0
    busy: lease.Lease | None = None

    @property
    def again(self) -> list[str]:
        """What `metagap run` will do of this cell again."""
        return list(dict.fromkeys(fault.again for fault in self.faults if fault.again))

    def __str__(self) -> str:
        return label_of(self.folder)


def verify(results: Path, suite: str | None = None) -> Iterator[Checked]:
    """Look at all files of all cells of the store, or of one suite; those of a suite itself come as a cell of its own.

    Raises UserError where there is no such store or suite.
    """
    for folder in suites(results, suite):
        yield _own(folder)
        for cell in cells(folder):
            yield look_at(cell)


def in_work(cell: Path) -> lease.Lease | None:
    """Who has a cell in work: a lease whose owner still lives, as far as can be seen at one look."""
    found = lease.read(cell)
    return None if found is None or found.is_dead or found.silent > found.term else found


def look_at(cell: Path, mine: bool = False) -> Checked:
    """Look at all files of a cell. mine: the lease on it is this process's."""
    if not mine and (busy := in_work(cell)):
        return Checked(cell, busy=busy)
    return _Look(cell).checked


def _own(folder: Path) -> Checked:
    checked, path = Checked(folder), folder / "own.json"
    if path.is_file():
        checked.files = 1
        if problem := _problem(path, read_signed):
            checked.faults.append(Fault(path, problem, True))
    return checked


class _Look:
    def __init__(self, cell: Path):
        self.cell, self.checked = cell, Checked(cell)
        self.markers: dict[Path, dict[str, Any]] = {}
        self.known: dict[str, set[str]] = {}
        """The digests that markers and receipts know of each file."""
        self._digests: dict[Path, str] = {}
        self._read_markers()
        self._read_receipts()
        self.has_weights = not _problem(cell / "checkpoint.pt", read_sealed)
        names = {*self.known, "checkpoint.pt", "attempts.json", "failed.json"}
        names |= {f"snapshots/{path.name}" for path in cell.glob("snapshots/*.pt")}
        names |= set(BASE) if self.markers else {name for name in BASE if (cell / name).is_file()}
        for marker in self.markers.values():
            names |= {f"evaluation/{stem}.parquet" for stem in marker["files"].values()}
        for name in sorted(names):
            self._look_at(name)
        for path, marker in self.markers.items():
            self._compare(path, marker)

    def _read_markers(self) -> None:
        for path in sorted(self.cell.glob("done-*.json")):
            self.checked.files += 1
            try:
                marker = read_marker(path)
                if marker is not None:
                    _read_suite(path, marker)
                    self.markers[path] = marker
            except DamagedError as error:
                self._add(path, _short(error, path), again="its marker is written again")
                continue
            for name, digest in (marker or {}).get("sha256", {}).items():
                self.known.setdefault(name, set()).add(digest)

    def _read_receipts(self) -> None:
        for folder in SCORED:
            for path in sorted(self.cell.glob(f"{folder}/*.json")):
                self.checked.files += 1
                try:
                    known = read_signed(path).get("sha256")
                except DamagedError as error:
                    self._add(path, _short(error, path))
                    continue
                if not isinstance(known, dict) or not all(map(is_inside, known)):
                    self._add(path, "it is no receipt, or names a file outside of its folder")
                    continue
                for name, digest in known.items():
                    if (path.parent / name).is_file():  # of what is not there another run may make another
                        self.known.setdefault(f"{folder}/{name}", set()).add(str(digest))

    def _look_at(self, name: str) -> None:
        path, again = self.cell / name, self._again(name)
        if not path.is_file():
            if _may_lack(name):
                self.checked.left_out += [name] if name in self.known else []
            else:
                self._add(path, "it is not there", damaged=False, again=again)
            return
        self.checked.files += 1
        known = self.known.get(name)
        try:
            is_other = known and self._digest(path) not in known
        except OSError as error:
            self._add(path, f"it cannot be read: {error.strerror or error}", damaged=False, again=again)
            return
        if is_other:
            self._add(path, "it is not what was written, by its sha256", again=again)
        elif problem := _problem(path, _reader(name)):
            self._add(path, problem, again=again)

    def _compare(self, path: Path, marker: Mapping[str, Any]) -> None:
        """What is whole, and not what this marker says."""
        bad = {fault.path for fault in self.checked.faults}
        others = [
            name
            for name, digest in marker.get("sha256", {}).items()
            if (file := self.cell / name).is_file() and file not in bad and self._digest(file) != digest
        ]
        if others:
            self._add(
                path, f"{', '.join(others)} is of another training", damaged=False, again="what differs is made again"
            )
            return
        if self.cell / "config.json" not in bad:
            problem = _problem(self.cell / "config.json", lambda _: read_config(self.cell, marker))
            if problem:
                self._add(path, f"config.json {problem}", again="its marker is written again")

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = digests.of_file(path)
        return self._digests[path]

    def _add(self, path: Path, problem: str, damaged: bool = True, again: str = "") -> None:
        self.checked.faults.append(Fault(path, problem, damaged, again))

    def _again(self, name: str) -> str:
        """What a run has to do if this file is of no use."""
        folder, _, file = name.rpartition("/")
        if name in BASE:
            return "it is written again" if self.has_weights else "it is trained again, for its weights are not here"
        if folder not in SCORED:
            return ""  # nothing is left to be done with weights; the rest is about the runs themselves
        ending = next((one for one in (CLASSES, ROLLOUTS, ".parquet", ".npz") if file.endswith(one)), "")
        key = "files" if folder == "evaluation" else folder
        of = {stem: about for marker in self.markers.values() for about, stem in marker.get(key, {}).items()}
        about = of.get(file.removesuffix(ending))
        if about is None or (ending == ".npz" and _may_lack(name)):
            return ""  # no finished suite has it
        what = {"evaluation": f"split '{about}' is scored", "along": f"split '{about}' is scored along training"}
        done = what.get(folder, f"quantity '{about}' is measured")
        if ending in (CLASSES, ROLLOUTS):
            done = f"the {ending[1:-4]} of split '{about}' are recorded"
        return f"{done} again" + ("" if self.has_weights else ", and it is trained again, for its weights are not here")


def _may_lack(name: str) -> bool:
    """Whether records may be passed on without a file: weights, and images that others may not show."""
    sample = name.endswith(".npz") and not name.endswith((CLASSES, ROLLOUTS))
    return sample or name.endswith(".pt") or name in ("attempts.json", "failed.json")


def _reader(name: str) -> Callable[[Path], Any]:
    """What reads a file, and raises DamagedError where it has not the form that it should have."""
    folder, _, file = name.rpartition("/")
    if name in ("attempts.json", "failed.json"):
        return read_signed
    if file.endswith(".pt"):
        return read_sealed
    if file.endswith(".npz"):
        return read_arrays
    if not file.endswith(".parquet"):
        return read_json
    needed = COLUMNS.get(folder, {"iteration", "loss"})

    def read(path: Path) -> None:
        if missing := needed - set(read_frame(path)):
            raise DamagedError(f"it lacks the column {', '.join(sorted(missing))}")

    return read


def _read_suite(path: Path, marker: Mapping[str, Any]) -> None:
    """Raise DamagedError where a report could not be made of what a marker says."""
    try:
        Suite.recorded(marker["suite"])
        for metric in marker.get("metrics", []):
            Metric.of(metric)
    except Exception as error:  # what others have written may raise anything
        raise DamagedError(f"'{path}' is damaged: its suite cannot be read: {error!r}") from None


def _problem(path: Path, read: Callable[[Path], Any]) -> str:
    """What is wrong with a file; empty where nothing is."""
    try:
        read(path)
    except DamagedError as error:
        return _short(error, path)
    return ""


def _short(error: DamagedError, path: Path) -> str:
    """The message without the path that it begins with."""
    return str(error).removeprefix(f"'{path}' is damaged: ").removeprefix(f"'{path}' ")
