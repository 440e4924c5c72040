"""A short form of `metagap selftest linear`: the long one has hundreds of repeats of forty runs."""

from __future__ import annotations

import numpy as np
import pytest

from metagap.analysis.exact import exact_table
from metagap.analysis.grids import Grids
from metagap.selftest import linear
from metagap.selftest.statistics import LUCK


@pytest.fixture(scope="module")
def world():
    return linear.World.of("ridge", 4)


def test_runs_differ_and_truths_are_means_of_all_of_them(world):
    grids = Grids(world.results(np.array([0, 2, 2]), repeat=0, episodes=20))
    truths = world.truths(grids)
    assert len({round(run["mean 2"], 9) for run in world.exact}) == 4
    assert truths["score", "mean 2"] == pytest.approx(-np.mean([run["mean 2"] for run in world.exact]))
    away = {split: np.mean([run[split] for run in world.exact]) for split in linear.SPLITS}
    assert truths["task gap", "new tasks"] == pytest.approx(away["new tasks"] - away["training tasks"])
    assert truths["domain gap", "average"] == pytest.approx(
        np.mean([away[split] for split in linear.SPLITS[2:]]) - away["new tasks"]
    )
    table = exact_table(grids).set_index(["gap", "split"])
    assert table.index.nunique() == len(linear.SPLITS) + 1 + 5
    of_these = np.mean([world.exact[run]["mean 2"] for run in (0, 2, 2)])
    assert table.loc[("score", "mean 2"), "exact"] == pytest.approx(-of_these)
    assert set(table["seeds"]) == {3}


def test_repeats_have_episodes_of_their_own_that_runs_share(world):
    one, same, other = (world.results(np.array([0, 0]), repeat, 5).episodes for repeat in (0, 0, 1))
    assert one["query_score"].tolist() == same["query_score"].tolist()
    assert (one["query_score"] != other["query_score"]).any()
    seeds = [part["query_score"].tolist() for _, part in one.groupby("seed")]
    assert seeds[0] == seeds[1]


def test_intervals_hold_the_truth(monkeypatch):
    monkeypatch.setattr(linear, "SPLITS", linear.SPLITS[:3])
    rows = linear.coverage("ridge", repeats=12, runs=4, episodes=60)
    assert {(row.what, row.new) for row in rows} == {
        (what, new) for what in ("score", "task gap", "domain gap") for new in ("runs, episodes", "episodes")
    }
    for row in rows:
        assert row.share >= 0.93 - LUCK * np.sqrt(0.05 * 0.95 / 12), row


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", linear.ALGORITHMS)
def test_intervals_hold_the_truth_as_often_as_they_claim(algorithm):
    for row in linear.coverage(algorithm, repeats=200):
        assert row.holds, row
