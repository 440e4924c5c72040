"""Test episodes by column: what was recorded of an algorithm on a split, as arrays of seeds x episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from metagap.results.markers import digest_of
from metagap.results.tables import Table, read_columns

SHAPE = ("role", "ways", "shots")
"""What is the same in all rows of a split."""
KEYS = ("split", "condition", "episode", "step")
"""What a row of a cell's records is known by."""
COLUMNS = (*KEYS, *SHAPE, "query_score", "support_score", "query_loss", "null_loss")
"""What every record has and numbers are made of; further metrics have columns beside them."""
TEXTS = ("split", "condition", "role")
NONE = np.empty(0, int)


class Key(NamedTuple):
    """What episodes are looked up by."""

    algorithm: str
    split: str
    condition: str
    step: int


@dataclass(frozen=True)
class Grid:
    """What was recorded of an algorithm on a split, under a condition, after an inner step.

    seeds: (S,), ascending. episodes: (M,), ascending: those that every seed has. columns: name -> (S, M).
    """

    seeds: np.ndarray
    episodes: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class Columns:
    """The test episodes of some cells by column.

    rows: how many there are, one per episode and inner step. algorithms: in the order in which they come. splits: one
    row per split in that order: split (index), role, ways, shots. grids: by key. null_loss: split -> the mean loss of
    the trivial predictor, in which each episode counts once, however many cells met it.
    """

    rows: int
    algorithms: list[str]
    splits: pd.DataFrame
    grids: dict[Key, Grid]
    null_loss: dict[str, float]


class _Piece(NamedTuple):
    """The part of a grid that is of one seed: `columns` are (M,) each."""

    seed: int
    episodes: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass
class Gathering:
    """Columns in the making: the records of a cell on a split are added one after the other, and can be freed then."""

    _rows: int = 0
    _algorithms: dict[str, None] = field(default_factory=dict)
    _splits: dict[str, tuple] = field(default_factory=dict)
    _pieces: dict[Key, list[_Piece]] = field(default_factory=dict)
    _null: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def add(self, algorithm: str, seed: int, table: Table) -> None:
        """Add rows of a cell, in any order; `table` has the columns of `COLUMNS`, and numbers in further ones."""
        known = table.numbers
        self._rows += len(known["episode"])
        self._algorithms[algorithm] = None
        (in_split, splits), (under, conditions), (in_role, roles) = (table.texts[name] for name in TEXTS)
        steps, after = np.unique(known["step"], return_inverse=True)
        code = (in_split * len(conditions) + under) * len(steps) + after
        code = code.astype(np.int16) if code.max(initial=0) < 2**15 else code  # which sorts in no time
        order = np.lexsort((known["episode"], code))
        values = {name: numbers[order] for name, numbers in known.items() if name not in (*KEYS, *SHAPE)}
        code, episodes = code[order], known["episode"][order]
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
            rest, step = divmod(int(code[start]), len(steps))
            split, condition = splits[rest // len(conditions)], conditions[rest % len(conditions)]
            if split not in self._splits:
                first = order[start]
                self._splits[split] = (roles[in_role[first]], known["ways"][first], known["shots"][first])
            piece = _Piece(seed, episodes[start:end], {name: column[start:end] for name, column in values.items()})
            if (np.diff(piece.episodes) == 0).any():
                raise ValueError(f"an episode of '{split}' is there twice for {algorithm} seed {seed}")
            self._met(split, condition, piece)
            self._pieces.setdefault(Key(algorithm, split, condition, int(steps[step])), []).append(piece)

    def columns(self) -> Columns:
        """What was gathered; it is given away, so that memory holds it once."""
        grids = {}
        for key in list(self._pieces):
            grids[key] = _joined(self._pieces.pop(key))
        null: dict[str, list[np.ndarray]] = {}
        for (split, _), (_, losses) in self._null.items():
            null.setdefault(split, []).append(losses)
        index = pd.Index(list(self._splits), name="split")
        splits = pd.DataFrame(list(self._splits.values()), index=index, columns=list(SHAPE))
        means = {split: float(np.mean(np.concatenate(losses))) for split, losses in null.items()}
        return Columns(self._rows, list(self._algorithms), splits, grids, means)

    def _met(self, split: str, condition: str, piece: _Piece) -> None:
        """Note the trivial predictor's loss of the episodes that no cell before has met."""
        loss, (episodes, losses) = piece.columns.pop("null_loss"), self._null.get((split, condition), (NONE, NONE))
        if not np.array_equal(episodes, piece.episodes):
            fresh = ~np.isin(piece.episodes, episodes)
            known = np.concatenate([episodes, piece.episodes[fresh]]), np.concatenate([losses, loss[fresh]])
            self._null[split, condition] = known


class Recorded:
    """Test episodes as columns and as a data frame; each is made when it is first asked for."""

    def __init__(self, columns: Callable[[], Columns], frame: Callable[[], pd.DataFrame]):
        self._columns, self._frame = columns, frame

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Recorded:
        """Those of a data frame with a row per test episode and inner step."""
        return cls(lambda: _of_frame(frame), lambda: frame)

    @cached_property
    def columns(self) -> Columns:
        """The episodes by column."""
        return self._columns()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per test episode and inner step, with everything that was recorded."""
        return self._frame()


def read_episodes(folder: Path, marker: Mapping[str, Any], name: str, metrics: Sequence[str]) -> Table:
    """The columns of an evaluation file that numbers are made of, checked as in `read_file`.

    metrics: names of those that have columns of their own.
    """
    further = [f"{part}_{metric}" for metric in metrics for part in ("query", "support")]
    return read_columns(folder / name, digest_of(marker, name), [*COLUMNS, *further], TEXTS)


def coded(frame: pd.DataFrame) -> Table:
    """The rows of a data frame as columns."""
    texts = {name: pd.factorize(frame[name]) for name in TEXTS}
    numbers = {str(name): frame[name].to_numpy() for name in frame if name not in TEXTS}
    return Table({name: (codes, [*map(str, found)]) for name, (codes, found) in texts.items()}, numbers)


def _of_frame(frame: pd.DataFrame) -> Columns:
    gathering = Gathering()
    names = [str(name) for name in frame if name in COLUMNS or str(name).startswith(("query_", "support_"))]
    groups = cast("Any", frame.groupby(["algorithm", "seed"], sort=False, observed=True))
    for (algorithm, seed), rows in groups:
        gathering.add(str(algorithm), int(seed), coded(rows[names]))
    return gathering.columns()


def _joined(pieces: list[_Piece]) -> Grid:
    """The pieces of all seeds as one grid, cut to the episodes and the columns that all of them have."""
    pieces = sorted(pieces, key=lambda piece: piece.seed)
    first = pieces[0].episodes
    alike = all(np.array_equal(first, piece.episodes) for piece in pieces[1:])
    shared = first.copy() if alike else reduce(np.intersect1d, [piece.episodes for piece in pieces])
    rows = [slice(None) if alike else np.searchsorted(piece.episodes, shared) for piece in pieces]
    columns = {
        name: np.stack([piece.columns[name][row] for piece, row in zip(pieces, rows, strict=True)])
        for name in pieces[0].columns
        if all(name in piece.columns for piece in pieces)
    }
    return Grid(np.array([piece.seed for piece in pieces]), shared, columns)
