"""The page, the tables and the command of what goes with the gap."""

import dataclasses
import importlib.util
import json
import re

import browser
import numpy as np
import pandas as pd
import pytest
from synthetic import make_results
from typer.testing import CliRunner

import metagap
from metagap.analysis import across_suites as reading
from metagap.analysis import associations as command
from metagap.analysis.associations import TOO_FEW, associations
from metagap.cli import app
from metagap.errors import UserError
from metagap.report import associations as pages

ALGORITHMS = ("maml", "reptile", "anil", "scratch")
CAUSAL = re.compile(
    r"\b(caus\w*|effects?|affect\w*|influenc\w*|drives?|driven|leads? to|due to|because|impacts?|explain\w*|"
    r"determin\w*|responsible|reduces?|increases?|improves?)\b",
    re.IGNORECASE,
)
"""Words that say why."""


def suite(place, quantities=("gradient-alignment", "proxy-a-distance <raw>")):
    """Results of one suite with quantities on every split."""
    made = make_results(algorithms=ALGORITHMS, seeds=(0, 1), episodes=6, curve_steps=3, published=False, small=True)
    rng = np.random.default_rng(place)
    scores = (made.episodes["query_score"] - 0.05 * place + rng.normal(0, 0.05, len(made.episodes))).clip(0, 1)
    table = made.episodes[["algorithm", "seed", "split"]].drop_duplicates()
    rows = [
        table.assign(quantity=name, iteration=9, episode=-1, value=rng.normal(size=len(table))) for name in quantities
    ]
    return dataclasses.replace(
        made, episodes=made.episodes.assign(query_score=scores), quantities=pd.concat(rows, ignore_index=True)
    )


@pytest.fixture(scope="module")
def results():
    return {f"suite-{place}": suite(place) for place in range(3)}


@pytest.fixture(scope="module")
def found(results):
    return associations(results)


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

    monkeypatch.setattr(reading, "read", read)


def test_the_page_has_every_table_and_figure_as_files(written):
    assert written.parent.name == "suite-0+suite-1+suite-2" and written.parent.parent.name == "associations"
    files = {str(path.relative_to(written.parent)) for path in written.parent.rglob("*") if path.is_file()}
    for name in pages.TABLES:
        assert {f"tables/{name}.{suffix}" for suffix in ("csv", "md", "tex")} <= files
    for name in pages.FIGURES:
        assert {f"figures/{name}.{suffix}" for suffix in ("svg", "png")} <= files
    assert {f"tables/data/{name}.csv" for name in ("rows", "correlations", "predictions", "variance")} <= files
    page = written.read_text(encoding="utf-8")
    assert "What goes with the gap" in page and "<raw>" not in page and "&lt;raw&gt;" in page


def test_nothing_says_why(written):
    words = re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", written.read_text("utf-8"), flags=re.DOTALL)
    assert CAUSAL.findall(words) == []
    for path in written.parent.rglob("*.md"):
        assert CAUSAL.findall(path.read_text(encoding="utf-8")) == []


def test_weak_evidence_and_too_few_suites_are_said_in_words(found):
    told = " ".join(pages.said(found))
    assert "No quantity can be told to go with a gap" in told
    assert "the evidence is weak" in told
    table = found.correlations.assign(verdict="goes up with the gap")
    claimed = " ".join(pages.said(dataclasses.replace(found, correlations=table)))
    assert "12 can be told" in claimed and "gradient-alignment goes up with the task gap, overall (" in claimed
    few = dataclasses.replace(found, correlations=found.correlations.assign(why=TOO_FEW))
    assert "for 12 of the hypotheses there are too few suites and algorithms" in " ".join(pages.said(few))


def test_the_command_prints_tables_or_json_and_writes_the_page(stored, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pages, "FIGURES", {})
    monkeypatch.setattr(pages, "_drawn", lambda *_: None)
    names = [f"suite-{place}" for place in range(3)]
    shown = CliRunner().invoke(app, ["associations", *names])
    assert shown.exit_code == 0, shown.output
    for part in (
        "Rank correlations with the gaps over 3 suites",
        "Cannot tell",
        "variance of the gaps lies",
        "index.html",
    ):
        assert part in shown.output
    monkeypatch.setattr(command, "read_associations", lambda *_: found)
    numbers = json.loads(CliRunner().invoke(app, ["associations", *names, "--json", "--out", "here"]).stdout)
    assert numbers["family"] == 12 and {"correlations", "predictions", "variance", "rows"} <= set(numbers)
    assert (tmp_path / "here" / "associations" / "+".join(names) / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["suite-0"], "needs at least 2 suites"),
        (["suite-0", "nothing", "nowhere"], "(?s)suite 'nothing'.*suite 'nowhere'"),
        (["suite-0", "suite-0"], "named more than once: suite-0"),
    ],
)
def test_bad_input_is_one_message(stored, arguments, message):
    with pytest.raises(UserError, match=message):  # of which the command makes exit code 2
        CliRunner().invoke(app, ["associations", *arguments], catch_exceptions=False)


def test_in_python_the_same(found, monkeypatch):
    monkeypatch.setattr("metagap.api.read_associations", lambda *_: found)
    report = metagap.associations(["suite-0", "suite-1", "suite-2"])
    assert "Cannot tell" in report.findings and report.figures == ["correlations", "strongest"]
    assert len(report.table("hypotheses").frame) == 12
    with pytest.raises(UserError, match="no figure 'ranks'"):
        report.figure("ranks")
    assert "gradient-alignment" in report._repr_html_() and repr(report).startswith("<AssociationsReport of suite-0")


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed")
def test_a_browser_shows_all_of_it_on_a_phone_and_a_screen(written):
    with browser.browser() as chromium:
        for width in (390, 1440):
            view = browser.open_page(chromium, written, width)
            assert view.evaluate(browser.OVERFLOW) <= 0 and view.evaluate(browser.CLIPPED) == []
            shown = view.evaluate(browser.FIGURES)
            assert len(shown) == 2
            for figure in shown:
                assert figure["left"] >= 0 and figure["right"] <= width and figure["out"] == [], figure
                assert figure["letters"] >= 9, figure
            if browser.AXE.exists():
                assert browser.violations(view) == []
            view.close()
