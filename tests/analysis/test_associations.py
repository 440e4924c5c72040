"""What goes with the gap: correlations of clustered values, predictions, and the variance of the gaps."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from associated import LEVELS, STEPS, suite_results, with_quantities
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from metagap.analysis.associations import CONSTANT, TOO_FEW, UP, associations, correlate
from metagap.analysis.associations.prediction import BY_ALGORITHM, MEAN, TOGETHER, predictions
from metagap.analysis.associations.ranks import OVERALL, SCOPES, WITHIN, associate, permuted, spearman
from metagap.analysis.associations.rows import GAPS, Rows, rows_of
from metagap.analysis.associations.variance import (
    ALGORITHM,
    BOTH,
    DOMAIN,
    DOMAIN_ALGORITHM,
    EPISODES,
    SEED,
    SEED_DOMAIN,
    SUITE,
    components,
    variance_of_gaps,
)
from metagap.analysis.comparisons import CANNOT_TELL
from metagap.analysis.gaps import gap_table
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import Estimate
from metagap.errors import UserError


@pytest.fixture
def arrays(rng):
    """Two arrays (suites, algorithms, splits) that go together, with values missing in both."""
    x = rng.normal(size=(5, 4, 3)).round(1)  # with ties
    y = x + rng.normal(size=x.shape)
    x[1, 2], y[1, 2], y[3, :, 2] = np.nan, np.nan, np.nan
    return x, y


def direct(x, y, scope):
    """The statistic by scipy, of arrays with NaN."""
    there = ~np.isnan(x) & ~np.isnan(y)
    if scope == OVERALL:
        return spearmanr(x[there], y[there]).statistic
    return np.mean([spearmanr(a[t], b[t]).statistic for a, b, t in zip(x, y, there, strict=True)])


def test_a_weighted_rank_correlation_is_that_of_repeated_values(rng):
    x, y = rng.integers(5, size=(2, 12)).astype(float)
    weights = rng.integers(1, 4, size=(3, 12))
    expected = [spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic for row in weights]
    assert spearman(x, y, weights.astype(float)) == pytest.approx(expected)


@pytest.mark.parametrize("scope", SCOPES)
def test_value_and_interval_are_those_of_a_direct_jackknife(arrays, scope):
    x, y = arrays
    found = associate(x, y, scope)
    assert found.value == pytest.approx(direct(x, y, scope))
    assert (found.suites, found.algorithms, found.pairs) == (5, 4, 5 * 4 * 3 - 3 - 4)
    parts = []
    for axis in (0, 1):
        left = [direct(np.delete(x, i, axis), np.delete(y, i, axis), scope) for i in range(x.shape[axis])]
        n = len(left)
        parts.append(((n - 1) * np.var(left) / (1 - found.value**2) ** 2, n - 1))
    expected = Estimate(np.arctanh(found.value), tuple(parts)).interval("", 5)
    assert (found.low, found.high) == pytest.approx((np.tanh(expected.low), np.tanh(expected.high)))


@pytest.mark.parametrize("scope", SCOPES)
def test_p_is_the_share_of_all_orders(rng, scope):
    x = rng.normal(size=(3, 3, 1)) + np.arange(3)[:, None, None]
    y = x + 1.5 * rng.normal(size=x.shape)
    values = [
        direct(x[np.ix_(s, a)], y, scope)
        for s in itertools.permutations(range(3))
        for a in itertools.permutations(range(3))
    ]
    expected = np.mean(np.abs(values) >= abs(direct(x, y, scope)) - 1e-9)
    p, least = permuted(x, y, scope)
    assert p == pytest.approx(expected, abs=0.05)
    assert least == pytest.approx(np.mean(np.abs(values) >= np.max(np.abs(values)) - 1e-9), abs=0.03)


def test_what_does_not_vary_or_comes_in_too_few_orders_is_no_evidence(rng):
    y = rng.normal(size=(4, 6, 3)) + 3 * np.arange(4)[:, None, None]
    x = np.broadcast_to(np.arange(4.0)[:, None, None], y.shape).copy()  # one value for each suite
    assert np.isnan(associate(x, y, WITHIN).value)
    found = associate(x, y, OVERALL)
    assert found.value > 0.8 and found.least_p > 0.03  # of 24 orders two are as strong


def test_a_scope_is_checked(arrays):
    with pytest.raises(ValueError, match="scope 'all' is not one of overall, within suites"):
        associate(*arrays, "all")


@pytest.fixture
def found(bench, rng):
    made = {f"suite-{place}": suite_results(bench, rng, place=place) for place in range(2)}
    return made | {"waves": suite_results(bench, rng, "regression", 2)}


def test_a_row_has_the_gaps_that_are_about_its_split(found, only):
    rows = rows_of({name: Grids(results) for name, results in found.items()})
    for name, results in found.items():
        gaps = gap_table(results, GAPS)
        gaps = gaps[gaps["statistic"] == results.metric.statistic]
        for gap in ("task gap", "domain gap", "difficulty-adjusted domain gap"):
            for label in STEPS:
                ours = rows.gaps[(rows.gaps[["suite", "algorithm", "gap"]] == [name, label, gap]).all(axis=1)]
                for split, part in ours.groupby("split"):
                    assert part["seed"].tolist() == [0, 1]
                    expected = only(gaps, algorithm=label, gap=gap, split=split)["value"]
                    assert part["value"].mean() == pytest.approx(expected)
                    span = 4.0 if name == "waves" else 0.8  # of answering zero; from 1/5 to 1
                    assert part["scaled"].to_numpy() == pytest.approx(part["value"].to_numpy() / span)
                if gap == "difficulty-adjusted domain gap":
                    assert ours.empty == (label == "scratch")
                else:
                    assert sorted(ours["split"].unique()) == (
                        ["home"] if gap == "task gap" else ["domain 0", "domain 1"]
                    )


def test_a_quantity_is_the_mean_over_episodes_at_the_end_of_training(found):
    table = rows_of({"one": Grids(found["suite-0"])}).table()
    raw = found["suite-0"].quantities
    end = raw[raw["iteration"] == 100].groupby(["algorithm", "seed", "quantity", "split"])["value"].mean()
    for row in table.to_dict("records"):
        assert row["alignment"] == pytest.approx(end[row["algorithm"], row["seed"], "alignment", row["split"]])
        assert row["whole"] == pytest.approx(end[row["algorithm"], row["seed"], "whole", ""])
    assert len(table) == len(STEPS) * 2 * 3


def test_a_quantity_without_value_is_named_and_left_out(bench, rng):
    found = {name: suite_results(bench, rng, place=place) for place, name in enumerate("ab")}
    raw = found["b"].quantities
    none = raw["value"].where((raw["quantity"] != "alignment") | (raw["algorithm"] != "protonet"))
    said = "Quantity 'alignment' of protonet is not there: it has no inner steps."
    found["b"] = dataclasses.replace(found["b"], quantities=raw.assign(value=none), notes=["Seen.", said])
    told = associations(found)
    assert any(note == "alignment has no value for protonet in b." for note in told.notes)
    assert "b: Seen." in told.notes and not any(said in note for note in told.notes)  # once is enough
    pairs = told.correlations.set_index(["quantity", "gap", "scope"])["pairs"]
    assert pairs["whole", "domain gap", OVERALL] - pairs["alignment", "domain gap", OVERALL] == 2


def made_rows(rng, suites, strength, algorithms=6, domains=3):
    """Rows of gaps and of one quantity that goes with them, for nothing but the correlations."""
    places = [(f"s{s}", f"a{a}", f"d{d}") for s in range(suites) for a in range(algorithms) for d in range(domains)]
    frame = pd.DataFrame(places, columns=["suite", "algorithm", "split"]).assign(seed=0)
    value = rng.normal(size=len(frame))
    quantity = strength * value + rng.normal(size=len(frame))
    gaps = frame.assign(gap="domain gap", value=value, scaled=value)
    return Rows(gaps, frame.assign(quantity="q", value=quantity), {}, [])


def test_a_strong_association_is_claimed_a_weak_one_is_not(rng):
    assert correlate(made_rows(rng, 8, 1.5))["verdict"].tolist() == [UP, UP]
    assert correlate(made_rows(rng, 8, 0.0))["verdict"].tolist() == [CANNOT_TELL] * 2
    rows = made_rows(rng, 3, 0.0)
    values = rows.quantities["suite"].map({"s0": 0.0, "s1": 1.0, "s2": 2.0})
    few = correlate(rows._replace(quantities=rows.quantities.assign(value=values)))
    assert few["why"].tolist() == [TOO_FEW, CONSTANT] and (few["verdict"] == CANNOT_TELL).all()


def test_a_suite_that_was_not_used_is_put_into_order(rng):
    frame = made_rows(rng, 4, 0).gaps.rename(columns={"value": "gap one"}).drop(columns=["gap", "scaled", "seed"])
    truth = frame["gap one"].to_numpy()
    frame = frame.assign(same=np.exp(truth), against=-truth, noise=rng.normal(size=len(frame)))
    table = predictions(frame, ["gap one"], ["same", "against", "noise"]).set_index("predictor")
    for name in ("same", "against"):  # of either sign
        assert table.loc[name, ["order", "error"]].tolist() == pytest.approx([1, 0], abs=1e-12)
        assert table.at[name, "right_way"] == 4
    assert table.at[TOGETHER, "order"] > 0.95 and abs(table.at["noise", "order"]) < 0.5
    assert table.at[MEAN, "error"] == 1 and np.isnan(table.at[MEAN, "order"])
    ranks = frame.groupby("suite")["gap one"].rank()
    orders = []
    for suite in frame["suite"].unique():
        away = frame["suite"] == suite
        guess = frame["algorithm"].map(ranks[~away].groupby(frame["algorithm"][~away]).mean())
        orders.append(spearmanr(guess[away], ranks[away]).statistic)
    assert table.at[BY_ALGORITHM, "order"] == pytest.approx(np.mean(orders))


def test_all_quantities_together_are_a_ridge_regression_of_ranks(rng, monkeypatch):
    monkeypatch.setattr("metagap.analysis.associations.prediction.PENALTIES", np.array([3.0]))
    frame = made_rows(rng, 3, 0).gaps.rename(columns={"value": "g"})
    frame = frame.assign(x=frame["g"] + rng.normal(size=len(frame)), z=rng.normal(size=len(frame)))
    table = predictions(frame, ["g"], ["x", "z"]).set_index("predictor")
    ranks = frame.groupby("suite")[["g", "x", "z"]].rank().sub(9.5) / 18
    orders, ours = [], []
    for suite in frame["suite"].unique():
        away = frame["suite"] == suite
        fit = Ridge(3.0, fit_intercept=False).fit(ranks.loc[~away, ["x", "z"]], ranks.loc[~away, "g"])
        guess = fit.predict(ranks.loc[away, ["x", "z"]])
        orders.append(spearmanr(guess, ranks.loc[away, "g"]).statistic)
        ours.append(((guess - ranks.loc[away, "g"]) ** 2).mean())
    assert table.at[TOGETHER, "order"] == pytest.approx(np.mean(orders))
    assert table.at[TOGETHER, "error"] == pytest.approx(
        np.mean(ours) / (ranks["g"] ** 2).groupby(frame["suite"]).mean().mean()
    )


def balanced(rng, suites=6, algorithms=5, domains=3, seeds=3):
    """Scaled gaps (suites, algorithms, domains, seeds) of all components, and as a frame."""
    effects = [(suites, 1, 1, 1), (1, algorithms, 1, 1), (suites, algorithms, 1, 1), (suites, 1, domains, 1)]
    effects += [(suites, algorithms, domains, 1), (suites, algorithms, 1, seeds), (suites, algorithms, domains, seeds)]
    values = sum(sd * rng.normal(size=shape) for sd, shape in zip((2, 1, 0.5, 1, 0.4, 0.4, 0.2), effects, strict=True))
    rows = [
        {"suite": f"s{s}", "algorithm": f"a{a}", "split": f"d{d}", "seed": k, "scaled": values[s, a, d, k]}
        for s, a, d, k in np.ndindex(*values.shape)
    ]
    return values, pd.DataFrame(rows)


def anova(values):
    """The components of a balanced design by expected mean squares, from the sums of squares of all marginal means."""
    s, a, d, k = values.shape

    def mean(*axes):
        return values.mean(axis=axes, keepdims=True)

    def square(effect, freedom):
        return (np.broadcast_to(effect, values.shape) ** 2).sum() / freedom

    all_, by_s, by_a, by_sa = mean(0, 1, 2, 3), mean(1, 2, 3), mean(0, 2, 3), mean(2, 3)
    by_sd, by_sad, by_sak = mean(1, 3), mean(3), mean(2)
    ms = {
        SUITE: square(by_s - all_, s - 1),
        ALGORITHM: square(by_a - all_, a - 1),
        BOTH: square(by_sa - by_s - by_a + all_, (s - 1) * (a - 1)),
        DOMAIN: square(by_sd - by_s, s * (d - 1)),
        DOMAIN_ALGORITHM: square(by_sad - by_sa - by_sd + by_s, s * (a - 1) * (d - 1)),
        SEED: square(by_sak - by_sa, s * a * (k - 1)),
        SEED_DOMAIN: square(values - by_sad - by_sak + by_sa, s * a * (d - 1) * (k - 1)),
    }
    found = {SEED_DOMAIN: ms[SEED_DOMAIN], SEED: (ms[SEED] - ms[SEED_DOMAIN]) / d}
    found[DOMAIN_ALGORITHM] = (ms[DOMAIN_ALGORITHM] - ms[SEED_DOMAIN]) / k
    found[DOMAIN] = (ms[DOMAIN] - ms[DOMAIN_ALGORITHM]) / (a * k)
    found[BOTH] = (ms[BOTH] - ms[DOMAIN_ALGORITHM] - ms[SEED] + ms[SEED_DOMAIN]) / (d * k)
    found[ALGORITHM] = (ms[ALGORITHM] - ms[BOTH]) / (s * d * k)
    found[SUITE] = (ms[SUITE] - ms[BOTH] - ms[DOMAIN] + ms[DOMAIN_ALGORITHM]) / (a * d * k)
    return found


def test_the_mixed_model_is_the_analysis_of_variance_where_nothing_is_missing(rng):
    values, frame = balanced(rng)
    expected = anova(values)
    assert min(expected.values()) > 0
    found = components(frame)
    assert list(found) == [SUITE, ALGORITHM, BOTH, DOMAIN, DOMAIN_ALGORITHM, SEED, SEED_DOMAIN]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=0.02), name


def test_with_one_domain_and_one_seed_less_can_be_told_apart(rng):
    _, frame = balanced(rng, domains=1, seeds=2)
    assert list(components(frame)) == [SUITE, ALGORITHM, BOTH, SEED]
    assert list(components(frame[frame["seed"] == 0])) == [SUITE, ALGORITHM, BOTH]


def test_the_luck_of_the_episodes_is_taken_out(bench, rng):
    """Gaps that are all the same but for the episodes: what varies is luck, by its known size."""
    found = {}
    for place in range(3):
        made = bench(steps=dict.fromkeys(LEVELS, 5))
        for split, role in {"home": "in-distribution", "near": "cross-domain", "far": "cross-domain"}.items():
            made.split(split, role)
            luck = rng.normal(0, 0.2, size=(1, 50))
            for name in LEVELS:
                made.add(split, 0.5 + luck + rng.normal(0, 0.2, size=(3, 50)), algorithm=name)
        found[f"s{place}"] = with_quantities(made.results(), rng)
    grids = {name: Grids(results) for name, results in found.items()}
    table, notes = variance_of_gaps(rows_of(grids), grids)
    assert any(note.startswith("The variance of the task gap is not taken apart") for note in notes)
    gap = table[table["gap"] == "domain gap"].set_index("component")
    assert gap["share"].sum() == pytest.approx(1)
    assert gap.at[EPISODES, "variance"] == pytest.approx(2 * 2 * 0.2**2 / 50 / 0.8**2, rel=0.5)
    assert gap.at[EPISODES, "share"] > 0.6
    assert gap.at[SEED_DOMAIN, "of_episodes"] == pytest.approx(0.2**2 / 50 / 0.8**2, rel=0.25)


def test_what_cannot_be_used_is_refused(found, bench, rng):
    with pytest.raises(UserError, match="at least 2 suites; given: one"):
        associations({"one": found["suite-0"]})
    without = dataclasses.replace(found["suite-1"], quantities=found["suite-1"].quantities.iloc[:0])
    with pytest.raises(UserError, match=r"no quantities are recorded in two: run with evaluation\.quantities = \["):
        associations({"one": found["suite-0"], "two": without})
    other = found["suite-1"]
    entry = other.suite.algorithms["maml"].model_copy(update={"algorithm": "fomaml"})
    changed = other.suite.model_copy(update={"algorithms": {**other.suite.algorithms, "maml": entry}})
    with pytest.raises(UserError, match=r"'maml' is not the same algorithm.*maml in one, fomaml in two"):
        associations({"one": found["suite-0"], "two": dataclasses.replace(other, suite=changed)})


CLUSTERS = {
    "everything": (1, 1, 0.5, 1, 0.5),
    "algorithms": (0, 1, 0.2, 0, 0.2),
    "suites": (1, 0, 0, 0, 0.1),
    "domains": (0.3, 0, 0, 1, 0.1),
}
"""What differs: suites, algorithms, both, domains, the rest (standard deviations)."""


def clustered(rng, sizes, shape):
    suites, algorithms, domains = shape
    shapes = [(suites, 1, 1), (1, algorithms, 1), (suites, algorithms, 1), (suites, 1, domains), shape]
    return sum(sd * rng.normal(size=one) for sd, one in zip(sizes, shapes, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 7, 4), (3, 7, 4), (5, 6, 3), (8, 7, 4)])
def test_pages_without_any_association_make_few_claims(shape):
    """The table of the guide: pages of 24 hypotheses of clustered values that do not go together."""
    rng, pages, false, holds = np.random.default_rng(1), 60, 0, []
    for _ in range(pages):
        gaps = {gap: clustered(rng, CLUSTERS["everything"], shape) for gap in ("task gap", "domain gap")}
        places = [(f"s{s}", f"a{a}", f"d{d}") for s, a, d in np.ndindex(*shape)]
        frame = pd.DataFrame(places, columns=["suite", "algorithm", "split"]).assign(seed=0)
        columns = [frame.assign(gap=gap, value=v.ravel(), scaled=v.ravel()) for gap, v in gaps.items()]
        drawn = {name: clustered(rng, sizes, shape) for name, sizes in CLUSTERS.items()}
        measured = [frame.assign(quantity=name, value=v.ravel()) for name, v in drawn.items()]
        table = correlate(Rows(pd.concat(columns), pd.concat(measured), {}, []))
        false += (table["verdict"] != CANNOT_TELL).any()
        told = table.dropna(subset="low")
        holds += (~((told["low"] > 0) | (told["high"] < 0))).tolist()
    assert false / pages <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / pages)
    assert np.mean(holds) > 0.93
