"""The README keeps its word: its suite is valid, its algorithm learns, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from benchmark.cli import app
from benchmark.engine.mapping import TaskMap
from benchmark.engine.plan import Plan
from benchmark.models.mlp import MLP
from benchmark.registry import load
from benchmark.suite import expand, load_suite
from benchmark.tasks.episode import Episode, TaskSpec

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert len(found) == 1
    return found[0]


def test_the_suite_is_complete(tmp_path):
    path = tmp_path / "my-suite.toml"
    path.write_text(block("toml"), encoding="utf-8")
    cells = expand(load_suite(str(path)))
    assert len(cells) == 9


def test_the_algorithm_is_complete(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(block("python"), encoding="utf-8")
    torch.manual_seed(0)
    spec, network = TaskSpec("regression", 1, 5, 5), MLP((1,), 1, [8])
    algorithm = load("algorithm", f"{path}:Mine")(clip=0.5, inner_lr=0.1).bind(network, spec)
    x = torch.randn(2, 5, 1)
    episodes = Episode(x, x.sin(), x, x.sin(), torch.empty(2, 0, dtype=torch.long))
    meta = algorithm.init(network, 0, torch.Generator())
    gradient, _ = TaskMap(algorithm.meta_gradient, Plan(), mean=True)(meta, episodes)
    assert all(value.isfinite().all() and value.any() for value in gradient.values())
    moved = algorithm.adapt(meta, Episode(*(field[0] for field in episodes)).support, 1)
    length = sum((moved[name] - meta[name]).square().sum() for name in meta).sqrt()
    torch.testing.assert_close(length, torch.tensor(0.05))


def test_commands_and_files_exist():
    known = {command.callback.__name__.rstrip("_") for command in app.registered_commands} | {"data"}
    assert set(re.findall(r"(?:`|uv run )metagap (\w+)", TEXT)) <= known
    for link in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (README.parent / link).exists(), link


def test_the_ci_runs_what_the_readme_says():
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "uv run pytest" in TEXT
    assert "uv run pytest" in ci
