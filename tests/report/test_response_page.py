"""The responses on a page: figure, pictures, tables, and the sentences above them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import make_results

from metagap.report import responses
from metagap.report.figures.responses import IMAGES, RESPONSES
from metagap.report.frames import Frames
from metagap.report.panels import said
from metagap.report.tables.responses import AREAS, HALVES, PAIRS, half
from metagap.results import Results
from metagap.suite.schema import Dose

FALLS = {"maml": 0.1, "fomaml": 0.25, "scratch": 0.0}
"""What a step of the strength costs; scratch is at chance."""


def responding(scratch: float = 0.2) -> Results:
    """Three algorithms whose accuracy falls along a response of four strengths; scratch: its accuracy."""
    base = make_results(algorithms=tuple(FALLS), episodes=40, small=True, published=False)
    home = base.episodes[(base.episodes["role"] == "in-distribution") & (base.episodes["condition"] == "standard")]
    home = home.assign(query_score=np.where(home["algorithm"] == "scratch", scratch, home["query_score"]))
    frames, splits, samples = [base.episodes[base.episodes["role"] != "in-distribution"], home], [], {}
    reference = base.suite.split(str(home["split"].iloc[0]))
    for strength in (1.0, 2.0, 4.0):
        name = f"noise {strength:g}"
        lost = home["algorithm"].map(FALLS).astype(float) * strength
        score = (home["query_score"] - lost).clip(0.15)
        frames.append(home.assign(split=name, role="shifted", query_score=score))
        dose = Dose(of="noise", strength=strength, reference=reference.name)
        splits.append(reference.model_copy(update={"name": name, "role": "shifted", "dose": dose}))
        samples[name] = base.samples[reference.name]
    suite = base.suite.model_copy(update={"splits": [*base.suite.splits, *splits]})
    episodes = pd.concat(frames, ignore_index=True)
    return Results(suite, base.cells, base.curves, base.samples | samples, base.notes, episodes=episodes)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return Frames.of(responding())


def test_tables_and_sentences(frames):
    areas, halves, pairs = (kind.make(frames) for kind in (AREAS, HALVES, PAIRS))
    assert areas is not None and halves is not None and pairs is not None
    row = areas.frame.iloc[0]
    assert (row["response"], row["strengths"]) == ("noise", "0 to 4")
    assert row["maml"].startswith("+20.") and row["scratch"].startswith("0.0")
    assert halves.frame.iloc[0]["scratch"] == "–" and halves.frame.iloc[0]["maml"].startswith("3.")
    assert "maml smaller" in set(pairs.frame["verdict"])
    prose = responses.findings(frames)
    assert prose is not None
    words = "".join(phrase.text for phrase in prose.paragraphs[0])
    assert words.startswith("Along noise (0 to 4), maml loses least on average: +2")
    assert "significantly less than" in words and "lost first at 1." in words and "by fomaml" in words
    for kind in (AREAS, HALVES, PAIRS):
        assert said(kind.computed, frames)


def test_who_has_learned_nothing_is_not_praised_for_losing_little():
    prose = responses.findings(Frames.of(responding(scratch=0.4)))
    assert prose is not None
    words = "".join(phrase.text for phrase in prose.paragraphs[0])
    assert words.startswith("Along noise (0 to 4), maml loses least on average") and "scratch" not in words
    assert "significantly less than the other one" in words


def test_shifted_splits_are_in_no_other_table(frames):
    for table in (
        frames.scores,
        frames.runs,
        frames.steps,
        frames.gaps,
        frames.pairs,
        frames.variance,
        frames.outliers,
    ):
        assert "split" not in table or not table["split"].astype(str).str.startswith("noise").any()
    assert set(frames.responses.tables) == {"response_points", "response_areas", "response_pairs"}


def test_figure_and_pictures(frames):
    figure = RESPONSES.figure(frames)
    assert figure is not None
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "1", "2", "4"]
    assert len(axis.lines) == 3 + 2 + 1  # algorithms, half effects of two, guessing
    (picture,) = IMAGES.pictures(frames)
    assert [axis.get_title() for axis in picture.draw().axes] == ["0", "1", "2", "4"]


@pytest.mark.parametrize(
    "values, text",
    [
        ((3.21, 2.5, 4.04, 5, ""), "3.21 [2.5, 4.04]"),
        ((4.5, 3.9, np.inf, 5, ""), "4.5 [3.9, > 5]"),
        ((np.inf, np.inf, np.inf, 5, ""), "> 5"),
        ((0.4, 0.5, -np.inf, 0.25, ""), "0.4 [< 0.25, 0.5]"),
        ((np.nan, np.nan, np.nan, 5, "no better"), "–"),
    ],
)
def test_a_half_effect_strength_in_words(values, text):
    assert half(*values) == text


def test_a_page_without_responses_has_none_of_it():
    frames = Frames.of(make_results(algorithms=("maml", "scratch"), episodes=10, small=True))
    assert responses.findings(frames) is None and RESPONSES.figure(frames) is None and not frames.responses.tables
    assert [kind.make(frames) for kind in (AREAS, HALVES, PAIRS)] == [None] * 3 and IMAGES.pictures(frames) == []
