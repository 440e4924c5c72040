"""What the page says along training."""

import warnings

import numpy as np
import pytest
from synthetic import followed, make_results

from metagap.report import page
from metagap.report.along import findings
from metagap.report.contents import CONTENTS
from metagap.report.frames import Frames
from metagap.report.tables.along import measured
from metagap.report.verdict import plain

SECTION = [shown for shown in CONTENTS if shown.section == "training"]


@pytest.fixture(scope="module")
def frames():
    roles = ("meta-train", "meta-val", "in-distribution", "cross-domain")
    names = ("maml", "reptile", "scratch")
    results = make_results(algorithms=names, episodes=8, curve_steps=3, small=True, roles=roles)
    return Frames.of(followed(results))


@pytest.fixture(scope="module")
def made(frames):
    patch = pytest.MonkeyPatch()
    patch.setattr(page, "to_png", lambda figure: b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a figure whose parts do not fit
        blocks = page.make(frames, SECTION)[1]
    patch.undo()
    return {block.shown.name: block.content for block in blocks}


def test_the_section_has_its_figures_and_tables(frames, made):
    assert list(made) == [shown.name for shown in SECTION]
    html = page.render(frames, [page.Block(shown, made[shown.name]) for shown in SECTION])
    assert '<section id="training">' in html and "Along training" in html and "domain gap: Kuzushiji-Kanji" in html
    assert "&lt;norm&gt;" in html and "<norm>" not in html


def test_what_does_not_train_has_a_line_and_no_opening(made):
    assert list(made["openings"].frame.columns) == ["gap", "split", "maml", "reptile"]
    assert made["openings"].frame["maml"].str.match(r"by [\d,]+ \((not shown|[\d,]+)\)|not shown|negative").all()
    assert list(made["selected-iterations"].frame["algorithm"]) == ["maml", "reptile"]


def test_the_costs_are_in_the_unit_of_the_gaps(frames, made):
    table = frames.along.costs
    row = table[(table["algorithm"] == "maml") & (table["split"] == "Omniglot test")].iloc[0]
    shown = made["selection-costs"].frame
    cell = shown.loc[(shown["split"] == "Omniglot test") & (shown["selected"] == "last"), "maml"].iloc[0]
    assert cell == frames.metric.gap(row["cost"], row["low"], row["high"])
    assert "Holm" in made["selection-costs"].caption


def test_quantities_are_shown_first_at_home_and_away_and_folded_everywhere(made):
    first, every = made["quantities"].frame, made["quantities-everywhere"].frame
    assert list(first["split"]) == ["whole run", "Omniglot test", "Kuzushiji-Kanji"]
    assert list(every["split"]) == ["whole run", "Omniglot train", "Omniglot val", "Omniglot test", "Kuzushiji-Kanji"]
    alignment = first[first["split"] == "Kuzushiji-Kanji"].iloc[0]
    assert alignment["reptile"] == "–" and alignment["scratch"] != "–"


def test_findings_name_every_algorithm_that_trains(frames):
    text = plain(findings(frames).paragraphs)
    assert "The task gap " in text and "The domain gap " in text
    assert "maml" in text and "reptile" in text and "scratch" not in text.split("Taking")[0]
    assert "of 6 runs" in text


def test_a_page_of_results_that_were_not_followed_has_no_such_section():
    results = make_results(algorithms=("maml",), seeds=(0,), episodes=4, curve_steps=3, small=True)
    frames = Frames.of(results)
    assert page.make(frames, SECTION)[1] == [] and frames.along.tables == {}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.5123, 0.5023, 0.5223), "0.512 ± 0.010"),
        ((41234.0, 41200.0, 41268.0), "41234 ± 34"),
        ((3.21e-7, 3.0e-7, 3.42e-7), "3.2e−07 ± 2e−08"),
        ((np.nan, np.nan, np.nan), "–"),
        ((0.0, 0.0, 0.0), "0.00 ± 0.00"),
    ],
)
def test_a_quantity_of_any_size_is_readable(values, text):
    assert measured(*values) == text
