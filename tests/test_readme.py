"""The README keeps its word: its suite is valid, its algorithm learns, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from metagap.cli import app
from metagap.engine.mapping import TaskMap
from metagap.engine.plan import Plan
from metagap.models.mlp import MLP
from metagap.registry import load
from metagap.suite import expand, load_suite
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.source import Part
from torch.utils.data import TensorDataset

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def block(language: str, begins: str = "") -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if text.startswith(begins)]
    assert len(found) == 1
    return found[0]


def test_the_suite_is_complete(tmp_path):
    path = tmp_path / "my-suite.toml"
    path.write_text(block("toml"), encoding="utf-8")
    cells = expand(load_suite(str(path)))
    assert len(cells) == 9


def waves() -> tuple[MLP, TaskSpec, Episode]:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 1)
    episodes = Episode(x, x.sin(), x, x.sin(), torch.empty(2, 0, dtype=torch.long))
    return MLP((1,), 1, [8]), TaskSpec("regression", 1, 5, 5), episodes


def test_the_algorithm_is_complete(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(block("python", '"""mine.py'), encoding="utf-8")
    network, spec, episodes = waves()
    algorithm = load("algorithm", f"{path}:Mine")(clip=0.5, inner_lr=0.1).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    gradient, _ = TaskMap(algorithm.meta_gradient, Plan(), mean=True)(meta, episodes)
    assert all(value.isfinite().all() and value.any() for value in gradient.values())
    moved = algorithm.adapt(meta, Episode(*(field[0] for field in episodes)).support, 1)
    length = sum((moved[name] - meta[name]).square().sum() for name in meta).sqrt()
    torch.testing.assert_close(length, torch.tensor(0.05))


def test_what_comes_from_learn2learn_is_complete(tmp_path, monkeypatch):
    l2l = pytest.importorskip("learn2learn")
    path = tmp_path / "theirs.py"
    path.write_text(block("python", '"""theirs.py'), encoding="utf-8")
    network, spec, episodes = waves()
    algorithm = load("algorithm", f"{path}:meta_curvature")(lr=0.05).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator().manual_seed(0))
    gradient, _ = TaskMap(algorithm.meta_gradient, Plan("loop"), mean=True)(meta, episodes)
    assert len(gradient) > len(dict(network.named_parameters()))
    assert all(value.isfinite().all() for value in gradient.values())

    asked = []
    rows = torch.arange(80)
    data = l2l.data.MetaDataset(TensorDataset(rows.view(-1, 1, 1, 1).float(), rows // 8))

    def get_tasksets(name, train_ways, train_samples, **further):
        asked.append((name, train_ways, train_samples))
        transforms = [l2l.data.transforms.NWays(data, train_ways), l2l.data.transforms.KShots(data, train_samples)]
        made = l2l.data.Taskset(data, [*transforms, l2l.data.transforms.LoadData(data)])
        return made, made, made

    monkeypatch.setattr(l2l.vision.benchmarks, "get_tasksets", get_tasksets)
    tasks = load("source", f"{path}:mini_imagenet")().tasks(Part("val"), "cpu")
    drawn = tasks.draw(2, TaskSpec("classification", 3, 1, 4), torch.Generator().manual_seed(0))
    assert len(drawn) == 2 and asked[-1] == ("mini-imagenet", 3, 5)


def test_commands_and_files_exist():
    known = {command.callback.__name__.rstrip("_") for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"(?:`|uv run )metagap (\w+)", TEXT)) <= known
    for link in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (README.parent / link).exists(), link


def test_the_ci_runs_what_the_readme_says():
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "uv run pytest" in TEXT
    assert "uv run pytest" in ci
