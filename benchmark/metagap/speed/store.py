"""`status`, `run` and `report` timed on a store of many finished cells, none of which anything is left to be done of.

A small suite of ten seeds for each of ten algorithms shares the store with larger ones of a hundred seeds, as many as
are asked for. Their cells are copies of a few that were written as a run writes them, each with a configuration and a
marker of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import tomli_w

from metagap import digests, results
from metagap.errors import CellError
from metagap.speed.report import write_cell
from metagap.suite import Cell, as_json, expand, load_suite

ALGORITHMS = ("maml", "fomaml", "reptile", "anil", "boil", "cavia", "imaml", "meta-sgd", "scratch", "pretrain")
SMALL, LARGE = 100, 1000
"""Cells of the small suite, and of each of the others."""
EPISODES = 20
"""Of each split."""
SUITE = {
    "task": {"kind": "regression", "shots": 5, "queries": 4},
    "model": {"name": "mlp", "hidden": [4]},
    "source": {"name": "sinusoid"},
    "training": {"iterations": 4, "meta_batch": 2, "select": "last"},
    "evaluation": {"episodes": EPISODES, "steps": 1, "curve_steps": 4},
    "algorithms": {name: {} for name in ALGORITHMS},
    "splits": [
        {"name": "old", "role": "meta-train"},
        {"name": "new", "role": "in-distribution"},
        {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}},
        {"name": "sawtooth", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "sawtooth"}},
    ],
}


class Took(NamedTuple):
    """What a command took."""

    command: str
    seconds: float
    cpu_seconds: float
    page_bytes: int
    """Of the page of its suite; 0 where there is none."""

    def __str__(self) -> str:
        page = f", page of {self.page_bytes / 1e6:.2f} MB" if self.page_bytes else ""
        return f"{self.command}: {self.cpu_seconds:.1f} s CPU ({self.seconds:.1f} s){page}"


def measure(cells: int) -> Iterator[Took]:
    """What commands take where about so many cells are finished; the first ones verify them, later ones know them.

    Raises CellError where one fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = write(folder, "small", SMALL // len(ALGORITHMS))
        sizes = [min(LARGE, cells - start) for start in range(SMALL, cells, LARGE)]
        for number, size in enumerate(sizes, 1):
            write(folder, f"large-{number}", max(1, size // len(ALGORITHMS)))
        time.sleep(2.5)  # until no clock of a file system can hide a change
        yield _timed(folder, ["status"], "status, the first time")
        yield _timed(folder, ["status"])
        yield _timed(folder, ["report", small])
        yield _timed(folder, ["run", f"{small}.toml"], f"run {small}.toml, the first time")
        yield _timed(folder, ["run", f"{small}.toml"])
        if sizes:
            yield _timed(folder, ["run", "large-1.toml"], "run large-1.toml, the first time")
            yield _timed(folder, ["run", "large-1.toml"])


def write(folder: Path, name: str, seeds: int) -> str:
    """Write a suite file and finished cells of it into `results`; returns its name."""
    table = {"title": f"Made-up cells, {name}", **SUITE, "seeds": list(range(seeds))}
    (folder / f"{name}.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    cells = expand(load_suite(str(folder / f"{name}.toml")))
    firsts = {cell.label: cell for cell in cells if cell.seed == cells[0].seed}
    for first in firsts.values():
        write_cell(first, folder / "results", EPISODES)
    _copy(cells, firsts, folder / "results")
    hashes = [cell.hash for cell in cells]
    results.write_own(folder / "results" / name, cells[0].variant, hashes, cells[0].suite.reference)
    return name


def _copy(cells: Sequence[Cell], firsts: dict[str, Cell], store: Path) -> None:
    """The cells of further seeds: the files of the first of their algorithm, not forced to the disk."""
    content = {}
    for label, first in firsts.items():
        there = first.folder(store)
        content[label] = {
            str(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()
        }
    for cell in cells:
        first = firsts[cell.label]
        if cell is first:
            continue
        files = dict(content[cell.label])
        marker = json.loads(files.pop(f"done-{first.variant}.json"))
        del marker["digest"]
        files["config.json"] = (json.dumps(cell.identity, indent=1) + "\n").encode()
        sha256 = marker["sha256"] | {"config.json": digests.of_bytes(files["config.json"])}
        folder = cell.folder(store)
        (folder / "evaluation").mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        results.write_marker(folder, {**marker, **as_json(cell), "sha256": sha256})


def _timed(folder: Path, command: list[str], called: str = "") -> Took:
    code = "from metagap.cli import main; main()"
    words = [sys.executable, "-c", code, *command]
    started = time.monotonic()
    with tempfile.TemporaryFile() as error:
        child = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=error)
        _, status, used = os.wait4(child.pid, 0)
        error.seek(0)
        said = error.read().decode(errors="replace")
    if status:
        raise CellError(f"metagap {' '.join(command)} failed: {said}")
    seconds = time.monotonic() - started
    page = folder / "reports" / Path(command[-1]).stem / "index.html"
    size = page.stat().st_size if page.is_file() else 0
    return Took(called or " ".join(command), seconds, used.ru_utime + used.ru_stime, size)
