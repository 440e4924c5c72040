"""Scores on held-out domains and rules of selection, on made-up scores with a known answer."""

from itertools import combinations

import numpy as np
import pytest

from metagap.analysis.along.selection import COSTS
from metagap.analysis.domains import LAST, LEFT_OUT, ORACLE, TRAINING, best_on_average, domains
from metagap.analysis.intervals import over_seeds
from metagap.report import domains as pages
from metagap.results import SweepResults

ITERATIONS = [0, 10, 20, 30]
NAMES = ("A", "B", "C")
HELD_OUT = {
    "A": [0.2, 0.5, 0.9, 0.3],
    "B": [0.2, 0.8, 0.4, 0.6],
    "C": [0.7, 0.3, 0.4, 0.5],
}
"""The score on each domain at each iteration of the runs without it."""
VALIDATION = {"A": 1, "B": 2, "C": 3}
"""The place of the iteration that is best on the training domains."""
PAIRS = {"A": {"B": [0, 0.1, 0.3, 0], "C": [0, 0.9, 0, 0]}, "B": {"C": [0, 0, 0, 0.9]}}
"""Of the runs without the first and the second: the scores on the first; on the second they are these in reverse."""


@pytest.fixture
def found(bench, rng):
    def noisy(curve):
        """(K, 3 seeds, 40 episodes) around it, small against all differences."""
        return np.array(curve)[:, None, None] + rng.normal(0, 0.004, (len(curve), 3, 40))

    def make(without=(), seeds=3):
        members = {}
        for name in NAMES:
            made = bench()
            made.suite |= {"model": {"name": "mlp"}, "training": {"iterations": 30}}
            made.split("val", "meta-val").split("new", "in-distribution").split(name, "cross-domain")
            made.follow("val", noisy(np.eye(4)[VALIDATION[name]] * 0.2 + 0.5)[:, :seeds], ITERATIONS)
            made.follow("new", noisy([0.3, 0.8, 0.8, 0.8])[:, :seeds], ITERATIONS)
            made.follow(name, noisy(HELD_OUT[name])[:, :seeds], ITERATIONS)
            members[(name,)] = made.results()
        for pair in combinations(NAMES, 2):
            curve, made = PAIRS[pair[0]][pair[1]], bench()
            for name, one in zip(pair, (curve, curve[::-1]), strict=True):
                made.split(name, "cross-domain").follow(name, noisy(one)[:, :seeds], ITERATIONS)
            if pair not in without:
                members[pair] = made.results()
        return SweepResults((), members, ["a note"])

    return make


def test_each_rule_chooses_what_it_should(found, only):
    numbers = domains(found())
    assert numbers.domains == [*NAMES] and numbers.algorithms == ["maml"] and numbers.notes == ["a note"]
    chosen = {
        (row["rule"], row["held_out"]): row["iteration"]
        for row in numbers.selected.to_dict("records")
        if row["seed"] == 1
    }
    assert [chosen[LAST, name] for name in NAMES] == [30, 30, 30]
    assert [chosen[TRAINING, name] for name in NAMES] == [10, 20, 30]
    # Without A: on B, the runs without A and B have [0, .3, .1, 0]; on C, those without A and C [0, 0, .9, 0].
    # Without B: on A [0, .1, .3, 0], on C [.9, 0, 0, 0]. Without C: on A [0, .9, 0, 0], on B [0, 0, 0, .9].
    assert [chosen[LEFT_OUT, name] for name in NAMES[:2]] == [20, 0] and chosen[LEFT_OUT, "C"] in (10, 30)
    expected = {
        LAST: (0.3 + 0.6 + 0.5) / 3,
        TRAINING: (0.5 + 0.4 + 0.5) / 3,
        ORACLE: (0.9 + 0.8 + 0.7) / 3,
    }
    for rule, score in expected.items():
        row = only(numbers.rules, rule=rule)
        assert row["score"] == pytest.approx(score, abs=0.003) and row["low"] < row["score"] < row["high"]
        if rule != ORACLE:
            assert row["cost"] == pytest.approx(expected[ORACLE] - score, abs=0.003)
    assert only(numbers.rules, rule=LAST)[["iteration", "least_iteration", "greatest_iteration"]].tolist() == [30] * 3
    assert np.isnan(only(numbers.rules, rule=ORACLE)["iteration"])
    assert numbers.rules.set_index("rule")["verdict"].to_dict() == {
        LAST: COSTS,
        TRAINING: COSTS,
        LEFT_OUT: COSTS,
        ORACLE: "",
    }
    costs = numbers.rules[numbers.rules["rule"] != ORACLE]
    assert set(costs["family"]) == {3} and (costs["p_holm"] >= costs["p"]).all()
    assert len(numbers.selected) == 4 * 3 * 3


def test_an_average_over_domains_is_computed_seed_by_seed(found, only):
    results = found()
    numbers = domains(results)
    grids = {}
    for name in NAMES:
        episodes = results.members[(name,)].episodes
        rows = episodes[episodes["split"] == name].pivot_table(index="seed", columns="episode", values="query_score")
        grids[name] = rows.to_numpy()
        row = only(numbers.scores, held_out=name, what="score")
        assert row["value"] == pytest.approx(rows.to_numpy().mean()) and row["seeds"] == 3
    row = only(numbers.scores, held_out="average", what="score")
    per_seed = np.mean([grid.mean(axis=1) for grid in grids.values()], axis=0)
    assert row["value"] == pytest.approx(per_seed.mean())
    seeds = over_seeds(per_seed[:, None])
    assert row["high"] - row["low"] > 0.999 * (seeds.high - seeds.low)  # it has the luck of the episodes, too
    assert row["domains_low"] < row["low"] and row["high"] < row["domains_high"]
    gap = only(numbers.scores, held_out="average", what="domain gap")
    assert gap["value"] == pytest.approx(0.8 - (0.3 + 0.6 + 0.5) / 3, abs=0.005)


def test_a_rule_that_lacks_results_is_left_out_and_said(found):
    numbers = domains(found(without=[("A", "B")]))
    assert set(numbers.rules["rule"]) == {LAST, TRAINING, ORACLE}
    assert "maml: no results for the selection by leave-one-domain-out." in numbers.notes
    one = domains(found(seeds=1))
    assert one.scores["low"].notna().all() and set(one.rules["seeds"]) == {1}
    assert one.rules["p_holm"].isna().all() and COSTS not in set(one.rules["verdict"])
    assert "claimed from three seeds on" in str(pages.findings(one))


def test_tables_say_what_was_selected(found):
    numbers = domains(found())
    assert [block.shown.name for block in pages.blocks(numbers)] == [
        "findings",
        "notes",
        "scores",
        "gaps",
        "rules",
        "run",
    ]
    rules = pages.TABLES["rules"](numbers)
    assert rules is not None and rules.frame["iteration"].tolist()[:2] == ["30", "20 (10 to 30)"]
    scores = pages.TABLES["scores"](numbers)
    assert scores is not None and scores.frame["held out"].tolist() == [*NAMES, "average", "domains like these"]
    assert "maml" in str(pages.findings(numbers))


def test_the_best_on_average_is_of_each_run():
    first = np.array([[[0.1], [0.9]], [[0.6], [0.0]]])  # two checkpoints, two runs, one episode
    second = np.array([[[0.2], [0.1]], [[0.3], [0.2]]])
    assert best_on_average([first, second]).tolist() == [1, 0]
