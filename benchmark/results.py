"""The store: where the records of a run lie, written atomically, and read back as data frames.

`<results>/<suite>/<algorithm>/<seed>-<hash>/` is one cell:

    config.json            what the trained weights depend on, resolved
    environment.json       versions, device and commit
    checkpoint.pt          state of the training, or its end
    curve.parquet          the training curve
    evaluation/*.parquet   a row per test episode and inner step, one file per split
    evaluation/*.npz       a sample episode of the split, where it may be shown
    done-<variant>.json    written last: the resolved suite, and which evaluation files belong to it
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import UserError

FORMAT = 1
"""Of the markers; a cell whose marker has another one counts as not done, and is scored again."""


@dataclass(frozen=True)
class Results:
    """The finished cells of one variant of a suite.

    suite: the resolved suite as plain values; `algorithms` maps each label to its resolved settings. cells: one row per
    cell. episodes: one row per test episode and inner step. curves: one row per recorded training iteration. samples:
    one sample episode per split. notes: sentences that a reader of the numbers should know.
    """

    suite: dict[str, Any]
    cells: pd.DataFrame
    episodes: pd.DataFrame
    curves: pd.DataFrame
    samples: dict[str, dict[str, np.ndarray]]
    notes: list[str]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a plain value atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as Parquet, atomically."""
    floats = list(frame.select_dtypes("float"))  # their bytes side by side, first of all with first: half the size
    options = {"use_dictionary": [name for name in frame if name not in floats], "use_byte_stream_split": floats}
    with atomic(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd", compression_level=9, **options)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as .npz, atomically."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_json(path: Path) -> Any:
    """Read a plain value; raises UserError where the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read: {error}; remove its folder to run that cell again") from None


def read_marker(path: Path) -> dict[str, Any] | None:
    """What the marker of a finished cell says; None where there is none, or one of another format."""
    marker = read_json(path) if path.is_file() else {}
    return marker if marker.get("format") == FORMAT else None


def read(results: Path, suite: str, variant: str | None = None) -> Results:
    """The finished cells of `suite` below the folder `results`.

    Results of different variants (another budget, another network, other splits) are never mixed: without `variant`,
    the one that was finished last is read, and the notes say that there are others. Raises UserError where there is
    nothing to read.
    """
    found = sorted((results / suite).glob("*/*/done-*.json"), key=lambda path: path.stat().st_mtime)
    markers = [path for path in found if read_marker(path)]
    variants = list(dict.fromkeys(path.stem.removeprefix("done-") for path in reversed(markers)))
    if not variants or variant not in (None, *variants):
        others = f"; there are the variants {', '.join(variants)}" if variants else ""
        what = f"variant '{variant}' of suite '{suite}'" if variant else f"suite '{suite}'"
        raise UserError(
            f"no finished results of {what} in '{results / suite}'{others}; `metagap run {suite}` makes them"
        )
    chosen = variant or variants[0]
    notes = []
    if len(variants) > 1 and variant is None:
        notes.append(
            f"{len(variants) - 1} other configuration(s) of this suite are in the store and not shown "
            f"({', '.join(v for v in variants if v != chosen)}); this one is {chosen}."
        )
    latest: dict[tuple[str, int], tuple[Path, dict[str, Any]]] = {}
    for path in markers:
        if path.stem == f"done-{chosen}":
            done = read_json(path)
            key = (done["label"], done["seed"])
            if key in latest:
                notes.append(f"{key[0]} seed {key[1]} was run with several settings; the last one is shown.")
            latest[key] = (path.parent, done)
    return assemble(latest, list(dict.fromkeys(notes)))


def assemble(cells: dict[tuple[str, int], tuple[Path, dict[str, Any]]], notes: list[str]) -> Results:
    """The results of chosen cells: (label, seed) -> the folder and what its marker says, with the files to be read."""
    rows, episodes, curves = [], [], []
    samples: dict[str, dict[str, np.ndarray]] = {}
    suite = dict(list(cells.values())[-1][1]["suite"])
    order = {split["name"]: i for i, split in enumerate(suite["splits"])}
    chosen = sorted((list(done["suite"]["algorithms"]) for _, done in cells.values()), key=len, reverse=True)
    labels = list(dict.fromkeys(label for names in chosen for label in names))  # in the order of the fullest run
    algorithms: dict[str, Any] = {}
    for (label, seed), (folder, done) in sorted(
        cells.items(), key=lambda item: (_rank(item[0][0], labels), item[0][1])
    ):
        environment = read_json(folder / "environment.json")
        rows.append({"algorithm": label, "seed": seed, "hash": done["hash"], **done["record"], **environment})
        algorithms[label] = {
            "algorithm": done["algorithm"],
            **done["hyperparameters"],
            "training": done["training"],
            "evaluation": done["evaluation"],
        }
        if done["record"].get("diverged"):
            end = f" and ended after {done['record']['iterations']:,} iterations"
            notes.append(f"The meta-training of {label} with seed {seed} diverged{end}: its loss is not finite.")
        for split, stem in done["files"].items():
            frame = _read(folder / "evaluation" / f"{stem}.parquet", pd.read_parquet)
            episodes.append(frame.assign(algorithm=label, seed=seed))
            sample = folder / "evaluation" / f"{stem}.npz"
            if split not in samples and sample.is_file():  # left out of results that others may not show images of
                with _read(sample, np.load) as arrays:
                    samples[split] = dict(arrays)
        curve = _read(folder / "curve.parquet", pd.read_parquet)
        curves.append(curve.assign(algorithm=label, seed=seed))
        notes += [note for note in done["notes"] if note not in notes]
    for split in order:
        if len({done["episodes"].get(split) for _, done in cells.values()} - {None}) > 1:
            notes.append(
                f"The test episodes of '{split}' differ between cells (other data, or another version of metagap): "
                "differences on it are not paired. Removing the older cells and running again mends that."
            )
    suite["algorithms"] = algorithms
    suite["seeds"] = sorted({seed for _, seed in cells})
    counts = {label: sum(1 for name, _ in cells if name == label) for label in algorithms}
    if len(set(counts.values())) > 1:
        notes.append(
            "Not every algorithm has the same seeds: " + ", ".join(f"{k} {v}" for k, v in counts.items()) + "."
        )
    samples = dict(sorted(samples.items(), key=lambda item: order.get(item[0], len(order))))
    return Results(suite, pd.DataFrame(rows), _concat(episodes), _concat(curves), samples, notes)


def _rank(label: str, labels: list[str]) -> tuple[int, str]:
    return (labels.index(label) if label in labels else len(labels), label)


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"'{path}' cannot be read: {error}; remove its folder to run that cell again") from None
