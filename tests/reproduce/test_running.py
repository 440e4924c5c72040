"""The command: it runs what is missing, says beforehand what that takes, and refuses what cannot be run."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from metagap import registry
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.reproduce.forecast import forecast
from metagap.reproduce.running import run, work

MACHINE = Machine("cpu", engine="loop eager", workers=1)
FILES = ("reproduction.md", "reproduction.csv", "reproduction.tex", "cells.csv")


def test_what_the_store_lacks(paper):
    (one,) = work(paper.load(), paper.store, None)
    assert [str(cell) for cell in one.lacking] == [str(cell) for cell in one.cells]
    assert [str(cell) for cell in one.cells] == ["maml seed 0", "fomaml seed 0", "maml seed 1", "fomaml seed 1"]
    paper.run(seeds=[1])
    (one,) = work(paper.load(), paper.store, None)
    assert [str(cell) for cell in one.lacking] == ["maml seed 0", "fomaml seed 0"]
    (half,) = work(paper.load("50%"), paper.store, None)
    assert len(half.lacking) == 4
    assert {cell.hash for cell in half.cells}.isdisjoint(cell.hash for cell in one.cells)
    assert [cell.training.iterations for cell in half.cells] == [10, 20, 10, 20]


def test_the_whole_way_in_one_command(here, paper):
    code, text, errors = here("doe.toml", "--device", "cpu", "--jobs", "1")
    assert code == 0, errors
    for part in (
        "Doe's waves",
        "maml seed 0 in",
        "4 cells, of which 0 are done",
        "MAML, first order",
    ):
        assert part in text
    assert "not judged: only recalled" in " ".join(text.split())
    assert "0.010 ± 0.001 [R]" in text and "[R] recalled, to be checked" in text
    reports = paper.folder / "reports" / "doe"
    first = {name: (reports / name).read_bytes() for name in FILES}
    page = first["reproduction.md"].decode()
    for part in ("# Doe's waves", "Doe (2017), Waves", "10% of the published value", "## Deviations", "seed-hash"):
        assert part in page

    code, text, _ = here("doe.toml", "--json")
    assert code == 0
    found = json.loads(text)
    assert {row["verdict"] for row in found["cells"]} <= {"agrees", "differs", "undecided", "cannot tell", "not judged"}
    assert len(found["cells"]) == 3 and found["deviations"] == ["None is named by waves."]
    assert {name: (reports / name).read_bytes() for name in FILES} == first

    shutil.rmtree(reports)
    assert here("doe.toml", "--from", "results")[0] == 0
    assert {name: (reports / name).read_bytes() for name in FILES} == first


def test_a_cell_that_diverged_has_its_row_and_is_a_failure(here, paper):
    paper.change(paper.suite, ("[algorithms.maml]\ninner_lr = 0.02", "[algorithms.maml]\ninner_lr = 1e30"))
    paper.run(seeds=[0])
    code, text, errors = here("doe.toml", "-s", "0", "--device", "cpu")
    assert code == 1 and "2 cells, of which 2 are done" in text
    assert "1 cell failed" in errors and "maml seed 0" in errors and "no longer numbers" in errors
    assert (paper.folder / "reports" / "doe" / "reproduction.md").exists()
    assert here("doe.toml", "-s", "0", "--from", "results")[0] == 0  # it only reads


def test_a_smaller_budget_is_said_everywhere_and_kept_apart(here, done):
    paper = done
    here("doe.toml", "--from", "results")
    reports = paper.folder / "reports" / "doe"
    first = {name: (reports / name).read_bytes() for name in FILES}

    paper.run("25%", seeds=[0])
    code, text, errors = here("doe.toml", "--budget", "25%", "-s", "0", "--cells", "maml")
    assert code == 0, errors
    assert "1 cells, of which 1 are done" in text
    said = " ".join(text.split())
    assert "Doe's waves (meta-trained for 25% of the published iterations)" in said
    assert "MAML, 1 step" in said and "first order" not in said
    assert "– Meta-trained for 25% of the published iterations." in said
    assert "1 published values of this table were left out by --cells" in said
    assert "meta-trained for 25%" in (paper.folder / "reports" / "doe-at-25-percent" / "reproduction.md").read_text()
    assert {name: (reports / name).read_bytes() for name in FILES} == first
    here("doe.toml", "--from", "results")
    assert {name: (reports / name).read_bytes() for name in FILES} == first


def test_a_dry_run_says_what_there_is_and_leaves_nothing(here, paper):
    before = sorted(paper.folder.rglob("*"))
    code, text, errors = here("doe.toml", "--dry-run", "--device", "cpu", "--jobs", "2", "--engine", "loop eager")
    assert code == 0, errors
    assert re.search(r"4 cells, 0 done\. To run: about \d+ s of computing on 2 workers \(cpu\)\.", text)
    assert "Results: 0 bytes here, about" in text
    assert sorted(paper.folder.rglob("*")) == before
    found = json.loads(here("doe.toml", "--dry-run", "--json", "--device", "cpu", "--engine", "loop eager")[1])
    assert [(row["algorithm"], row["done"], row["to run"], row["iterations"]) for row in found["cells"]] == [
        ("maml", 0, 2, 20),
        ("fomaml", 0, 2, 40),
    ]


def predicted(paper, machine=MACHINE):
    return forecast(work(paper.load(), paper.store, None), paper.store, machine, Console(quiet=True))


def test_a_forecast_adds_up(paper, full_store):
    found = predicted(paper)
    rows = found["cells"]
    assert all(row["seconds a cell"] > 0 and row["bytes a cell"] > 0 for row in rows)
    total = sum(row["to run"] * row["seconds a cell"] for row in rows)
    assert found["seconds"] == pytest.approx(total)
    assert found["bytes to come"] == sum(row["to run"] * row["bytes a cell"] for row in rows)
    assert predicted(paper, replace(MACHINE, workers=50))["seconds"] >= max(row["seconds a cell"] for row in rows) / 10
    shutil.copytree(full_store, paper.store)
    after = predicted(paper)
    assert [(row["done"], row["to run"], row["seconds a cell"]) for row in after["cells"]] == [(2, 0, None)] * 2
    assert (after["seconds"], after["bytes to come"], after["not timed"]) == (0, 0, 0)
    assert after["bytes here"] == sum(p.stat().st_size for p in paper.store.rglob("*") if p.is_file())
    assert found["bytes here"] == 0


IMAGES = """
title = "Images that are not here"
[task]
ways = 2
shots = 1
queries = 1
[model]
name = "conv4"
filters = 2
[source]
name = "SOURCE"
[training]
iterations = 2
[evaluation]
episodes = 4
steps = 1
[algorithms.maml]
[algorithms.scratch]
[[splits]]
name = "old"
role = "meta-train"
classes = "train"
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
[[splits]]
name = "letters"
role = "cross-domain"
source = "emnist"
optional = true
[[splits]]
name = "clothes"
role = "cross-domain"
source = "fashion-mnist"
optional = true
[[published]]
algorithm = "maml"
split = "letters"
value = 0.7
source = "Doe (2017), Table 1"
mark = "V"
[[published]]
algorithm = "scratch"
split = "new"
value = 0.5
source = "Doe (2017), Table 1"
mark = "V"
"""


@pytest.fixture
def images(paper):
    def images(source: str):
        (paper.folder / "images.toml").write_text(IMAGES.replace("SOURCE", source))
        paper.change(paper.table, ('"waves.toml"', '"images.toml"'), ("fomaml =", "scratch ="))
        return paper

    return images


def test_missing_data_are_refused_before_anything_is_run(images):
    paper = images("omniglot")
    todo = work(paper.load(), paper.store, None)
    with pytest.raises(UserError) as error:
        run(todo, paper.store, MACHINE, Console(quiet=True))
    lines = str(error.value).splitlines()
    assert lines[0].startswith("5 points: Omniglot: no file '")
    assert lines[1].startswith("5 points: EMNIST: no file '")  # optional in its suite, but what the table is about
    assert lines[2].startswith("`metagap data get NAME` fetches data, --cells leaves columns out")
    assert len(lines) == 3 and not paper.store.exists()


def test_what_cannot_be_drawn_is_refused_before_anything_is_run(images, tmp_path):
    paper = images("glyphs")
    paper.change(tmp_path / "images.toml", ('split = "letters"', 'split = "new"'), ("ways = 2", "ways = 900"))
    with pytest.raises(UserError, match=r"5 points: training of maml: 900 ways.* need 900 classes"):
        run(work(paper.load(), paper.store, None), paper.store, MACHINE, Console(quiet=True))
    assert not paper.store.exists()


def test_a_dry_run_lists_missing_data_with_their_size(here, images):
    images("omniglot")
    found = json.loads(here("doe.toml", "--dry-run", "--json", "--device", "cpu")[1])
    needed = {"omniglot": True, "emnist": True, "fashion-mnist": False}
    assert [(row["source"], row["download"], row["needed"]) for row in found["missing data"]] == [
        (name, registry.load("source", name).download_size, need) for name, need in needed.items()
    ]
    assert found["not timed"] == 2 and all(row["seconds a cell"] is None for row in found["cells"])
    text = here("doe.toml", "--dry-run", "--device", "cpu")[1]
    assert "Missing data: omniglot: 15 MB, `metagap data get omniglot`" in text
    assert "Optional data that are missing: fashion-mnist" in text
    assert "2 cells, 0 done. To run: 2 that cannot be timed without their data." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["maml-tabel1"], "no table 'maml-tabel1'; did you mean 'maml-table1'?"),
        (["doe.toml", "--cells", "mamml"], "--cells 'mamml'; did you mean 'maml'?"),
        (["doe.toml", "--budget", "5 percent"], "--budget '5 percent': a share of the iterations, such as 5%"),
        (["doe.toml", "--from", "nowhere"], "--from 'nowhere' is not a folder"),
        (["doe.toml", "--from", ".", "--dry-run"], "--from only reads: leave out --dry-run and --results"),
        (["doe.toml", "--from", ".", "--results", "other"], "--from only reads: leave out --dry-run and --results"),
        (["doe.toml", "--device", "tpu"], "--device 'tpu'; did you mean 'cpu'?"),
        (["doe.toml", "--data", "nowhere"], "--data 'nowhere' is not a folder"),
        (["doe.toml", "--engine", "fast"], "fast"),
    ],
)
def test_errors_are_one_message_and_code_2(here, paper, arguments, message):
    before = sorted(paper.folder.rglob("*"))
    code, _, errors = here(*arguments)
    assert code == 2 and errors.startswith("metagap: ") and message in errors
    assert sorted(paper.folder.rglob("*")) == before


def test_the_device_is_no_part_of_a_cell(paper):
    assert torch.device("cpu").type not in str(work(paper.load(), paper.store, None)[0].cells[0].identity)
