"""The page, the tables and the command of a comparison across suites."""

import dataclasses
import importlib.util
import io
import json

import browser
import pytest
from rich.console import Console
from synthetic import make_results
from typer.testing import CliRunner

import metagap
from metagap.analysis import across_suites as analysis
from metagap.analysis.across_suites import across_suites
from metagap.cli import app
from metagap.errors import UserError
from metagap.report import across_suites as pages

LONG = "learn2learn-meta-curvature_with_a_Kronecker_factored_transform"
ALGORITHMS = ("maml", "reptile", LONG, "scratch")


@pytest.fixture(scope="module")
def results():
    found = {}
    for place in range(5):
        made = make_results(algorithms=ALGORITHMS, seeds=(0, 1), episodes=6, curve_steps=3, small=True)
        scores = (made.episodes["query_score"] - 0.05 * place).clip(0, 1)
        found[f"suite-{place}"] = dataclasses.replace(made, episodes=made.episodes.assign(query_score=scores))
    return found | {"waves": make_results("regression", ALGORITHMS, (0, 1), 6, curve_steps=3, small=True)}


@pytest.fixture(scope="module")
def found(results):
    return across_suites(results)


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    return pages.write(found, pages.folder_of(tmp_path_factory.mktemp("reports"), found))


@pytest.fixture
def stored(results, monkeypatch):
    """Reading finds these results, whatever the folder."""

    def read(_, name):
        if name not in results:
            raise UserError(f"no finished results of suite '{name}'")
        return results[name]

    monkeypatch.setattr(analysis, "read", read)


def test_the_page_has_every_table_and_figure_as_files(written):
    assert written.parent.name == "suite-0+suite-1+suite-2+suite-3+suite-4+waves"
    files = {str(path.relative_to(written.parent)) for path in written.parent.rglob("*") if path.is_file()}
    for name in pages.TABLES:
        assert {f"tables/{name}.{suffix}" for suffix in ("csv", "md", "tex")} <= files
    for name in pages.FIGURES:
        assert {f"figures/{name}.{suffix}" for suffix in ("svg", "png")} <= files
    assert {f"tables/data/{name}.csv" for name in ("scores", "runs", "pairs", "aggregates", "profiles")} <= files
    page = written.read_text(encoding="utf-8")
    assert "Algorithms across 6 suites" in page and "<not shown>" not in page and "&lt;not shown&gt;" in page


def test_the_folder_does_not_depend_on_the_order_and_has_no_endless_name(found, tmp_path):
    def folder(names, on="cross-domain"):
        suites = dict.fromkeys(names, found.suites["waves"])
        return pages.folder_of(tmp_path, dataclasses.replace(found, suites=suites, on=on))

    assert folder("abc") == folder("cba") != folder("abc", "in-distribution")
    many = [f"{'long' * 10}-{place}" for place in range(4)]
    assert folder(many) == folder(many[::-1]) != folder(many[:3]) and len(folder(many).name) < 80


def test_without_normalised_scores_there_are_ranks(results, tmp_path):
    waves = {name: results["waves"] for name in ("one", "two")}
    found = across_suites(waves)
    page = pages.write(found, tmp_path)
    assert not (page.parent / "figures" / "iqm.svg").exists()
    assert (page.parent / "figures" / "critical-difference.svg").exists()
    assert "IQM" not in pages.ranks(found).frame


def test_the_command_prints_tables_or_json_and_writes_the_page(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    names = [f"suite-{place}" for place in range(3)]
    shown = runner.invoke(app, ["compare-suites", *names])
    assert shown.exit_code == 0, shown.output
    for part in ("Mean ranks over 3 suites", "Pairs of algorithms", "Scores", "Note:", "index.html"):
        assert part in shown.output
    found = runner.invoke(app, ["compare-suites", *names, "--on", "in-distribution", "--json"])
    numbers = json.loads(found.stdout)
    assert numbers["test"]["suites"] == 3 and {"F", "p", "critical_difference"} <= set(numbers["test"])
    assert numbers["algorithms"][0]["algorithm"] == "maml"
    assert (tmp_path / "reports" / "compare-suites" / f"{'+'.join(names)}-in-distribution" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["suite-0"], "needs at least 2 suites"),
        (["suite-0", "nothing", "nowhere"], "(?s)suite 'nothing'.*suite 'nowhere'"),
        (["suite-0", "suite-1", "--on", "home"], "--on 'home': allowed are cross-domain, in-distribution"),
        (["suite-0", "suite-0"], "named more than once: suite-0"),
    ],
)
def test_bad_input_is_one_message(stored, arguments, message):
    with pytest.raises(UserError, match=message):  # of which the command makes exit code 2
        CliRunner().invoke(app, ["compare-suites", *arguments], catch_exceptions=False)


def test_in_python_the_same(stored, tmp_path):
    report = metagap.compare_suites(["suite-0", "suite-1", "suite-2"])
    assert report.numbers.algorithms[0] == "maml" and "algorithms" in report.findings
    assert report.table("ranks").frame["algorithm"].tolist() == report.numbers.algorithms
    assert report.figure("critical-difference").axes and report.write(tmp_path).is_file()
    with pytest.raises(UserError, match="no figure 'ranks'"):
        report.figure("ranks")
    assert "mean rank" in report._repr_html_() and "suite-1" in repr(report)


def test_the_terminal_shows_the_notes(found):
    console = Console(width=100, record=True, file=io.StringIO())
    pages.print_across(found, console)
    text = " ".join(console.export_text().split())
    assert "Normalised scores leave out waves (MSE)" in text and "little power" in text


@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed")
def test_a_browser_shows_all_of_it_on_a_phone_and_a_screen(written):
    with browser.browser() as chromium:
        for width in (390, 1440):
            view = browser.open_page(chromium, written, width)
            assert view.evaluate(browser.OVERFLOW) <= 0 and view.evaluate(browser.CLIPPED) == []
            shown = view.evaluate(browser.FIGURES)
            assert len(shown) == 3
            for figure in shown:
                assert figure["left"] >= 0 and figure["right"] <= width and figure["out"] == [], figure
                assert figure["letters"] >= 9, figure
            if browser.AXE.exists():
                assert browser.violations(view) == []
            view.close()
