"""A paper of the tests' own: a suite that trains in a moment, with values that somebody is said to have published."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from metagap.machine import Machine
from metagap.reproduce.paper_table import at_budget, load_table
from metagap.reproduce.running import work
from metagap.runner.cell import run_cell

SUITE = """
title = "Tiny waves"
seeds = [0, 1]
[task]
kind = "regression"
shots = 5
queries = 4
[model]
name = "mlp"
hidden = [8]
[source]
name = "sinusoid"
[training]
iterations = 20
meta_batch = 3
validation_episodes = 5
[evaluation]
episodes = 30
steps = 1
curve_steps = 2
diagnostic_episodes = 5
[algorithms.maml]
inner_lr = 0.02
[algorithms.fomaml]
training = { iterations = 40 }
[[splits]]
name = "old"
role = "meta-train"
[[splits]]
name = "new"
role = "in-distribution"
[[published]]
algorithm = "maml"
split = "new"
step = 1
value = 4.0
source = "Doe (2017), Table 1"
mark = "V"
[[published]]
algorithm = "maml"
split = "new"
step = 2
value = 0.01
interval = 0.001
kind = "std over 3 seeds"
source = "Doe (2017), Table 1"
mark = "R"
[[published]]
algorithm = "fomaml"
split = "new"
value = 4.5
interval = 0.5
kind = "95% CI over 600 episodes"
source = "Doe (2017), Table 1, last row"
mark = "S"
[[published]]
algorithm = "fomaml"
split = "new"
value = 9.0
source = "Roe (2018), Table 2"
mark = "S"
"""

TABLE = """
title = "Doe's waves"
citation = "Doe (2017), Waves"
source = "Doe (2017), Table 1"
[rows]
maml = "MAML"
fomaml = "MAML, first order"
[[columns]]
suite = "waves.toml"
label = "5 points"
"""


class Paper:
    """A table file and its suite in a folder, with a store beside them."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, folder / "results"
        self.suite, self.table = folder / "waves.toml", folder / "doe.toml"
        self.suite.write_text(SUITE)
        self.table.write_text(TABLE)

    def change(self, path: Path, *replacements: tuple[str, str]) -> None:
        text = path.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def load(self, budget: str | None = None):
        return at_budget(load_table(str(self.table)), budget)

    def run(self, budget: str | None = None, seeds: list[int] | None = None) -> None:
        """Run what is lacking, in this process."""
        for one in work(self.load(budget), self.store, seeds):
            for cell in one.lacking:
                run_cell(cell, self.store, Machine("cpu", engine="loop eager"))


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    return Paper(tmp_path)


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of all cells of the paper."""
    paper = Paper(tmp_path_factory.mktemp("paper"))
    paper.run()
    return paper.store


@pytest.fixture
def done(paper: Paper, full_store: Path) -> Paper:
    """A paper of which everything has been run."""
    shutil.copytree(full_store, paper.store)
    return paper


@pytest.fixture
def here(paper: Paper, here: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch):
    """`metagap reproduce` in this process, in the paper's folder: exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(paper.folder)
    return partial(here, "reproduce")
