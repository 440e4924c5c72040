from itertools import combinations

import numpy as np
import pytest

from metagap.analysis.comparisons import all_pairs
from metagap.analysis.gaps import gap_table
from metagap.analysis.leaders import leader_table, letters
from metagap.analysis.scores import score_table


def test_letters_by_hand():
    assert letters(["a", "b", "c"], []) == {"a": "a", "b": "a", "c": "a"}
    assert letters(["a", "b", "c"], [("a", "c")]) == {"a": "a", "b": "ab", "c": "b"}
    everything = list(combinations("xyz", 2))
    assert letters(["z", "y", "x"], everything) == {"z": "a", "y": "b", "x": "c"}


def test_two_names_share_a_letter_exactly_if_they_are_not_different(rng):
    names = [f"n{i}" for i in range(9)]
    for share in (0.05, 0.3, 0.6, 0.9):
        for _ in range(10):
            different = [pair for pair in combinations(names, 2) if rng.random() < share]
            found = letters(names, different)
            for a, b in combinations(names, 2):
                assert bool(set(found[a]) & set(found[b])) == ((a, b) not in different)
            assert found["n0"].startswith("a")


def test_letters_do_not_run_out():
    names = [f"n{i}" for i in range(30)]
    found = letters(names, combinations(names, 2))
    assert len(set(found.values())) == 30 and found["n26"] == "a2"


@pytest.fixture
def made(bench, rng):
    made = bench(steps=dict.fromkeys("abc", 5)).split("home", "in-distribution")
    made.split("near", "cross-domain").split("far", "cross-domain")
    for name, level in zip("abc", (0.6, 0.61, 0.9), strict=True):
        for split, cost in (("home", 0.0), ("near", 0.1), ("far", 0.3)):
            values = level - cost + rng.normal(0, 0.004, (3, 1)) + rng.normal(0, 0.02, (3, 40))
            made.add(split, values, algorithm=name)
    return made


def test_the_leader_table_agrees_with_scores_gaps_and_pairs(made, only):
    results = made.results()
    pairs = all_pairs(results).scores
    table = leader_table(results, pairs)
    assert table["algorithm"].tolist()[0] == "c"
    scores, gaps = score_table(results), gap_table(results)
    for row in table.to_dict("records"):
        home = only(scores, algorithm=row["algorithm"], split="home")
        assert (row["home"], row["home_low"], row["home_high"]) == tuple(home[["score", "low", "high"]])
        away = [only(scores, algorithm=row["algorithm"], split=s)["score"] for s in ("near", "far")]
        assert row["away"] == pytest.approx(np.mean(away)) and row["away_low"] < row["away"] < row["away_high"]
        gap = only(gaps, algorithm=row["algorithm"], gap="domain gap", split="average")
        assert (row["gap"], row["gap_low"]) == pytest.approx((gap["value"], gap["low"]))
    groups = dict(zip(table["algorithm"], table["group"], strict=True))
    for pair in pairs[pairs["split"] == "average"].to_dict("records"):
        shared = set(groups[pair["a"]]) & set(groups[pair["b"]])
        assert bool(shared) == ("better" not in pair["verdict"])
    assert groups["c"] == "a" and groups["a"] == groups["b"] == "b"


def test_what_is_missing_is_missing(bench, rng):
    one = bench(steps={"a": 5, "b": 5}).split("home", "in-distribution").split("near", "cross-domain")
    one.add("home", rng.random((1, 30)), algorithm="a").add("home", rng.random((1, 30)), algorithm="b")
    one.add("near", rng.random((1, 30)), algorithm="a")
    results = one.results()
    table = leader_table(results, all_pairs(results).scores).set_index("algorithm")
    assert np.isnan(table.loc["b", ["away", "gap"]].to_numpy(float)).all() and table.loc["b", "home"] > 0
    assert table.index.tolist() == ["a", "b"] and table["group"].tolist() == ["", ""]
    only_home = bench(steps={"a": 5}).split("home", "in-distribution").add("home", rng.random((2, 30)), algorithm="a")
    row = leader_table(only_home.results(), all_pairs(only_home.results()).scores).iloc[0]
    assert row["home"] > 0 and np.isnan(row["away"]) and row["group"] == ""
