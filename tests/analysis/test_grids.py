import numpy as np
import pytest

from metagap.analysis.grids import Grids, pair


@pytest.fixture
def grids(bench):
    made = bench(steps={"reptile": 3, "maml": 5})
    made.split("away", "cross-domain").split("home", "in-distribution").split("wide", "in-distribution", ways=4)
    made.add("home", [[0.1, 0.2, np.nan], [0.4, 0.5, 0.6]], support_score=0.9)
    made.add("home", [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]], step=0)
    made.add("home", [[0.3, 0.3], [0.3, 0.3]], condition="open")
    made.add("away", [[0.7, 0.8]], algorithm="reptile", seeds=[4])
    made.add("wide", [[0.7, 0.8]], algorithm="reptile", seeds=[4])
    return Grids(made.results())


def test_a_grid_is_seeds_by_episodes_at_the_headline_step(grids):
    found = grids.get("maml", "home")
    assert found.to_numpy().tolist() == [[0.1, 0.2, -np.inf], [0.4, 0.5, 0.6]]
    assert found.index.tolist() == [0, 1] and found.columns.tolist() == [0, 1, 2]
    assert grids.get("maml", "home", column="support_score").to_numpy().tolist() == [[0.9] * 3] * 2
    assert grids.get("maml", "home", step=0).iloc[1, 1] == 0.1
    assert grids.get("reptile", "away").index.tolist() == [4]


def test_what_was_not_recorded_is_none(grids):
    assert grids.get("maml", "away") is None
    assert grids.get("maml", "home", "shuffled") is None
    assert grids.get("maml", "home", step=17) is None
    assert grids.steps("maml", "home") == [0, 5] and grids.steps("maml", "away") == []


def test_everything_is_in_the_order_of_the_suite(grids):
    assert grids.algorithms == ["reptile", "maml"]
    assert grids.splits.index.tolist() == ["away", "home", "wide"]
    assert grids.splits["home"].tolist() == [True, True, False]
    assert grids.keys == [
        ("reptile", "away", "standard"),
        ("reptile", "wide", "standard"),
        ("maml", "home", "standard"),
        ("maml", "home", "open"),
    ]


def test_an_episode_that_a_seed_lacks_is_left_out(bench):
    made = bench().split("home", "in-distribution")
    made.add("home", [[0.1, 0.2, 0.3]], seeds=[0]).add("home", [[0.4, np.nan]], seeds=[1])
    found = Grids(made.results()).get("maml", "home")
    assert found.to_numpy().tolist() == [[0.1, 0.2], [0.4, -np.inf]]


def test_pairs_share_seeds_and_episodes(bench):
    made = bench(steps={"a": 1, "b": 1}).split("home", "in-distribution")
    made.add("home", [[1, 2, 3], [4, 5, 6]], algorithm="a", seeds=[0, 1])
    made.add("home", [[7, 8], [9, 10]], algorithm="b", seeds=[1, 2])
    grids = Grids(made.results())
    left, right = pair(grids.get("a", "home"), grids.get("b", "home"))
    assert (left.tolist(), right.tolist()) == ([[4, 5]], [[7, 8]])
    assert pair(grids.get("a", "home"), None) is None
    assert pair(grids.get("a", "home").loc[[0]], grids.get("b", "home")) is None


def test_regression_has_no_ways(bench):
    made = bench("regression", shots=5).split("home", "in-distribution").split("ten", "in-distribution", shots=10)
    made.suite["task"]["ways"] = None
    made.add("home", [[-1.0, -2.0]]).add("ten", [[-1.0, -2.0]])
    grids = Grids(made.results())
    assert grids.splits["home"].tolist() == [True, False]
    assert grids.statistics == ("mean", "median", "iqm")
