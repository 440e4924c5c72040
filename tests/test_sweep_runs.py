"""A sweep is run, resumed, read back and reported, by the command and in Python."""

from __future__ import annotations

import json

import pytest

import metagap
from metagap.errors import UserError

RUN = ("--engine", "loop plain eager")
NEW = [
    {"name": "old", "role": "meta-train"},
    {"name": "new", "role": "in-distribution"},
    {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}},
]


@pytest.fixture
def suite(tiny_suite, in_process, no_figures):
    """A tiny suite that is a sweep over this key; its page has no figures."""

    def write(key: str, *values: float, **more) -> str:
        sweep = {"key": key, "values": [*values], "scale": "log"}
        return str(tiny_suite("waves", sweep=sweep, splits=NEW, seeds=[0, 1], **more))

    return write


def markers(folder) -> list[str]:
    return sorted(f"{path.parts[-3]}/{path.parts[-2][0]}" for path in folder.glob("results/tiny/*/*/done-*.json"))


def test_a_sweep_is_run_resumed_and_reported(here, suite, tmp_path):
    path = suite("training.lr", 0.1, 0.001, algorithms={"scratch": None})
    code, text, errors = here("run", path, *RUN, "--seed", "0")
    assert code == 0, errors
    assert "2 values of training.lr" in text and "Trends are claimed from three seeds on" in " ".join(text.split())
    assert markers(tmp_path) == ["maml/0", "maml/0"]
    assert here("run", path, *RUN)[0] == 0 and len(markers(tmp_path)) == 4
    code, text, _ = here("run", path, *RUN, "--json")
    numbers = json.loads(text)
    assert code == 0 and numbers["sweep"][0]["values"] == [0.001, 0.1]
    assert {row["training.lr"] for row in numbers["points"]} == {0.001, 0.1}
    assert {(row["what"], row["split"]) for row in numbers["trends"] if row["family"]} == {
        ("score", "new"), ("score", "square"), ("task gap", "new"), ("domain gap", "square"),
    }  # fmt: skip
    page = tmp_path / "reports" / "tiny" / "index.html"
    before = page.read_text()
    code, text, _ = here("report", "tiny", "--json")
    assert code == 0 and json.loads(text) == numbers and page.read_text() == before
    for name in ("trends", "scores", "gaps"):
        assert {suffix for suffix in ("csv", "md", "tex") if (page.parent / f"tables/{name}.{suffix}").is_file()}
    assert (page.parent / "tables/data/points.csv").is_file()
    rows = json.loads(here("results", "list", "--json")[1])
    assert [row["report"] for row in rows] == [str(page.relative_to(tmp_path))] * 2
    assert any("training.lr" in row["differs"] for row in rows)
    one = json.loads(here("report", "tiny", "--variant", rows[0]["variant"], "--json")[1])
    assert {row["algorithm"] for row in one["scores"]} == {"maml"}
    assert (page.parent / "variants" / rows[0]["variant"] / "index.html").is_file() and page.read_text() == before
    code, _, errors = here("compare", "tiny", "maml", "scratch")
    assert code == 2 and "suite 'tiny' is a sweep" in errors and "has training.lr = 0.001" in errors


@pytest.mark.slow  # tests/test_sweep.py has what makes a variation, and the order of cells of one folder
def test_other_values_make_a_report_of_their_own(here, suite, tmp_path):
    path = suite("training.lr", 0.1, 0.001, algorithms={"scratch": None})
    assert here("run", path, *RUN, "--set", "sweep.values=[0.1, 0.2]", "--seed", "0")[0] == 0
    assert not (tmp_path / "reports" / "tiny" / "index.html").exists()
    pages = list((tmp_path / "reports" / "tiny" / "variants").glob("*/index.html"))
    assert len(pages) == 1 and "This is not the sweep as its file has it." in pages[0].read_text()
    code, _, errors = here("run", path, *RUN, "--set", "training.lr=0.1")
    assert code == 2 and "the sweep is over this key" in errors


def test_algorithms_that_the_key_is_not_of_are_run_once(here, suite, tmp_path):
    path = suite("algorithms.maml.inner_lr", 0.1, 0.2)
    code, text, errors = here("run", path, *RUN, "--json", "--seed", "0")
    assert code == 0, errors
    assert markers(tmp_path) == ["maml/0", "maml/0", "scratch/0"]
    numbers = json.loads(text)
    assert {row["algorithm"] for row in numbers["trends"]} == {"maml"}
    assert {row["algorithm"] for row in numbers["points"]} == {"maml", "scratch"}


@pytest.mark.slow
def test_cells_of_one_folder_are_scored_after_each_other(here, suite, tmp_path):
    path = suite("evaluation.episodes", 4, 5, algorithms={"scratch": None})
    code, _, errors = here("run", path, *RUN, "--seed", "0")
    assert code == 0, errors
    assert len(list((tmp_path / "results/tiny/maml").iterdir())) == 1 and len(markers(tmp_path)) == 2


def test_a_value_that_cannot_be_run_is_named(here, tiny_suite, in_process):
    sweep = {"key": "source.train_classes", "values": [4, 400]}
    code, _, errors = here("run", str(tiny_suite("images", sweep=sweep)), *RUN)
    assert (
        code == 2
        and "source.train_classes = 400: training: train_classes = 400: there are 12 training classes" in errors
    )


def test_in_python_the_same(suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = suite("training.lr", 0.1, 0.001, algorithms={"scratch": None})
    report = metagap.run(path, seeds=[0], engine="loop plain eager", quiet=True)
    assert isinstance(report, metagap.SweepReport)
    again = metagap.read("tiny")
    assert again.trends.equals(report.trends) and again.findings == report.findings
    assert again.members[0.1,].scores["algorithm"].unique().tolist() == ["maml"]
    assert "Score on new" in report.findings and "training.lr" in repr(report) and "slope" in report._repr_html_()
    with pytest.raises(UserError, match="no table 'trend'"):
        report.table("trend")
    with pytest.raises(UserError, match="this suite is a sweep"):
        metagap.load_suite(path)
