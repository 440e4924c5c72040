"""Looks at a report page as its readers do: on a phone, on a desktop, on paper.

`uv run python tests/report/browser.py reports/quickstart/index.html reports/reference/quickstart.png` makes the picture
of the README: the first screen of the page after `metagap run quickstart`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("AXE", Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"))

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
# Tables that are wider than their place without being a focusable region that says so.
CLIPPED = """[...document.querySelectorAll("table")].filter((table) => {
  const place = table.parentElement, wide = table.getBoundingClientRect().width > place.clientWidth + 1;
  const hint = place.parentElement.querySelector(".hint");
  const said = place.tabIndex === 0 && place.getAttribute("role") === "region" && place.getAttribute("aria-label")
    && getComputedStyle(place).overflowX === "auto" && hint.offsetHeight > 0 && hint.textContent.includes("scroll");
  return wide !== Boolean(said);
}).map((table) => table.getAttribute("aria-describedby"))"""
FIGURES = """[...document.querySelectorAll(".chart svg")].filter((svg) => svg.getBoundingClientRect().width > 0)
  .map((svg) => {
    const box = svg.getBoundingClientRect(), of = svg.closest("figure");
    const sizes = [...svg.querySelectorAll("text")].map((text) =>
      parseFloat(getComputedStyle(text).fontSize) * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b));
    const out = [...svg.querySelectorAll("text")].filter((text) => {
      const part = text.getBoundingClientRect();
      return part.left < box.left - 3 || part.right > box.right + 3;
    }).map((text) => text.textContent);
    return {name: of.id || "sample", left: box.left, right: box.right, letters: Math.min(...sizes, 99), out};
  })"""
UPRIGHT, ACROSS = 695, 944
"""Pixels of the text on A4 paper and on A4 paper that lies across, inside the margins of the page's style."""
# In such a window: what of the tables meant for this paper lies beyond its edge, and their letters in points.
PAPER = """(() => {
  const tables = [...document.querySelectorAll("table")].filter((table) =>
    table.offsetWidth && Boolean(table.closest(".broad")) === innerWidth > 800);
  return tables.map((table) => ({
    name: table.getAttribute("aria-describedby"),
    points: parseFloat(getComputedStyle(table).fontSize) * 0.75,
    over: table.getBoundingClientRect().right - innerWidth,
    cut: [...table.querySelectorAll("th, td")].filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length,
  }));
})()"""


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium as installed; nothing is downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def open_page(chromium: Any, page: Path, width: int, height: int = 900, **options: Any) -> Any:
    """The page in a window of that size, with everything that is folded opened."""
    view = chromium.new_page(viewport={"width": width, "height": height}, **options)
    view.goto(page.resolve().as_uri())
    view.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    view.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return view


def violations(view: Any) -> list[str]:
    """What axe-core finds wrong with a page, each with the first element it is about."""
    view.evaluate(AXE.read_text(encoding="utf-8"))
    found = view.evaluate("axe.run().then((result) => result.violations.map((v) => [v.id, v.help, v.nodes[0].html]))")
    return [": ".join(violation) for violation in found]


if __name__ == "__main__":
    with browser() as chromium:
        view = chromium.new_page(viewport={"width": 1200, "height": 1100}, device_scale_factor=1.5)
        view.goto(Path(sys.argv[1]).resolve().as_uri())
        view.screenshot(path=sys.argv[2])
