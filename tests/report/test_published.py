import math

import pytest

from metagap.metrics import Margin
from metagap.metrics.classification import ACCURACY
from metagap.metrics.regression import MSE
from metagap.report.published import columns, kinds, margin, source, stacked, verdict


def row(**changes):
    base = {
        "published": 0.487, "published_interval": 0.0184, "kind": "95% CI over episodes",
        "source": "Somebody (2017), Table 1", "mark": "V", "ours": 0.4912, "ours_interval": 0.0113,
        "ours_kind": "95% CI over 600 episodes", "median": 0.5, "iqm": 0.49, "diverged": 0.0,
        "difference": 0.0042, "low": -0.0175, "high": 0.0259, "verdict": "undecided",
        "remark": "5 to 40 seeds would be enough",
        "assumed_sd": float("nan"),
    }  # fmt: skip
    return base | changes


def test_values_have_the_decimals_of_the_paper():
    cells = columns(row(), ACCURACY)
    assert cells == {"published": "48.70 ± 1.84", "ours": "49.12 ± 1.13", "difference": "+0.42 ± 2.17"}
    cells = columns(row(published=0.987, published_interval=0.004), ACCURACY)
    assert (cells["published"], cells["ours"]) == ("98.7 ± 0.4", "49.1 ± 1.1")
    assert columns(row(published_interval=math.nan, published=0.6557), ACCURACY)["published"] == "65.57"


def test_regression_shows_what_one_episode_cannot_ruin():
    ruined = row(published=0.38, published_interval=math.nan, ours=math.inf, ours_interval=math.inf)
    ruined |= {"difference": math.inf, "low": -math.inf, "high": math.inf, "diverged": 0.001}
    cells = columns(ruined, MSE)
    assert cells == {
        "published": "0.38", "ours": "∞", "difference": "+∞", "our median": "0.50", "our IQM": "0.49",
        "diverged": "0.1%",
    }  # fmt: skip


def test_not_run_is_left_open():
    blank = dict.fromkeys(("ours", "ours_interval", "difference", "low", "high"), math.nan)
    cells = columns(row(**blank, ours_kind=None), ACCURACY)
    assert (cells["ours"], cells["difference"]) == ("–", "–")
    assert kinds(row(ours_kind=math.nan))[1] == "–"


def test_words():
    assert verdict(row()) == "undecided: 5 to 40 seeds would be enough"
    assert verdict(row(verdict="agrees", remark="")) == "agrees"
    assert verdict(row(verdict="agrees", remark="", assumed_sd=0.01)) == "agrees, if their runs vary as ours"
    assert verdict(row(assumed_sd=0.01)).endswith(", if their runs vary as ours: 5 to 40 seeds would be enough")
    assert kinds(row()) == ("95% CI over episodes", "95% CI over 600 episodes")
    assert kinds(row(kind=None))[0] == "not stated"
    assert kinds(row(kind=None, published_interval=math.nan))[0] == "none"
    assert source(row()) == "Somebody (2017), Table 1, read at the source"


@pytest.mark.parametrize(
    ("mark", "words"), [("S", "[S] quoted by another paper"), ("R", "[R] recalled, to be checked")]
)
def test_a_value_that_was_not_read_at_its_source_has_its_mark(mark, words):
    assert columns(row(mark=mark), ACCURACY)["published"] == f"48.70 ± 1.84 [{mark}]"
    assert source(row(mark=mark)) == f"Somebody (2017), Table 1, {words}"


@pytest.mark.parametrize(
    ("chosen", "measure", "text"),
    [
        (ACCURACY.margin, ACCURACY, "1 percentage point"),
        (Margin(0.015), ACCURACY, "1.5 percentage points"),
        (MSE.margin, MSE, "10% of the published value"),
        (Margin(0.05), MSE, "0.05 in MSE"),
    ],
)
def test_margins_in_words(chosen, measure, text):
    assert margin(chosen, measure) == text


def test_a_narrow_place_has_the_robust_statistics_below():
    cells = stacked(row(ours=0.6, ours_interval=0.1), MSE)
    assert cells["ours"] == "0.6000 ± 0.1000\nmedian 0.5000\nIQM 0.4900\n0.0% diverged"
    assert list(cells) == ["published", "ours", "difference"]
    assert stacked(row(), ACCURACY) == columns(row(), ACCURACY)
