"""metagap in Python: what a notebook does."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pandas as pd
import pytest

import metagap
from metagap.errors import UserError
from metagap.results import read_signed, records, write_signed
from tiny_suites import write

EAGER = {"engine": "loop plain eager", "quiet": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def report(folder, module_in_process):
    square = {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}}
    splits = [{"name": "old", "role": "meta-train"}, {"name": "new", "role": "in-distribution"}, square]
    path = write(folder, evaluation={"episodes": 8}, splits=splits)
    return metagap.run(path, seeds=[0, 1], results=folder / "results", **EAGER)


def test_numbers_are_tidy_frames(report):
    assert len(report.cells) == 4
    assert set(report.episodes.algorithm) == {"maml", "scratch"} and set(report.episodes.seed) == {0, 1}
    by_hand = report.episodes.query("split == 'square' and condition == 'standard' and step == 1")
    found = report.scores.query("split == 'square' and condition == 'standard' and statistic == 'mean'")
    pd.testing.assert_series_equal(
        found.set_index("algorithm").score, by_hand.groupby("algorithm").query_score.mean(), check_names=False
    )
    gap = report.gaps.query("gap == 'domain gap' and split == 'square' and statistic == 'mean'").set_index("algorithm")
    new = report.scores.query("split == 'new' and condition == 'standard' and statistic == 'mean'")
    difference = new.set_index("algorithm").score - found.set_index("algorithm").score
    pd.testing.assert_series_equal(gap.value, difference, check_names=False)
    assert {"a", "b", "split", "verdict"} <= set(report.comparisons)
    assert set(report.compare("maml", "scratch").scores.split) == {"new", "square"}
    assert list(report.power("maml", "scratch", 0.5).pairs.seeds) == [2]
    assert not report.curves.empty


def test_figures_and_tables_are_those_of_the_page(report, tmp_path):
    assert "gaps" in report.figures and "leaders" in report.tables
    assert report.figure("scores").axes and not report.table("leaders").frame.empty
    with pytest.raises(UserError, match="no figure 'score'; did you mean 'scores'"):
        report.figure("score")
    with pytest.raises(UserError, match="table 'published': these results have nothing"):
        report.table("published")
    assert report.write(tmp_path / "page").read_text().count("<svg") > 1


def test_a_notebook_shows_findings_and_scores(report):
    shown = report._repr_html_()
    assert shown.count("<table") == 2 and "Tiny waves" in shown and "maml" in shown
    assert report.findings and report.findings.split()[0] in shown
    assert repr(report) == f"<Report of 'tiny': maml, scratch; 4 cells, {len(report.episodes)} rows of episodes>"


def test_what_was_run_is_read_and_not_run_again(report, folder, monkeypatch):
    again = metagap.read("tiny", folder / "results")
    pd.testing.assert_frame_equal(again.episodes, report.episodes)
    monkeypatch.setattr("metagap.executors.running.run_cells", lambda *_: pytest.fail("run again"))
    suite = metagap.load_suite(folder / "tiny.toml", seeds=[0, 1])
    pd.testing.assert_frame_equal(metagap.run(suite, results=folder / "results", **EAGER).scores, report.scores)


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"engine": "fast"}, ["--engine", "fast"]),
        ({"engine": "loop vmap"}, ["--engine", "loop vmap"]),
        ({"device": "tpu"}, ["--device", "tpu"]),
        ({"launch": "lokal"}, ["--launch", "lokal"]),
    ],
)
def test_what_is_asked_for_is_refused_as_on_the_command_line(tiny_suite, here, asked, option):
    path = str(tiny_suite())
    with pytest.raises(UserError) as error:
        metagap.run(path, quiet=True, **asked)
    assert here("run", path, *option) == (2, "", f"metagap: {error.value}\n")


def test_workers_and_seeds_that_there_are_not_are_refused(tiny_suite):
    with pytest.raises(UserError, match="--jobs 0; allowed: 1 or more"):
        metagap.run(tiny_suite(), jobs=0)
    for seed in (-1, 2**63, "0", True):
        with pytest.raises(UserError, match=f"seed {seed!r}; allowed: whole numbers from 0"):
            metagap.run(tiny_suite(), seeds=[seed])


def test_results_of_an_earlier_version_are_a_note(report, folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for marker in (tmp_path / "results").rglob("done-*.json"):
        write_signed(marker, {**read_signed(marker), "format": 2})
    capsys.readouterr()
    again = metagap.run(tmp_path / "tiny.toml", seeds=[0], results=tmp_path / "results", engine="loop plain eager")
    assert "4 cells of this suite are of an earlier version of metagap" in again.notes[0]
    assert "Note: 4 cells of this suite are of an earlier version" in " ".join(capsys.readouterr().out.split())


def test_suites_are_changed_key_by_key(tiny_suite):
    path = tiny_suite()
    suite = metagap.load_suite(path, {"training.lr": 0.5, "splits.square.source": {"name": "sinusoid"}}, seeds=[3])
    assert (suite.training.lr, suite.seeds) == (0.5, [3])
    assert [split.source["waveform"] for split in suite.splits] == ["sine", "sine"]
    assert list(metagap.load_suite(path, algorithms=["scratch"]).seeds) == [0]
    with pytest.raises(UserError, match=r"did you mean 'lr'"):
        metagap.load_suite(path, {"training.lrr": 0.5})
    with pytest.raises(TypeError, match="None is no value"):
        metagap.load_suite(path, {"training.clip": None})
    with pytest.raises(TypeError, match=r"for metagap\.load_suite"):
        metagap.run(suite, seeds=[1])


def test_what_there_is():
    assert "quickstart" in set(metagap.available("suites").name)
    assert set(metagap.available("algorithms").columns) == {"name", "about"}


def test_records_of_a_table_are_plain(report):
    assert records(report.scores)[0]["algorithm"] == "maml"


def test_importing_it_costs_nothing_and_reading_needs_no_torch():
    code = "import sys, metagap; assert not {'pandas', 'torch'} & set(sys.modules); metagap.read"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"run", "read"} <= set(dir(metagap)) and not hasattr(metagap, "walk")
