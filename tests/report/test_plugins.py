"""Gaps, figures and tables of other packages are on the page like ours; a broken one is a sentence there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from synthetic import make_results

from metagap.report import contents, page, terminal
from metagap.report.frames import Frames
from metagap.report.page import make, render, tables_of, write_report
from metagap.report.panels import Panel
from packages import install

EXAMPLES = Path(__file__).parents[2] / "benchmark" / "examples"

BROKEN = """
from metagap.analysis.gaps import GapKind
from metagap.report.panels import Panel, TableKind

def fail(*_):
    raise ValueError("no <luck>")

LUCK = GapKind("luck gap", "between splits", "cost", "luck", fail)
DRAWN = Panel(name="lucky-figure", section="scores", caption="Luck.", draw=fail)
MADE = TableKind(name="lucky-table", section="luck", make=fail, terminal=fail)
WRONG = TableKind(name="wrong-table", section="luck", make=lambda frames: [1, 2])
TWICE = Panel(name="slopes", section="scores", caption="Ours has this name.", draw=fail)
"""


def frames(small: bool = False) -> Frames:
    results = make_results(algorithms=("maml", "mine"), seeds=(0, 1), episodes=6, curve_steps=3, small=small)
    results.samples.clear()
    return Frames.of(results)


@pytest.fixture
def fewer_figures(monkeypatch):
    """Of metagap's own, only one in which something of a plugin's is seen."""
    few = [shown for shown in contents.CONTENTS if not isinstance(shown, Panel) or shown.name in ("gaps", "slopes")]
    monkeypatch.setattr(contents, "CONTENTS", tuple(few))


def test_a_gap_a_figure_and_a_table_from_outside_are_on_the_page(site, tmp_path, fewer_figures):
    code = {name: (EXAMPLES / f"{name}.py").read_text(encoding="utf-8") for name in ("gap", "figure", "table")}
    install(site, "their_gap", {"gaps": {"selection": "their_gap:SELECTION_GAP"}}, code["gap"])
    install(site, "their_figure", {"panels": {"runs": "their_figure:RUNS"}}, code["figure"])
    install(site, "their_table", {"panels": {"worst": "their_table:WORST_RUNS"}}, code["table"])
    found = frames()
    text = write_report(found, tmp_path / "out").read_text("utf-8")
    assert "cannot be" not in text
    gaps = (tmp_path / "out/tables/gaps.csv").read_text("utf-8")
    assert "selection gap,Omniglot test," in gaps and gaps.index("way shift") < gaps.index("selection gap")
    assert ">selection gap</text>" in text  # in the figure
    assert "<dt>selection gap</dt><dd>meta-val − in-distribution</dd>" in text
    scores = text[text.index('<section id="scores">') : text.index('<section id="published">')]
    assert 'id="figure-single-runs"' in scores and "A mark for each training run" in scores
    assert 'id="table-worst-runs"' in scores and "<summary>The worst runs</summary>" in scores
    for name in ("figures/single-runs.svg", "figures/single-runs.png", "tables/worst-runs.tex"):
        assert (tmp_path / "out" / name).stat().st_size > 500
    console = Console(width=100, file=io.StringIO(), color_system=None)
    terminal.print_results(found, console)
    assert "Worst runs" in console.file.getvalue() and "selection gap" in console.file.getvalue()


def test_what_is_broken_is_a_sentence_in_its_place_and_harms_nothing_else(site, monkeypatch, fewer_figures):
    monkeypatch.setattr(page, "to_png", lambda figure: b"")  # takes longest
    groups = {
        "gaps": {"luck": "unlucky:LUCK"},
        "panels": {name: f"unlucky:{name.upper()}" for name in ("drawn", "made", "wrong", "twice", "missing")},
    }
    install(site, "unlucky", groups, BROKEN)
    found = frames(small=True)
    now, blocks = make(found)
    text = render(now, blocks)
    assert "The gap &#39;luck gap&#39; cannot be computed: ValueError: no &lt;luck&gt;." in text
    for sentence in (
        "The figure &#39;lucky-figure&#39; cannot be drawn: ValueError: no &lt;luck&gt;.",
        "The table &#39;lucky-table&#39; cannot be made: ValueError: no &lt;luck&gt;.",
        "The table &#39;wrong-table&#39; cannot be made: TypeError: make gives a list, not a Table or None.",
    ):
        assert f'<p class="failed">{sentence}</p>' in text and f"<li>{sentence}</li>" in text
    assert "panel &#39;twice&#39; of unlucky (unlucky:TWICE) is not used" in text
    assert "panel &#39;missing&#39; of unlucky (unlucky:MISSING) cannot be imported: AttributeError" in text
    assert text.index("<h2>Luck</h2>") > text.index("<h2>Provenance</h2>")
    assert {"scores", "gaps", "leaders"} <= set(tables_of(blocks)) and 'id="figure-slopes"' in text
    console = Console(width=100, file=io.StringIO(), color_system=None)
    terminal.print_results(found, console)
    assert "The table 'lucky-table' cannot be made" in console.file.getvalue()
    assert "domain gap" in console.file.getvalue()
