"""Why two runs of one cell differ, and by how much: configuration, data, code, environment; then the numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metagap.errors import UserError
from metagap.results.archives import ENDINGS, unpacked
from metagap.results.cells import CELL, cells
from metagap.results.files import DamagedError, read_sealed
from metagap.results.listing import differences
from metagap.results.markers import read_config, read_file, read_marker


class Scores(NamedTuple):
    """A split of two runs: the mean headline score of each after the last inner step, and how many of their episodes
    have another score."""

    split: str
    a: float
    b: float
    episodes: int
    differing: int


@dataclass
class Contrast:
    """Two runs side by side. causes: in what they differ beforehand, a line `key a → b` for each, by what it is about.

    weights: parameter -> the largest absolute difference, empty where weights are not in the records of both. parts:
    the first iteration at which the training curves differ; None: at none, or one has no curve. unknown: sentences on
    what could not be compared.
    """

    a: str
    b: str
    causes: dict[str, list[str]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    parts: int | None = None
    scores: list[Scores] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def same_numbers(self) -> bool:
        """Whether no number differs that both have."""
        return self.parts is None and not any(self.weights.values()) and not any(one.differing for one in self.scores)


def contrasts(results: Path, a: str, b: str) -> list[Contrast]:
    """Each of two is a cell by its folder or as SUITE/ALGORITHM/SEED[-HASH] in the store, or a store, a suite's folder
    or an archive, of which the cells that both have are compared.

    Raises UserError for what is none of these, and where both have no cell in common.
    """
    with ExitStack() as stack:
        found = [_found(results, one, stack) for one in (a, b)]
        if all(isinstance(one, Path) for one in found):
            return [contrast(*found)]  # type: ignore[arg-type]
        if any(isinstance(one, Path) for one in found):
            raise UserError(f"'{a}' and '{b}': one is a cell, and the other holds several; name two of a kind")
        first, second = found
        assert isinstance(first, dict) and isinstance(second, dict)
        if not (shared := [key for key in first if key in second]):
            raise UserError(f"'{a}' and '{b}' have no cell in common")
        return [contrast(first[key], second[key]) for key in shared]


def contrast(a: Path, b: Path) -> Contrast:
    """Two cells by their folders. Raises UserError where one has no marker that can be read."""
    pair = _markers(a, b)
    found = Contrast(str(a), str(b))
    configs = [read_config(folder, marker) for folder, marker in zip((a, b), pair, strict=True)]
    about = {
        "configuration": [{k: v for k, v in one.items() if k not in ("data", "revisions")} for one in configs],
        "evaluation": [{**_some(one, "evaluation", "metrics"), "splits": one["suite"].get("splits")} for one in pair],
        "data": [
            {"data": config.get("data"), **_some(marker, "split_data", "episodes")}
            for config, marker in zip(configs, pair, strict=True)
        ],
        "revisions of the code": [config.get("revisions") for config in configs],
    }
    try:
        about["environment"] = [
            {**read_file(folder, marker, "environment.json"), "date": None}
            for folder, marker in zip((a, b), pair, strict=True)
        ]
    except DamagedError as error:
        found.unknown.append(f"{error}.")
    for what, (one, other) in about.items():
        if lines := list(differences(one, other, ".")):
            found.causes[what] = lines
    _compare_curves(found, a, b, pair)
    _compare_weights(found, a, b)
    found.scores = list(_scores(found, a, b, pair))
    return found


def _compare_curves(found: Contrast, a: Path, b: Path, markers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    try:
        curves = [read_file(folder, marker, "curve.parquet") for folder, marker in zip((a, b), markers, strict=True)]
    except DamagedError as error:
        found.unknown.append(f"{error}.")
        return
    one, other = (curve.set_index("iteration").drop(columns="seconds", errors="ignore") for curve in curves)
    one, other = one.align(other, join="outer")
    same = (one == other) | (one.isna() & other.isna())
    if len(same) and not same.all(axis=None):
        found.parts = int(same.index[~same.all(axis=1)].min())


def _compare_weights(found: Contrast, a: Path, b: Path) -> None:
    """The weights that were scored; they need torch, which the rest does not."""
    if lacking := [str(folder) for folder in (a, b) if not (folder / "checkpoint.pt").is_file()]:
        found.unknown.append(f"Weights are not compared: {' and '.join(lacking)} has none.")
        return
    import torch

    try:
        files = (io.BytesIO(read_sealed(folder / "checkpoint.pt")) for folder in (a, b))
        one, other = (torch.load(file, map_location="cpu", weights_only=True)["selected"] for file in files)
    except DamagedError as error:
        found.unknown.append(f"Weights are not compared: {error}.")
        return
    except Exception as error:  # of a training that is not over, or a torch that writes otherwise
        found.unknown.append(f"Weights are not compared: they cannot be read, {error!r}.")
        return
    for name in sorted({*one, *other}):
        if name in one and name in other and one[name].shape == other[name].shape:
            gap = (one[name].double() - other[name].double()).abs()
            found.weights[name] = float(gap.nan_to_num(float("inf")).max()) if gap.numel() else 0.0
        else:
            found.unknown.append(f"Parameter '{name}' is not in both, or of another shape.")


def _scores(found: Contrast, a: Path, b: Path, markers: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[Scores]:
    first, second = markers
    for split in first["files"].keys() | second["files"].keys():
        if split not in first["files"] or split not in second["files"]:
            found.unknown.append(f"Split '{split}' was scored in one of them only.")
    for split in (split for split in first["files"] if split in second["files"]):
        try:
            frames = [
                read_file(folder, marker, f"evaluation/{marker['files'][split]}.parquet")
                for folder, marker in zip((a, b), markers, strict=True)
            ]
        except DamagedError as error:
            found.unknown.append(f"{error}. Split '{split}' is not compared.")
            continue
        one, other = map(_last, frames)
        both, again = one.align(other, join="inner")
        differing = int(((both != again) & ~(both.isna() & again.isna())).sum())
        if len(one) != len(other):
            counts = f"{len(one):,} and {len(other):,} episodes"
            found.unknown.append(f"Split '{split}' has {counts}; those that both have are compared.")
        yield Scores(split, float(both.mean()), float(again.mean()), len(both), differing)


def _last(frame: pd.DataFrame) -> pd.Series:
    """The scores of the episodes of a split as the suite has them, after the last inner step."""
    rows = frame[frame["condition"] == "standard"]
    return rows[rows["step"] == rows["step"].max()].set_index("episode")["query_score"].astype(np.float64)


def _some(marker: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: marker.get(key) for key in keys}


def _markers(a: Path, b: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A marker of each: of the variant that both have, if there is one; else the last."""
    known = []
    for folder in (a, b):
        markers = {path.stem: marker for path in sorted(folder.glob("done-*.json")) if (marker := read_marker(path))}
        if not markers:
            raise UserError(f"'{folder}' has no marker: it is not finished, or no cell")
        known.append(markers)
    first, second = known
    shared = next((name for name in first if name in second), None)
    if shared:
        return first[shared], second[shared]
    latest = (max(one.values(), key=lambda marker: marker.get("finished", "")) for one in known)
    return next(latest), next(latest)


def _found(results: Path, name: str, stack: ExitStack) -> Path | dict[tuple[str, str, int], Path]:
    """The folder of a cell, or of each cell by suite, label and seed."""
    path = Path(name)
    if path.is_file() and name.endswith(ENDINGS):
        store, suite = stack.enter_context(unpacked(path))
        return _keyed(store, [store / suite])
    for here in (path, results / name):
        if here.is_dir():
            if CELL.fullmatch(here.name):
                return here
            if any(cells(here)):
                return _keyed(here.parent, [here])
            if folders := [folder for folder in sorted(here.iterdir()) if folder.is_dir() and any(cells(folder))]:
                return _keyed(here, folders)
    matching = sorted((results / path.parent).glob(f"{path.name}-*")) if path.name.isdecimal() else []
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(str(one.relative_to(results)) for one in matching)
        raise UserError(f"'{name}' was run with several settings: name one of {names}")
    raise UserError(f"'{name}' is no cell (SUITE/ALGORITHM/SEED[-HASH] in '{results}'), store or archive")


def _keyed(store: Path, suites: list[Path]) -> dict[tuple[str, str, int], Path]:
    """The finished cells by suite, label and seed; of several with other settings, the last one by its hash."""
    return {
        (suite.name, cell.parent.name, int(cell.name.partition("-")[0])): cell
        for suite in suites
        for cell in cells(suite)
        if any(cell.glob("done-*.json"))
    }
