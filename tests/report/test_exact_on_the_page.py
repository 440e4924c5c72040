"""Measured scores beside exact ones, on the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import make_results

from metagap.analysis.exact import bounds_table
from metagap.analysis.grids import Grids
from metagap.report.contents import CONTENTS
from metagap.report.figures.exact import caption
from metagap.report.figures.exact import exact as figure
from metagap.report.frames import Frames
from metagap.report.page import make
from metagap.report.tables.exact import bounds, exact, regret

SPLITS = ("sinusoid train", "sinusoid test", "larger amplitude")


@pytest.fixture(scope="module")
def results():
    return make_results("regression", ("maml", "reptile"), episodes=40, small=True, diverged=0, published=False)


@pytest.fixture(scope="module")
def frames(results):
    """What was measured is exact, but for `reptile` in the other domain; nothing is known of the training tasks."""
    steps = {name: results.suite.headline_step(name) for name in ("maml", "reptile")}
    rows = results.episodes[results.episodes["step"] == results.episodes["algorithm"].map(steps)]
    rows = rows[rows["condition"] == "standard"]
    means = -rows.groupby(["algorithm", "seed", "split"])["query_score"].mean()
    means.loc["reptile", :, SPLITS[2]] *= 100
    found = means.drop(SPLITS[0], level="split").rename("value").reset_index()
    found = found.merge(results.cells[["algorithm", "seed", "selected_iteration"]])
    found = found.rename(columns={"selected_iteration": "iteration"}).assign(episode=-1)
    parts = [found.assign(quantity="exact-risk"), found.assign(quantity="least-risk", value=0.01)]
    parts.append(found.assign(quantity="exact-bias", value=0.002))
    return Frames.of(replace(results, quantities=pd.concat(parts, ignore_index=True)))


def test_a_cell_says_what_was_measured_what_is_exact_and_whether_that_is_inside(frames):
    table = exact(frames)
    rows = table.frame.set_index(["of", "split"])
    assert list(rows.index) == [("MSE", SPLITS[1]), ("MSE", SPLITS[2]), ("domain gap", SPLITS[2])]
    for (of, split), row in rows.iterrows():
        for algorithm in ("maml", "reptile"):
            assert row[algorithm].endswith(" ✗") == (algorithm == "reptile" and split == SPLITS[2]), (
                of,
                row[algorithm],
            )
    measured, known = rows.loc[("MSE", SPLITS[1]), "maml"].rstrip(")").split(" (")
    assert float(measured.split()[0]) == pytest.approx(float(known), abs=0.006)
    assert rows.loc[("domain gap", SPLITS[2]), "maml"].startswith("+")
    assert "4 of 6 intervals hold it" in table.caption
    assert "4 of 6 intervals hold it" in caption(frames)


def test_regret_is_what_the_exact_risk_has_above_the_least(frames):
    table = regret(frames).frame.set_index("split")
    assert list(table.columns) == ["least risk", "maml", "reptile"]
    assert set(table["least risk"]) == {"0.010"}
    known = frames.exact.query("gap == 'score' and algorithm == 'maml' and split == @SPLITS[1]")["exact"].iloc[0]
    assert table.loc[SPLITS[1], "maml"] == f"{-known - 0.01:.3f} (0.002)"


def test_a_bound_stands_beside_the_gap_that_it_is_about(results, frames):
    known = results.cells[["algorithm", "seed", "selected_iteration"]].rename(
        columns={"selected_iteration": "iteration"}
    )
    found = [
        known.assign(episode=-1, split="", quantity="stability-bound", value=7.0),
        known.assign(episode=-1, split="", quantity="pac-bayes-gap", value=1.5),
        known[known["algorithm"] == "maml"].assign(
            episode=-1, split=SPLITS[2], quantity="total-variation-bound", value=0.25
        ),
    ]
    exact_gap = frames.exact.assign(gap="task gap", split=SPLITS[1], exact=1.5).drop_duplicates("algorithm")
    grids = Grids(replace(results, quantities=pd.concat(found, ignore_index=True)))
    table = bounds(replace(frames, bounds=bounds_table(grids, exact_gap))).frame.set_index("bound")
    assert table.loc["stability-bound", ["split", "maml", "reptile"]].tolist() == [SPLITS[1], *["7.000 (+1.500)"] * 2]
    assert table.loc["pac-bayes-gap", ["split", "maml", "reptile"]].tolist() == ["all", "1.500", "1.500"]
    assert table.loc["total-variation-bound", ["maml", "reptile"]].tolist() == ["0.250", "–"]
    assert bounds(frames) is None


def test_the_figure_has_a_dot_for_every_value_and_draws_on_a_phone_too(frames):
    for narrow in (False, True):
        axes = figure(frames, narrow).axes
        drawn = [line.get_xdata() for axis in axes for line in axis.lines if line.get_marker() != "None"]
        off = np.concatenate(drawn).astype(float)
        assert len(off) >= 4
        assert [axis.get_title(loc="left") for axis in axes] == ["score", "domain gap"]
        assert sorted(np.abs(off))[3] < 1e-6


def test_where_nothing_exact_is_known_there_is_no_section(results, frames):
    shown = [one for one in CONTENTS if one.section == "exact"]
    assert len(shown) == 4
    assert [block.shown.name for block in make(frames, shown)[1]] == ["exact", "exact", "regret"]
    assert make(Frames.of(results), shown)[1] == []
