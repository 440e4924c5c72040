"""Other horizons: returns compare per step, and such splits are no domains."""

from __future__ import annotations

import numpy as np
import pytest

from metagap import metrics
from metagap.analysis.gaps import gap_table
from metagap.analysis.grids import Grids
from metagap.report.frames import SHIFT_GROUP_ACTING, Frames

SCORES = {"new": -40.0, "wind": -60.0, "longer": -120.0, "longer wind": -100.0, "elsewhere": -9.0, "more": -30.0}


@pytest.fixture(params=["return", "normalised-return"])
def tested(request, bench):
    """Horizon 100 is the suite's own; the value of a split is the mean over two episodes."""
    made = bench("control", shots=10, steps={"maml": 1})
    made.suite["source"] = home = {"name": "plane", "wind": 0.0, "horizon": 100}
    made.suite["evaluation"] = {"metrics": [request.param]}
    made.split("new", "in-distribution", source=home).split("wind", "cross-domain", source=home | {"wind": 1.0})
    made.split("longer", "cross-domain", source=home | {"horizon": 200})
    made.split("longer wind", "cross-domain", source={"horizon": 400, "wind": 1.0, "name": "plane"})
    made.split("elsewhere", "cross-domain", source={"name": "maze", "horizon": 50})
    made.split("more", "in-distribution", shots=20, source=home)
    for name, value in SCORES.items():
        made.add(name, np.array([[value - 1, value + 1], [value - 2, value + 2]]), query_loss=-value)
    results = made.results()
    object.__setattr__(results, "metrics", (metrics.find(request.param),))
    return request.param, results


def test_horizons_are_compared_per_step_where_rewards_add_up(tested, only):
    name, results = tested
    gaps = gap_table(results)
    found = gaps[gaps["gap"] == "horizon shift (per step)"].set_index("split")["value"].to_dict()
    if name == "return":
        assert found == pytest.approx({"longer": -40 / 100 + 120 / 200, "longer wind": -60 / 100 + 100 / 400})
    else:
        assert found == pytest.approx({"longer": 80, "longer wind": 40})
    assert set(gaps.loc[gaps["gap"] == "horizon shift (per step)", "unit"]) == {"per step"}
    assert only(gaps, gap="shot shift", split="more")["value"] == pytest.approx(-10)
    assert len(gaps[gaps["gap"] == "shot shift"]) == 1


def test_they_are_no_domains(tested):
    _, results = tested
    grids = Grids(results)
    assert grids.domains == ["wind"]
    frames = Frames.of(results)
    (leader,) = frames.headline_leaders().to_dict("records")
    assert (leader["away"], leader["gap"]) == (-60, 20)
    assert frames.split_label("longer") == "longer (200 steps)" and frames.split_label("more") == "more (20-rollout)"
    groups = dict(frames.split_groups())
    assert groups[SHIFT_GROUP_ACTING] == ["longer", "longer wind", "elsewhere", "more"]


def test_the_loss_is_left_out_where_it_is_minus_the_score(tested):
    name, results = tested
    assert ("domain gap in loss" in set(gap_table(results)["gap"])) == (name != "return")


def test_a_horizon_of_tasks_that_do_not_answer_back_is_an_option_like_others(bench):
    made = bench(shots=1)
    made.suite["source"] = {"name": "series", "horizon": 5}
    made.split("new", "in-distribution", source={"name": "series", "horizon": 5})
    made.split("far", "cross-domain", source={"name": "series", "horizon": 9})
    made.add("new", [[0.9, 0.8]]).add("far", [[0.6, 0.5]])
    found = gap_table(made.results()).set_index("gap")["value"]
    assert found["domain gap"] == pytest.approx(0.3) and "horizon shift (per step)" not in found.index
