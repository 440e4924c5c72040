"""Figures on the page: as they are drawn, in the page's colours and fonts, and a part as long."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from metagap.report import theme
from metagap.report.figures.saving import to_svg
from metagap.report.inlining import Figures


@pytest.fixture(scope="module")
def svg() -> str:
    with mpl.rc_context(), theme.drawing():
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        x = np.linspace(0, 1, 60)
        for place in range(4):
            axes.plot(x, np.sin(x + place), marker="os^D"[place], color=theme.PALETTE[place][0])
            axes.fill_between(x, np.sin(x), np.cos(x + place), alpha=0.2)
        axes.imshow(np.eye(4), extent=(0, 1, 0, 1))
        axes.set_title("a < b & c")
        axes.set_ylabel("score")
        return to_svg(figure)


def test_it_takes_a_part_of_the_room_and_says_and_shows_the_same(svg):
    figures = Figures()
    shown = figures.inlined(svg, "curves", 'of "all" < some')
    assert len(shown) + len(figures.styles) < 0.6 * len(svg)
    texts = [re.sub(r"\s+", " ", text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
    assert re.findall(r"<text[^>]*>([^<]*)</text>", shown) == texts and "a &lt; b &amp; c" in texts
    for shape in ("<use", "<image", "<rect", "<clipPath"):
        assert shown.count(shape) == svg.count(shape) > 0, shape
    assert shown.count("<path") == svg.count("<path")
    assert shown.startswith('<svg viewBox="0 0 288 216" role="img" aria-label="of &quot;all&quot; &lt; some">')


def test_coordinates_are_what_they_were_to_a_hundredth_of_a_pixel(svg):
    def numbers(text: str) -> list[float]:
        paths = re.findall(r'\sd="([^"]*)"', text)
        return [float(number) for path in paths for number in re.findall(r"-?[\d.]+", path)]

    before, after = numbers(svg), numbers(Figures().inlined(svg, "curves", ""))
    assert len(before) > 500 and np.abs(np.array(before) - np.array(after)).max() <= 0.00501


def test_every_reference_leads_somewhere_and_figures_do_not_share_ids(svg):
    figures = Figures()
    one, other = (figures.inlined(svg, name, "") for name in ("curves", "curves-narrow"))
    ids = [re.findall(r'\sid="([^"]*)"', shown) for shown in (one, other)]
    for shown, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', shown)) == set(own)
        assert len(own) == len(set(own)) > 3
    assert not {*ids[0]} & {*ids[1]}


def test_styles_stand_once_in_the_colours_of_the_page_without_fonts(svg):
    figures = Figures()
    shown = figures.inlined(svg, "curves", "") + figures.inlined(svg, "more", "")
    rules = dict(re.findall(r"\.(s\d+) \{([^}]*)\}", figures.styles))
    assert set(re.findall(r'class="([^"]*)"', shown)) == rules.keys()
    assert len(set(rules.values())) == len(rules)
    assert "style=" not in shown and "font-family" not in figures.styles and "DejaVu" not in shown
    assert "var(--line-0)" in figures.styles and theme.PALETTE[0][0] not in figures.styles
