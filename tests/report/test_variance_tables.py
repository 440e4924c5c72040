"""The tables of variance, outliers and power."""

from dataclasses import replace

import pytest
from synthetic import make_results

from metagap.analysis.power import power
from metagap.report.frames import Frames
from metagap.report.tables.outliers import outliers
from metagap.report.tables.power import advice, of_power
from metagap.report.tables.variance import variance


@pytest.fixture(scope="module")
def results():
    return make_results(algorithms=("maml", "fomaml", "reptile"), episodes=40, small=True)


@pytest.fixture(scope="module")
def frames(results):
    return Frames.of(results)


def collapsed(results, algorithm, seed):
    """The same results with one run at the level of guessing."""
    episodes = results.episodes.copy()
    run = (episodes["algorithm"] == algorithm) & (episodes["seed"] == seed)
    episodes.loc[run, "query_score"] *= 0.3
    return replace(results, episodes=episodes)


def test_sources_of_variance_add_up_to_all_of_it(frames):
    table = variance(frames)
    assert list(table.frame.columns) == [
        "split", "algorithm", "seeds", "episodes", "seed", "episode", "seed × episode", "queries",
    ]  # fmt: skip
    assert len(table.frame) == 9 and set(table.frame["seeds"]) == {"3"}
    for row in table.frame.iloc[:, 4:].itertuples(index=False):
        shares = [float(cell.split("(")[1].rstrip("%)")) for cell in row if "(" in cell]
        assert sum(shares) == pytest.approx(100, abs=0.3)


def test_robust_scores_have_robust_components():
    made = make_results("regression", ("maml", "fomaml"), episodes=40, small=True)
    table = variance(Frames.of(made))
    assert "interquartile mean" in table.caption
    assert table.frame["episode"].str.contains("%").any()


def test_one_seed_has_no_sources():
    one = Frames.of(make_results(algorithms=("maml",), seeds=(0,), episodes=20, small=True))
    assert variance(one) is None and outliers(one) is None


def test_a_collapsed_run_is_shown_and_normal_ones_are_not(results, frames):
    assert outliers(frames) is None
    table = outliers(Frames.of(collapsed(results, "fomaml", 1)))
    assert len(table.frame) == 3  # on every split
    assert set(table.frame["algorithm"]) == {"fomaml"} and set(table.frame["seed"]) == {"1"}
    home = table.frame.iloc[1]
    score, without = (float(home[name].split()[0]) for name in ("score", "without it"))
    assert score == pytest.approx(0.3 * without, rel=0.1)
    assert "Nothing is left out" in table.caption


def test_power_of_all_pairs_and_of_one(results):
    (table,) = of_power(power(results), results.metric)
    assert set(table.frame["pair"]) == {"maml − fomaml", "maml − reptile", "fomaml − reptile"}
    found = power(results, "maml", "reptile", 1.0)
    pairs, grid = of_power(found, results.metric)
    assert len(pairs.frame) == 1 and "1.0 percentage points" in pairs.caption
    assert list(grid.frame.columns) == ["seeds", "40", "200", "600", "1,000", "2,000", "5,000"]
    row = found.pairs.iloc[0]
    assert grid.frame.set_index("seeds").loc["3", "40"] == f"{row['power']:.0%} ({row['power_holm']:.0%})"


SAID = {
    "nothing": "enough for 80%",
    "seeds": "buy seeds: 5 [3 to 40] with these 40 episodes give 80%, while no number of episodes with 3 seeds does",
    "episodes": "buy episodes: 2,000 with these 3 seeds give 80%, while no number of seeds with 40 episodes does",
    "either": "buy seeds or episodes, whichever is cheaper: 5 [3 to 40] seeds with these 40 episodes, or 2,000",
    "both": "buy both: neither more seeds with these 40 episodes nor more episodes with these 3 seeds give 80%",
}


@pytest.mark.parametrize("buy", SAID)
def test_advice_is_a_sentence(results, buy):
    found = power(results, "maml", "reptile")
    ends = {f"seeds_needed{end}": value for end, value in (("", 5.0), ("_low", 3.0), ("_high", 40.0))}
    ends |= {f"episodes_needed{end}": 1999.0 for end in ("", "_low", "_high")}
    if buy == "seeds":
        ends |= {f"episodes_needed{end}": float("inf") for end in ("", "_low", "_high")}
    if buy == "episodes":
        ends |= {f"seeds_needed{end}": float("inf") for end in ("", "_low", "_high")}
    said = advice(found._replace(pairs=found.pairs.assign(buy=buy, **ends)), results.metric)
    assert said[0].startswith("A difference of 2.0 percentage points between maml and reptile is found with")
    assert SAID[buy] in said[0]
    assert said[1].startswith(f"As one of {found.pairs['family'].iloc[0]} comparisons, at the strictest, it is found")
