"""The episodes by column: what the data frame says, read cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metagap import results
from metagap.results.episodes import Gathering, Grid, Key, Recorded, coded
from metagap.results.tables import read_columns

NAMES = ["support_score", "query_score", "query_loss"]


def table(episodes, steps=(1,), null_loss=2.0, condition="standard", **columns) -> pd.DataFrame:
    """Rows of a split "s", an episode after the other."""
    rows = len(episodes) * len(steps)
    about = {"split": "s", "condition": condition, "role": "cross-domain", "ways": 5, "shots": 1}
    scores = {"query_score": np.arange(rows) / 8, "support_score": 1.0, "query_loss": 0.5, "null_loss": null_loss}
    known = {"episode": np.repeat(episodes, len(steps)), "step": np.tile(steps, len(episodes))}
    return pd.DataFrame(known | about | scores | columns)


def gathered(*tables: pd.DataFrame):
    gathering = Gathering()
    for seed, one in enumerate(tables):
        gathering.add("maml", seed, coded(one))
    return gathering.columns()


def from_frame(frame: pd.DataFrame, key: Key, column: str) -> pd.DataFrame:
    """The grid as pandas makes it."""
    there = (frame[["algorithm", "split", "condition", "step"]] == list(key)).all(axis=1)
    return frame[there].pivot(index="seed", columns="episode", values=column)


def check(columns, frame: pd.DataFrame) -> None:
    found = {Key(*key) for key in frame[["algorithm", "split", "condition", "step"]].itertuples(index=False)}
    assert set(columns.grids) == found and columns.rows == len(frame)
    for key, grid in columns.grids.items():
        for name in NAMES:
            expected = from_frame(frame, key, name)
            assert grid.columns[name].dtype == float
            assert (grid.columns[name] == expected.to_numpy()).all()
            assert (grid.seeds.tolist(), grid.episodes.tolist()) == (list(expected.index), list(expected.columns))


def test_columns_of_a_store_are_those_of_its_data_frame(store):
    folder, _ = store
    found = results.read(folder, "tiny")
    check(found.columns, found.episodes)
    assert found.columns.algorithms == ["maml", "scratch"] and list(found.columns.splits.index) == ["old", "square"]
    shuffled = found.episodes.sample(frac=1, random_state=0)
    check(Recorded.of(shuffled).columns, found.episodes)


def test_the_data_frame_is_read_when_it_is_asked_for_and_checked_again(store):
    folder, (cell, _) = store
    found = results.read(folder, "tiny")
    path = next(cell.folder(folder).glob("evaluation/square-*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    assert found.columns.rows == 2 * 2 * 5 * 2
    with pytest.raises(results.DamagedError, match=r"square-.*\.parquet' is damaged"):
        _ = found.episodes


def test_a_file_without_a_column_is_named(store):
    folder, (cell, _) = store
    path = next(cell.folder(folder).glob("evaluation/square-*.parquet"))
    marker = next(cell.folder(folder).glob("done-*.json"))
    known = results.read_signed(marker)
    known["sha256"][f"evaluation/{path.name}"] = results.write_frame(
        path, results.read_frame(path).drop(columns="query_loss")
    )
    results.write_signed(marker, known)
    notes = results.read(folder, "tiny").notes
    assert [note for note in notes if str(path) in note and "lacks the column query_loss" in note]


def test_a_grid_has_the_episodes_that_all_seeds_have():
    columns = gathered(table([0, 1, 2], query_score=[0.1, 0.2, 0.3]), table([4, 2, 0], query_score=[0.4, 0.5, 0.6]))
    grid = columns.grids[Key("maml", "s", "standard", 1)]
    assert grid.episodes.tolist() == [0, 2]
    assert grid.columns["query_score"].tolist() == [[0.1, 0.3], [0.6, 0.5]]


def test_a_grid_has_the_columns_that_all_seeds_have():
    columns = gathered(table([0], query_nll=0.1), table([0]))
    assert "query_nll" not in columns.grids[Key("maml", "s", "standard", 1)].columns


def test_an_episode_counts_once_in_the_trivial_error_however_often_it_was_met():
    once = [table([0, 1], null_loss=[1.0, 7.0]), table([0], condition="open", null_loss=4.0)]
    assert gathered(*once).null_loss == {"s": 4.0}
    assert gathered(*once, *once, table([1, 0], steps=(1, 2), null_loss=[7.0, 7.0, 1.0, 1.0])).null_loss == {"s": 4.0}
    assert gathered(*once, table([0, 5], null_loss=[1.0, 8.0])).null_loss == {"s": 5.0}


def test_an_episode_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="an episode of 's' is there twice for maml seed 0"):
        gathered(table([3, 3]))


def test_many_steps_are_kept_apart():
    steps = tuple(range(40_000))
    columns = gathered(table([0], steps=steps))
    assert [key.step for key in columns.grids] == list(steps)
    last: Grid = columns.grids[Key("maml", "s", "standard", 39_999)]
    assert last.columns["query_score"].tolist() == [[39_999 / 8]]


def test_texts_are_read_as_they_were_written_and_none_may_be_missing(tmp_path):
    path, texts = tmp_path / "rows.parquet", ["b", "a", "b", "c"]
    for written in (pd.Series(texts), pd.Series(texts, dtype="category")):
        results.write_frame(path, pd.DataFrame({"name": written, "number": [1.5, np.nan, 3.0, 4.0]}))
        read = read_columns(path, None, ["name", "number"], ["name"])
        codes, names = read.texts["name"]
        assert [names[code] for code in codes] == texts and codes.dtype == int
        assert np.array_equal(read.numbers["number"], [1.5, np.nan, 3.0, 4.0], equal_nan=True)
    results.write_frame(path, pd.DataFrame({"name": ["a", None]}))
    with pytest.raises(results.DamagedError, match="a text is missing"):
        read_columns(path, None, ["name"], ["name"])
