"""A short form of `metagap selftest statistics`: the long one has two thousand repeats of each kind."""

import json

import numpy as np
import pytest

from metagap.analysis.comparisons import all_pairs
from metagap.selftest import claims, statistics
from metagap.selftest import trends as sweeps
from metagap.selftest.coverage import PROCEDURES, coverage, robust_coverage
from metagap.selftest.worlds import CEILING, GAUSSIAN, LAWS, Setting, World


@pytest.mark.parametrize("law", [*LAWS, CEILING], ids=lambda law: law.name)
def test_the_mean_of_a_law_is_that_of_its_scores(law):
    rng = np.random.default_rng(0)
    world = World.draw(rng, law, 400, 400, setting=Setting(0))
    error = 4 * np.hypot(law.seed_sd, law.episode_sd) / 20
    scale = 1 if not law.queries else float(law.mean()) * (1 - float(law.mean()))
    assert world.home.scores[0].mean() == pytest.approx(float(law.mean()), abs=2 * error * scale)
    assert (float(LAWS[1].mean()), float(CEILING.mean())) == pytest.approx((0.97, 0.9998))


@pytest.mark.parametrize("seeds", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_intervals_hold_what_they_claim(law, seeds):
    found = coverage(law, seeds, 200, 250)
    assert len(found) >= len(PROCEDURES) - 3
    for one, share in found:
        error = np.sqrt(0.05 * 0.95 / 250)
        assert one.allowed[0] - 3 * error <= share <= one.allowed[1] + 3 * error, one


def test_intervals_near_the_ceiling_are_not_too_short():
    for one, share in coverage(CEILING, 3, 200, 250):
        assert share >= 0.93 - 3 * np.sqrt(0.05 * 0.95 / 250), one


def test_robust_intervals_hold_what_they_claim():
    for _, share in robust_coverage(3, 200, 60):
        assert share >= 0.93 - 3 * np.sqrt(0.05 * 0.95 / 60)


@pytest.mark.parametrize("law", [GAUSSIAN, pytest.param(LAWS[1], marks=pytest.mark.slow)], ids=lambda law: law.name)
def test_pages_of_equal_algorithms_claim_nothing(law):
    found = claims.false_claims(law, 3, 60, 40)
    assert found.any <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


@pytest.mark.slow
@pytest.mark.parametrize("law", [GAUSSIAN, LAWS[1]], ids=lambda law: law.name)
def test_two_equal_algorithms_are_claimed_to_differ_on_at_most_one_page_of_twenty(law):
    assert claims.false_claims(law, 3, 200, 400, algorithms=2).any <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_a_page_finds_a_difference_that_is_there():
    """So that the test above is not passed by a page that never claims anything."""
    world = World.draw(np.random.default_rng(0), GAUSSIAN, 10, 200)
    world.home.scores[0] += 0.1
    found = all_pairs(claims.results_of(world))
    home = found.scores[found.scores["split"] == "home"]
    assert home["verdict"].tolist() == ["algorithm 0 better"]
    assert "algorithm 1 smaller" in set(found.gaps["verdict"])


def test_a_sweep_that_changes_nothing_claims_nothing():
    assert sweeps.false_trends(GAUSSIAN, 3, 40, 12) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 12)


@pytest.mark.slow
@pytest.mark.parametrize("law", [GAUSSIAN, LAWS[1]], ids=lambda law: law.name)
def test_a_sweep_that_changes_nothing_claims_a_trend_on_at_most_one_page_of_twenty(law):
    assert sweeps.false_trends(law, 3, 100, 400) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_a_slope_is_found_as_often_as_is_said(seeds):
    found, held = sweeps.found_slopes(GAUSSIAN, seeds, 100, 400)
    assert found == pytest.approx(0.8, abs=3 * np.sqrt(0.8 * 0.2 / 400))
    assert held >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("published", claims.PUBLISHED)
def test_published_values_are_judged_rightly(published):
    for share in claims.false_verdicts(3, 200, published, 300):
        assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_the_command_prints_a_table_and_writes_it(here, tmp_path, monkeypatch):
    todo = statistics.parts
    monkeypatch.setattr(statistics, "parts", lambda repeats: todo(repeats, (3,), (50,))[:1])
    code, text, errors = here("selftest", "statistics", "--repeats", "100", "--jobs", "1", "--out", "table.md")
    assert code == 0, errors
    assert "difference of gaps" in text and "Gaussian, 60%" in text
    assert (tmp_path / "table.md").read_text().startswith("| what | new | scores | 3 × 50 |")
    code, text, _ = here("selftest", "statistics", "--repeats", "100", "--jobs", "1", "--json")
    rows = json.loads(text)
    assert code == 0 and {row["holds"] for row in rows} == {True} and len(rows) == len(PROCEDURES)


def test_what_does_not_hold_is_an_error(here, monkeypatch):
    broken = statistics.Row("score", "runs", "Gaussian", 3, 200, 1000, 0.5, (0.93, 0.97))
    assert not broken.holds
    monkeypatch.setattr(statistics, "parts", lambda repeats: [lambda: [broken]])
    code, text, errors = here("selftest", "statistics", "--jobs", "1")
    assert code == 1 and "50.0 ✗" in text and "1 of 1 claims do not hold: score, Gaussian, 3 seeds: 50.0%" in errors
