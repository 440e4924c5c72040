"""From the results of several suites to ranks and normalised scores."""

import dataclasses
import itertools

import numpy as np
import pytest

from metagap.analysis.across_suites import across_suites, read_across
from metagap.errors import UserError
from metagap.metrics import Metric
from metagap.metrics.classification import ECE, NLL

STEPS = {"maml": 5, "reptile": 5, "protonet": 5}
LEVELS = {"maml": 0.7, "reptile": 0.6, "protonet": 0.5}


@pytest.fixture
def suite(bench, rng):
    """Results of one suite: in-distribution, two domains and a domain of other ways."""

    def make(kind="classification", algorithms=STEPS, seeds=3, ways=5, plus=0.0, home=True, away=True):
        made = bench(kind, steps=dict.fromkeys(algorithms, 5), ways=ways)
        splits = {"home": "in-distribution"} if home else {}
        splits |= {"near": "cross-domain", "far": "cross-domain", "wide": "cross-domain"} if away else {}
        for split, role in splits.items():
            made.split(split, role, ways=10 if split == "wide" else None)
        for split in splits:
            for name in algorithms:
                level = LEVELS.get(name, 0.4) + (0.1 if split == "home" else plus if split == "near" else 0)
                scores = level + rng.normal(0, 0.01, size=(seeds, 1)) + rng.normal(0, 0.02, size=(seeds, 20))
                made.add(split, scores if kind == "classification" else scores - 2, algorithm=name)
        results, source = made.results(), {"name": f"source-{next(numbers)}"}
        return dataclasses.replace(results, suite=results.suite.model_copy(update={"source": source}))

    numbers = itertools.count()
    return make


def per_seed(results, algorithm, *splits):
    rows = results.episodes[(results.episodes["algorithm"] == algorithm) & results.episodes["split"].isin(splits)]
    return rows.groupby(["seed", "split"])["query_score"].mean().unstack().mean(axis=1)


def test_a_score_is_the_mean_over_the_domains_of_the_suites_own_shape(suite, only):
    found = {"one": suite(), "two": suite(plus=0.05)}
    across = across_suites(found)
    assert across.splits == {"one": ["near", "far"], "two": ["near", "far"]}  # not the one of ten ways
    for name, results in found.items():
        for label in STEPS:
            expected = per_seed(results, label, "near", "far")
            rows = across.runs[(across.runs["suite"] == name) & (across.runs["algorithm"] == label)]
            assert rows["score"].to_numpy() == pytest.approx(expected.to_numpy())
            row = only(across.scores, suite=name, algorithm=label)
            assert (row["score"], row["seeds"]) == (pytest.approx(expected.mean()), 3)
    assert across.algorithms == list(STEPS) and across.test.ranks.tolist() == [1, 2, 3]


def test_in_distribution_is_the_first_such_split(suite, only):
    found = {"one": suite(away=False), "two": suite()}
    across = across_suites(found, "in-distribution")
    row = only(across.scores, suite="two", algorithm="reptile")
    assert row["score"] == pytest.approx(per_seed(found["two"], "reptile", "home").mean())


def test_accuracy_is_normalised_by_chance_of_the_ways(suite):
    runs = across_suites({"five": suite(ways=5), "twenty": suite(ways=20)}).runs
    for name, chance in (("five", 0.2), ("twenty", 0.05)):
        here = runs[runs["suite"] == name]
        assert here["normalised"].to_numpy() == pytest.approx((here["score"].to_numpy() - chance) / (1 - chance))


@pytest.mark.parametrize(
    ("metric", "value", "normalised"),
    [(NLL, 0.0, 1.0), (NLL, np.log(5), 0.0), (NLL, 2 * np.log(5), -1.0), (ECE, 0.25, 0.75)],
)
def test_other_metrics_are_normalised_by_guessing_or_by_their_worst_value(suite, metric, value, normalised):
    def scored(results):
        described = Metric.of(metric.described([5, 10]))
        return dataclasses.replace(results, metrics=(described,), episodes=results.episodes.assign(query_score=-value))

    across = across_suites({"one": scored(suite()), "two": scored(suite())})
    assert across.runs["normalised"].to_numpy() == pytest.approx(normalised)


def test_errors_without_bounds_have_ranks_and_no_normalised_score(suite):
    across = across_suites({"one": suite(), "two": suite(), "waves": suite("regression")})
    assert across.test.suites == 3
    assert across.runs.loc[across.runs["suite"] == "waves", "normalised"].isna().all()
    assert any("leave out waves (MSE)" in note for note in across.notes)
    both = across_suites({"one": suite("regression"), "two": suite("regression")})
    assert both.profiles.empty and both.aggregates["iqm"].isna().all()


def test_the_iqm_is_that_of_the_runs_and_profiles_fall(suite):
    across = across_suites({name: suite() for name in ("one", "two")})
    for row in across.aggregates.to_dict("records"):
        values = np.sort(across.runs.loc[across.runs["algorithm"] == row["algorithm"], "normalised"].to_numpy())
        assert row["iqm"] == pytest.approx((0.5 * values[1] + values[2:4].sum() + 0.5 * values[4]) / 3)  # of 6: 3
        assert row["low"] < row["iqm"] < row["high"]
        profile = across.profiles[across.profiles["algorithm"] == row["algorithm"]]
        assert profile["share"].iloc[0] == pytest.approx(1) and profile["share"].iloc[-1] == 0
        assert (profile["share"].diff().dropna() <= 1e-12).all()


def test_an_algorithm_that_a_suite_lacks_is_left_out_and_named(suite):
    across = across_suites({"one": suite(algorithms={**STEPS, "anil": 5}), "two": suite()})
    assert sorted(across.algorithms) == sorted(STEPS)
    assert any(note.startswith("anil is left out: two ") for note in across.notes)


def test_an_algorithm_that_lacks_a_split_is_left_out(suite):
    partial = suite(algorithms={**STEPS, "anil": 5})
    gone = (partial.episodes["algorithm"] == "anil") & (partial.episodes["split"] == "far")
    partial = dataclasses.replace(partial, episodes=partial.episodes[~gone])
    across = across_suites({"one": partial, "two": suite(algorithms={**STEPS, "anil": 5})})
    assert "anil" not in across.algorithms


def test_one_seed_gives_no_interval_and_a_note(suite):
    across = across_suites({"one": suite(seeds=1), "two": suite()})
    assert across.aggregates["low"].isna().all() and across.aggregates["iqm"].notna().all()
    assert any("one seed only in one" in note for note in across.notes)


def test_suites_of_the_same_source_are_named(suite):
    def trained_on(source):
        results = suite()
        return dataclasses.replace(results, suite=results.suite.model_copy(update={"source": {"name": source}}))

    found = {"one": trained_on("glyphs"), "two": trained_on("glyphs"), "three": trained_on("omniglot")}
    told = [note for note in across_suites(found).notes if "same source" in note]
    assert len(told) == 1 and told[0].startswith("one, two train on the same source, glyphs")


def test_what_cannot_be_compared_is_refused(suite, tmp_path):
    with pytest.raises(UserError, match=r"at least 2 suites; given: one"):
        across_suites({"one": suite()})
    with pytest.raises(UserError, match=r"no cross-domain split .* in two; leave it out"):
        across_suites({"one": suite(), "two": suite(away=False)})
    with pytest.raises(UserError, match=r"in common: maml, reptile\. one has maml, reptile, protonet; two has maml"):
        across_suites({"one": suite(), "two": suite(algorithms={"maml": 5, "reptile": 5})})
    with pytest.raises(UserError, match=r"--on 'home': allowed are cross-domain, in-distribution"):
        across_suites({"one": suite(), "two": suite()}, "home")
    with pytest.raises(UserError, match=r"(?s)suite 'one'.*suite 'two'"):
        read_across(["one", "two"], results=tmp_path)
    with pytest.raises(UserError, match="more than once: one"):
        read_across(["one", "suites/one.toml"], results=tmp_path)


def test_a_label_must_mean_the_same_algorithm_everywhere(suite):
    other = suite()
    entry = other.suite.algorithms["maml"].model_copy(update={"algorithm": "fomaml"})
    changed = other.suite.model_copy(update={"algorithms": {**other.suite.algorithms, "maml": entry}})
    with pytest.raises(UserError, match=r"'maml' is not the same algorithm.*maml in one, fomaml in two"):
        across_suites({"one": suite(), "two": dataclasses.replace(other, suite=changed)})
