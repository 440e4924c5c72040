"""Scores and gaps beside what they are exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metagap.analysis.exact import exact_table
from metagap.analysis.gaps import gap_table
from metagap.analysis.grids import Grids
from metagap.analysis.scores import score_table

SPLITS = {"train": "meta-train", "test": "in-distribution", "far": "cross-domain", "farther": "cross-domain"}
RISKS = {"train": 1.0, "test": 1.5, "far": 3.0, "farther": 5.0}


@pytest.fixture
def measured(bench):
    def made(kind="regression"):
        rng, results = np.random.default_rng(0), bench(kind, steps={"maml": 5, "ridge": 1})
        for split, role in SPLITS.items():
            results.split(split, role)
            for algorithm in ("maml", "ridge"):
                results.add(split, -RISKS[split] - 0.3 * rng.normal(size=(3, 40)), algorithm)
        return results.results()

    return made


def row(quantity, algorithm, seed, split, value, iteration=7, episode=-1):
    return {
        "algorithm": algorithm, "seed": seed, "quantity": quantity, "iteration": iteration, "split": split,
        "episode": episode, "value": value,
    }  # fmt: skip


def known(results, rows):
    cells = pd.DataFrame({"algorithm": ["maml"] * 3 + ["ridge"] * 3, "seed": [0, 1, 2] * 2, "selected_iteration": 7})
    return replace(results, cells=cells, quantities=pd.DataFrame(rows))


@pytest.fixture
def rows():
    """The risks of three runs, by 0.1 apart; of ridge on one split they are far off what was measured."""
    return [
        row(name, algorithm, seed, split, value)
        for algorithm in ("maml", "ridge")
        for seed in range(3)
        for split, risk in RISKS.items()
        for name, value in (
            ("exact-risk", risk + 0.1 * (seed - 1) + (algorithm == "ridge" and split == "far")),
            ("least-risk", 0.25),
            ("exact-bias", 0.125 * seed),
        )
    ]


def test_measured_values_are_those_of_the_tables_and_exact_ones_means_of_these_runs(measured, rows):
    grids = Grids(known(measured(), rows))
    table = exact_table(grids).set_index(["algorithm", "gap", "split"])
    assert len(table) == 2 * (4 + 1 + 3)
    for name, found in (("score", score_table(grids)), ("gap", gap_table(grids))):
        found = found[found["statistic"] == "mean"]
        for one in found.to_dict("records"):
            key = (one["algorithm"], one.get("gap", "score"), one["split"])
            if key in table.index:
                value = one["score" if name == "score" else "value"]
                ours = table.loc[key]
                assert ours["value"] == value
                assert [*ours[["low", "high", "episodes_low", "episodes_high"]]] == pytest.approx(
                    [one["low"], one["high"], one["episodes_low"], one["episodes_high"]]
                )
    exact_of = table["exact"].to_dict()
    assert exact_of["maml", "score", "test"] == pytest.approx(-1.5)
    assert exact_of["maml", "task gap", "test"] == pytest.approx(0.5)
    assert exact_of["maml", "domain gap", "far"] == pytest.approx(1.5)
    assert exact_of["maml", "domain gap", "average"] == pytest.approx((1.5 + 3.5) / 2)
    assert exact_of["ridge", "domain gap", "far"] == pytest.approx(2.5)
    assert not table.loc[("ridge", "score", "far"), "holds"]
    assert not table.loc[("ridge", "domain gap", "far"), "holds"]
    assert table.loc["maml"]["holds"].mean() > 0.8
    assert table.loc[("maml", "score", "far"), ["least", "regret", "bias"]].tolist() == pytest.approx(
        [0.25, 2.75, 0.125]
    )
    assert table.loc["maml"]["regret"].isna().sum() == 4


def test_what_is_not_known_of_every_run_is_left_out(measured, rows):
    """A missing value of one run, other iterations and episodes, and another metric."""
    lacking = [{**one, "value": np.nan} if (one["algorithm"], one["seed"]) == ("ridge", 1) else one for one in rows]
    lacking += [row("exact-risk", "ridge", 1, split, 9.0, iteration=0) for split in SPLITS]
    lacking += [row("exact-risk", "ridge", 1, split, 9.0, episode=0) for split in SPLITS]
    found = exact_table(Grids(known(measured(), lacking)))
    assert set(found["algorithm"]) == {"maml"}
    assert exact_table(Grids(known(measured(), [one for one in rows if one["quantity"] != "exact-risk"]))).empty
    assert exact_table(Grids(measured())).empty
    assert exact_table(Grids(known(measured("classification"), rows))).empty
