"""What a page may do: show itself, and run nothing but its own script. Skipped where Chromium is not installed."""

import importlib.util
from dataclasses import replace

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

EVIL = '</title></style></script><script>window.ran = 1</script><img src="x" onerror="window.ran = 1">'
SHOWN = [one for one in CONTENTS if one.name in ("scores", "findings", "notes", "provenance")]


WATCH = "addEventListener('securitypolicyviolation', (event) => (window.kept ||= []).push(event.violatedDirective))"


@pytest.fixture(scope="module")
def text():
    """A page whose title, description, label, notes and splits try to run a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "to_png", lambda figure: b"")
        found = make_results(algorithms=("maml", EVIL), seeds=(0, 1), episodes=4, small=True)
        suite = found.suite.model_copy(update={"title": EVIL, "description": EVIL})
        return page.render(*page.make(Frames.of(replace(found, suite=suite, notes=[EVIL])), SHOWN))


@pytest.fixture(scope="module")
def chromium():
    with browser.browser() as started:
        yield started


def opened(chromium, path):
    """The page, and what it was kept from doing."""
    view = chromium.new_page()
    view.add_init_script(WATCH)
    view.goto(path.as_uri())
    return view, view.evaluate("window.kept || []")


def test_texts_run_nothing_and_the_page_works(chromium, text, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(text, encoding="utf-8")
    view, kept = opened(chromium, path)
    assert kept == []  # its own script, style and figures are let in
    assert view.evaluate("window.ran") is None
    assert view.evaluate("document.querySelectorAll('script').length") == 1
    assert EVIL in view.evaluate("document.querySelector('h1').textContent")
    assert view.evaluate("document.querySelectorAll('.chart svg path').length") > 10
    before = view.evaluate("getComputedStyle(document.body).backgroundColor")
    view.click("#theme")
    assert view.evaluate("getComputedStyle(document.body).backgroundColor") != before
    view.close()


@pytest.mark.parametrize(
    ("slipped", "directive"),
    [
        ("<script>window.ran = 1</script>", "script-src-elem"),
        ('<img src="data:," onerror="window.ran = 1">', "script-src-attr"),
        ("<style>body { display: none }</style>", "style-src-elem"),
        ('<img src="https://example.org/seen.png">', "img-src"),
        ('<base href="https://example.org/">', "base-uri"),
    ],
)
def test_what_slips_into_a_page_is_kept_from_running(chromium, text, tmp_path, slipped, directive):
    path = tmp_path / "index.html"
    path.write_text(text.replace("<main>", f"<main>{slipped}", 1), encoding="utf-8")
    view, kept = opened(chromium, path)
    assert kept == [directive]
    assert view.evaluate("window.ran") is None
    assert view.evaluate("getComputedStyle(document.body).display") != "none"
    view.close()
