"""The page of a sweep: what is on it, and what a browser makes of it."""

from __future__ import annotations

import dataclasses
import importlib.util
import io

import browser
import numpy as np
import pytest
from rich.console import Console
from synthetic import make_results

from metagap.analysis.trends import trends
from metagap.report import sweeps
from metagap.results import SweepResults
from metagap.suite import Axis

CLASSES = Axis(key="source.train_classes", values=[5, 20, 80], scale="log", label="training classes")
RATE = Axis(key="training.lr", values=[0.01, 0.03])


@pytest.fixture(scope="module")
def made():
    """Makes the trends over keys, of results that are better for every further value."""
    base = make_results(algorithms=("maml", "scratch"), episodes=8, curve_steps=3, small=True, published=False)

    def of(*axes):
        grid = (
            [(a,) for a in axes[0].values]
            if len(axes) == 1
            else [(a, b) for a in axes[0].values for b in axes[1].values]
        )
        members = {}
        for place, values in enumerate(grid):
            gain = 0.05 * place * np.where(base.episodes["role"] == "in-distribution", 1, 0.5)
            episodes = base.episodes.assign(query_score=(base.episodes["query_score"] - 0.3 + gain).clip(0, 1))
            cells = base.cells.assign(hash=[f"{values} {i}" for i in range(len(base.cells))])
            members[values] = dataclasses.replace(base, episodes=episodes, cells=cells, variant=f"variant{place}")
        return trends(SweepResults(axes, members, ["A note <b>."]))

    return of


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    return sweeps.write(made(CLASSES), tmp_path_factory.mktemp("reports"))


def test_the_page_has_findings_figures_and_tables(written):
    page = written.read_text(encoding="utf-8")
    files = {str(path.relative_to(written.parent)) for path in written.parent.rglob("*") if path.is_file()}
    assert {f"figures/{name}.{suffix}" for name in ("scores", "gaps") for suffix in ("svg", "png")} <= files
    assert {f"tables/{name}.csv" for name in sweeps.TABLES} <= files
    assert "A note &lt;b&gt;." in page and "<b>suite" not in page and "Abelson and Tukey" in page
    assert "Score on Omniglot test, with training classes" in page and "per doubling of training classes" in page


def test_findings_say_how_much_and_what_cannot_be_told(made):
    found = made(CLASSES)
    text = " ".join("".join(phrase.text for phrase in paragraph) for paragraph in sweeps.findings(found))
    assert "Score on Omniglot test, with training classes: " in text and "maml (+2." in text
    console = Console(width=100, record=True, file=io.StringIO())
    sweeps.print_sweep(found, console)
    shown = console.export_text()
    assert "Slopes and trends" in shown and "Note: A note <b>." in shown
    table = sweeps.TABLES["trends"](found)
    assert table is not None and set(table.frame["algorithm"]) == {"maml", "scratch"}
    assert set(table.frame["verdict"]) <= {"improves", "worsens", "grows", "shrinks", "cannot tell"}


def test_a_grid_has_a_map_for_each_claim_and_slopes_along_both_keys(made):
    found = made(CLASSES, RATE)
    assert list(sweeps.figures_of(found)) == [
        "map-score-on-omniglot-test",
        "map-score-on-kuzushiji-kanji",
        "map-task-gap-to-omniglot-test",
        "map-domain-gap-to-kuzushiji-kanji",
    ]
    figure = sweeps.figure(found, "map-score-on-omniglot-test")
    assert figure is not None and [axis.get_title(loc="left") for axis in figure.axes] == ["maml", "scratch"]
    assert (
        len(figure.axes[0].texts) == 6 and sweeps.figure(found, "map-score-on-omniglot-test", narrow=True) is not None
    )
    table = sweeps.TABLES["trends"](found)
    assert table is not None and set(table.frame["key"]) == {"training classes", "lr"}
    assert "per 0.01 lr" in table.caption and "averaged over the values of the other key" in table.caption


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed")
def test_a_browser_shows_all_of_it_on_a_phone_and_a_screen(made, written, tmp_path):
    with browser.browser() as chromium:
        for page in (written, sweeps.write(made(CLASSES, RATE), tmp_path)):
            for width in (390, 1440):
                view = browser.open_page(chromium, page, width)
                assert view.evaluate(browser.OVERFLOW) <= 0 and view.evaluate(browser.CLIPPED) == []
                for figure in view.evaluate(browser.FIGURES):
                    assert figure["left"] >= 0 and figure["right"] <= width and figure["out"] == [], figure
                    assert figure["letters"] >= 8, figure
                view.close()
