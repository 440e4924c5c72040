"""The page as a browser shows it. Skipped where Chromium, playwright or axe-core is not installed."""

import importlib.util

import browser
import pytest
from synthetic import make_results

from metagap.report import page
from metagap.report.contents import CONTENTS
from metagap.report.frames import Frames

pytestmark = [
    pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]
needs_axe = pytest.mark.skipif(not browser.AXE.exists(), reason="axe-core is not installed (npm install axe-core)")

LONG = "learn2learn-meta-curvature_with_a_Kronecker_factored_transform"
MANY = ("maml", LONG, *(f"variant-{number}" for number in range(14)), "scratch", "pretrain")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page with every section and many splits, and one with many algorithms and a long name."""
    folder = tmp_path_factory.mktemp("pages")
    patch = pytest.MonkeyPatch()
    patch.setattr(page, "to_png", lambda figure: b"")  # nobody looks at them
    few = Frames.of(make_results(algorithms=("maml", "reptile", "scratch"), seeds=(0, 1), episodes=6, curve_steps=3))
    many = Frames.of(make_results(algorithms=MANY, seeds=(0,), episodes=4, curve_steps=3, small=True))
    paths = {}
    all_but_curves = [shown for shown in CONTENTS if shown.section not in ("curves", "samples")]
    for name, frames, contents in (("few", few, CONTENTS), ("many", many, all_but_curves)):
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(page.render(*page.make(frames, contents)), encoding="utf-8")
    patch.undo()
    return paths


@pytest.fixture(scope="module")
def chromium():
    with browser.browser() as started:
        yield started


@pytest.mark.parametrize("name", ["few", "many"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_out_of_sight_without_a_hint(chromium, written, name, width):
    view = browser.open_page(chromium, written[name], width)
    assert view.evaluate(browser.OVERFLOW) <= 0
    assert view.evaluate(browser.CLIPPED) == []
    wide = view.evaluate("[...document.querySelectorAll('.hint')].filter((hint) => hint.offsetHeight).length")
    assert wide > 0 if width == 390 else wide < 4 or name == "many"
    shown = view.evaluate(browser.FIGURES)
    assert len(shown) >= (14 if name == "few" else 1)
    for figure in shown:
        assert figure["left"] >= 0 and figure["right"] <= width, figure
        assert figure["letters"] >= (7 if figure["name"] == "sample" else 9), figure
        assert figure["out"] == [], figure
    view.close()


@pytest.mark.parametrize("name", ["few", "many"])
def test_the_leaders_are_on_the_first_screen(chromium, written, name):
    view = browser.open_page(chromium, written[name], 1440)
    assert view.evaluate("document.querySelector('#table-leaders tbody tr').getBoundingClientRect().bottom") < 900
    view.close()


@pytest.mark.parametrize("name", [pytest.param("few", marks=pytest.mark.slow), "many"])
def test_no_column_is_lost_on_paper(chromium, written, name):
    found = []
    for width in (browser.UPRIGHT, browser.ACROSS):
        view = browser.open_page(chromium, written[name], width)
        view.emulate_media(media="print", color_scheme="dark")
        found += view.evaluate(browser.PAPER)
        ink = view.evaluate("getComputedStyle(document.body).color")
        assert ink == "rgb(28, 33, 40)"  # dark letters, whatever the reader's mode
        view.close()
    assert len(found) >= 10
    for table in found:
        assert table["over"] <= 0 and table["cut"] == 0 and table["points"] >= 4.5, table


@needs_axe
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_axe_finds_nothing(chromium, written, width, scheme):
    view = browser.open_page(chromium, written["few"], width, color_scheme=scheme)
    assert browser.violations(view) == []
    view.close()
