import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from synthetic import make_results

from metagap.report import page
from metagap.report.contents import CONTENTS
from metagap.report.figures.adaptation import ADAPTATION
from metagap.report.frames import Frames
from metagap.report.panels import Panel, Text

PNG = b"\x89PNG"
FEW = [shown for shown in CONTENTS if not isinstance(shown, Panel)]
"""Without the figures that take longest."""
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}


class Balance(HTMLParser):
    """Collects what is wrong with the nesting, and every address that a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.addresses, self.ids, self.tags = [], [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def _note(self, tag, attrs):
        self.tags.add(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.addresses.append(value)
            if key == "id":
                self.ids.append(value)


@pytest.fixture
def no_pictures(monkeypatch):
    """PNG files take longest; where nobody looks at them they are empty."""
    monkeypatch.setattr(page, "to_png", lambda figure: b"")


def parsed(text):
    parser = Balance()
    parser.feed(text)
    parser.close()
    return parser


def write_report(results, out, contents=None):
    return page.write_report(Frames.of(results), out, contents)


@pytest.fixture(scope="module", params=["classification", pytest.param("regression", marks=pytest.mark.slow)])
def written(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports") / "suite"
    results = make_results(request.param, algorithms=("mine", "scratch"), episodes=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "to_png", lambda figure: PNG)
        assert write_report(results, out) == out / "index.html"
    return request.param, out


def test_page_is_well_formed_and_needs_nothing_but_itself(written):
    _, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    seen = parsed(text)
    assert seen.open == [] and seen.wrong == []
    assert {"svg", "table", "figure", "details", "style"} <= seen.tags
    assert len(seen.ids) > 20 and len(seen.ids) == len(set(seen.ids))
    assert len(seen.addresses) > 50
    for address in seen.addresses:
        if address.startswith("#"):
            assert address[1:] in seen.ids
        elif not address.startswith("data:image/png;base64,"):
            assert (out / address).exists(), address
    assert not re.search(r"@import|url\((?!#)", text)


def test_page_shows_every_section_and_escapes_names(written):
    kind, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    for heading in ("Sample episodes", "Scores", "Gaps", "Curves", "Comparisons", "Published values", "Provenance"):
        assert f"<h2>{heading}</h2>" in text
    assert f"Synthetic {kind} &lt;b&gt;suite&lt;/b&gt;" in text
    assert "&lt;not shown&gt;" in text and "CPU &lt;2 cores&gt;" in text
    assert "<b>suite" not in text and "<letters>" not in text and "<not shown>" not in text
    assert "95% interval over new training runs and new episodes (3 seeds)" in text
    assert ("Mean, median and diverged episodes" in text) == (kind == "regression")


def test_findings_link_to_the_rows_that_they_are_from(written):
    """And only to what is there: every number to its row of a table."""
    _, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    verdict = re.search(r'<div class="verdict">.*?</div>', text, flags=re.DOTALL)[0]
    links = re.findall(r'<a href="#([^"]+)">(.*?)</a>', verdict)
    assert {"row-leaders:mine", "row-comparisons:mine:scratch"} <= {address for address, _ in links}
    for address, words in links:
        assert text.count(f' id="{address}"') == 1, address
        if address.startswith("row-") and words.startswith("<strong>"):
            row = re.search(rf'<tr id="{re.escape(address)}".*?</tr>', text, flags=re.DOTALL)[0]
            number = re.sub(r"<.*?>", "", words).split("%")[0].split("\u00a0")[0].split(" ")[0]
            assert number in row, (address, words)


def test_a_finding_whose_table_is_not_on_the_page_links_nowhere(written):
    kind, _ = written
    frames = Frames.of(make_results(kind, algorithms=("mine", "scratch"), episodes=6, small=True))
    text = page.render(*page.make(frames, [shown for shown in CONTENTS if isinstance(shown, Text)]))
    assert "domain gap" in text and 'href="#row-' not in text and 'href="#table-' not in text


def test_below_every_table_of_numbers_unfolds_how_they_were_computed(written):
    _, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    tables = re.findall(r'<figure class="table.*?</figure>', text, flags=re.DOTALL)
    names = {re.search(r'id="table-([\w-]+)"', table)[1]: "How this was computed" in table for table in tables}
    assert {name for name, said in names.items() if not said} == {"settings", "provenance"}
    assert '<a href="#intervals">The intervals</a>' in text
    for name in ("comparisons", "gap-comparisons"):
        written_as = (out / "tables" / f"{name}.md").read_text(encoding="utf-8")
        assert "degrees of freedom" in written_as and "family of hypotheses" in written_as


def test_page_says_in_what_the_suite_differs_from_the_published_protocol(written):
    _, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "<h3>Known deviations from the published protocol</h3>" in text
    assert "<li>Classes are drawn &lt;anew&gt;.</li><li>Tests have [more] queries.</li>" in text


def test_deviations_are_told_without_published_values_too():
    results = make_results(algorithms=("mine",), seeds=(0,), episodes=10, published=False, small=True)
    frames = Frames.of(results)
    words = [shown for shown in CONTENTS if isinstance(shown, Text)]

    def text() -> str:
        return page.render(*page.make(frames, words))

    assert "Published values" not in text()
    frames = replace(frames, suite=frames.suite.model_copy(update={"deviations": ["No value was published."]}))
    assert "<h2>Published values</h2>" in text() and "<li>No value was published.</li>" in text()


def test_a_figure_is_a_png_file_too():
    png = page.to_png(Figure())
    assert png.startswith(PNG) and len(png) > 1000


def test_files_beside_the_page_are_there_and_not_empty(written):
    kind, out = written
    drawn = {path.stem for path in (out / "figures").glob("*.svg")}
    assert {"scores", "slopes", "training", "adaptation", "gaps", "gaps-within"} <= drawn
    assert sum(name.startswith("sample-") for name in drawn) == (8 if kind == "classification" else 4)
    for name in drawn:
        svg, png = (out / "figures" / f"{name}.svg").read_text("utf-8"), (out / "figures" / f"{name}.png").read_bytes()
        assert svg.rstrip().endswith("</svg>") and len(svg) > 2000
        assert "var(--" not in svg
        assert png == PNG
    scores = pd.read_csv(out / "tables" / "data" / "scores.csv")
    assert {"algorithm", "split", "score", "low", "high"} <= set(scores.columns) and len(scores) > 10


def test_colours_on_the_page_follow_the_mode(written):
    _, out = written
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text and ':root[data-theme="dark"]' in text
    svgs = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(svgs) >= 8
    rules = dict(re.findall(r"^\.(s\d+) \{([^}]*)\}", text, flags=re.MULTILINE))
    for svg in svgs:
        used = {
            name for rule in re.findall(r'class="(\w+)"', svg) for name in re.findall(r"var\(--([\w-]+)", rules[rule])
        }
        assert used and all(text.count(f"--{name}: ") == 3 for name in used)


def test_a_report_replaces_the_one_before_whole_or_not_at_all(tmp_path, no_pictures):
    out = tmp_path / "suite"
    write_report(make_results(algorithms=("maml",), episodes=20, small=True, seeds=(0,)), out, FEW)
    (out / "mine.txt").write_text("kept")
    assert list((out / "figures").glob("*omniglot*")) and (out / "tables" / "published.csv").exists()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = make_results("regression", algorithms=("reptile",), episodes=20, published=False, small=True, seeds=(0,))

    def broken(*_):
        raise RuntimeError("no page")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "render", broken)
        with pytest.raises(RuntimeError, match="no page"):
            write_report(other, out, FEW)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [out]

    write_report(other, out, FEW)
    assert (out / "mine.txt").read_text() == "kept"
    assert not (out / "tables" / "published.csv").exists() and not list((out / "figures").glob("*omniglot*"))
    assert "reptile" in (out / "index.html").read_text("utf-8")


def test_one_seed_is_said(tmp_path, no_pictures):
    text = write_report(
        make_results(seeds=(0,), algorithms=("maml", "scratch"), episodes=20, small=True), tmp_path / "suite", FEW
    ).read_text("utf-8")
    assert "One seed was run" in text and "nothing is claimed about which algorithm is better" in text
    assert "95% interval over new episodes of the one run" in text


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_little_is_enough_for_a_page(kind, tmp_path, no_pictures):
    results = make_results(kind, algorithms=("scratch",), seeds=(0,), episodes=10, curve_steps=3, published=False)
    names = [split.name for split in results.suite.splits if split.role == "in-distribution"][:1]
    suite = results.suite.model_copy(update={"splits": [results.suite.split(name) for name in names]})
    episodes = results.episodes[results.episodes["split"].isin(names) & (results.episodes["condition"] == "standard")]
    curves = pd.DataFrame(
        columns=["algorithm", "seed", "iteration", "loss", "score", "val_loss", "val_score", "seconds"]
    )
    little = replace(results, suite=suite, episodes=episodes, curves=curves, samples={}, notes=[])
    text = write_report(little, tmp_path / "suite").read_text("utf-8")
    assert names[0] in text and "<h2>Comparisons</h2>" not in text
    assert parsed(text).wrong == []


def test_everything_diverged_still_makes_a_page(tmp_path, no_pictures):
    results = make_results("regression", algorithms=("maml", "reptile"), episodes=12, small=True)
    bad = results.episodes.assign(query_loss=np.inf, query_score=-np.inf, support_loss=np.nan, support_score=np.nan)
    curves = results.curves.assign(loss=np.inf, score=-np.inf, val_loss=np.nan, val_score=-np.inf)
    text = write_report(replace(results, episodes=bad, curves=curves), tmp_path / "suite").read_text("utf-8")
    assert "∞" in text and "100.0%" in text
    assert parsed(text).wrong == []


def test_an_error_of_zero_does_not_squeeze_a_logarithmic_axis(recwarn):
    results = make_results("regression", algorithms=("maml", "reptile"), episodes=12, small=True)
    exact = results.episodes["algorithm"] == "maml"
    episodes = results.episodes.assign(
        query_loss=results.episodes["query_loss"].mask(exact, 0.0),
        query_score=results.episodes["query_score"].mask(exact, 0.0),
    )
    figure = ADAPTATION.figure(Frames.of(replace(results, episodes=episodes)))
    assert figure is not None
    page.to_svg(figure)
    assert not [warning for warning in recwarn if "collapsed" in str(warning.message)]
    assert all(axis.get_position().height > 0.3 for axis in figure.axes)
