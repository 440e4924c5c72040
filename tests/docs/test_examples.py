"""The files in benchmark/examples do what the guides say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from metagap import results
from metagap.checking.sources.examine import EXAMINATIONS
from metagap.checking.sources.examine import examine as examine_source
from metagap.checking.sources.subject import Subject
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.executors import Done
from metagap.machine import Machine
from metagap.models.making import make_model
from metagap.models.mlp import MLP
from metagap.registry import load, only_class
from metagap.suite import expand, load_suite
from metagap.tasks.contract import examine
from metagap.tasks.episode import Episode, TaskSpec, formed
from metagap.tasks.source import Part

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "benchmark" / "examples"
LEARN2LEARN = ROOT / "benchmark" / "docs" / "learn2learn.md"


def waves() -> tuple[MLP, TaskSpec, Episode]:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 1)
    episodes = Episode(x, x.sin(), x, x.sin(), torch.empty(2, 0, dtype=torch.long))
    return MLP((1,), 1, [8]), TaskSpec("regression", 1, 5, 5), episodes


def test_the_algorithm_takes_steps_of_its_length():
    network, spec, episodes = waves()
    algorithm = load("algorithm", f"{EXAMPLES / 'algorithm.py'}:Mine")(clip=0.5, inner_lr=0.1).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    gradient, _ = TaskMap(algorithm.meta_gradient, Strategy(), mean=True)(meta, episodes)
    assert all(value.isfinite().all() and value.any() for value in gradient.values())
    moved = algorithm.adapt(meta, Episode(*(field[0] for field in episodes)).support, 1)
    length = sum((moved[name] - meta[name]).square().sum() for name in meta).sqrt()
    torch.testing.assert_close(length, torch.tensor(0.05))


@pytest.mark.parametrize("size", [20, 21])
def test_the_model_is_taken_as_it_is(size):
    made = make_model({"name": f"{EXAMPLES / 'model.py'}:Net", "filters": 4}, (1, size, size), 5)
    assert made.notes == []
    assert made.network(torch.rand(3, 1, size, size)).shape == (3, 5)
    assert made.network.head.in_features == 100 if size == 20 else 144


def test_the_world_is_run_and_its_best_actions_are_better():
    tasks = load("source", f"{EXAMPLES / 'world.py'}:Cart")(horizon=40).tasks(Part("test"), "cpu")
    spec = formed(tasks, TaskSpec("control", 1, 3, 2), 2)
    draw = tasks.draw(6, spec, torch.Generator().manual_seed(0))
    episode, sample = tasks.episode(draw, spec), tasks.sample(draw, spec)
    assert episode.support_x.shape[1] == 6 and episode.query_y[..., 0].max() < 0
    assert episode.query_y[..., 1].isnan().all()  # what is best is not known, only what to do
    assert (sample["return"][:, 1] > sample["return"][:, 0]).all() and sample["return"][:, 1].min() > -6
    assert sample["shown-reward"].shape == (4, 2, 40)


def test_the_data_set_has_other_classes_in_the_test():
    source = load("source", f"{EXAMPLES / 'data_set.py'}:Stripes")(instances=3, image_size=12)
    train, test = (source.tasks(Part(part), "cpu") for part in ("train", "test"))
    assert train.class_count == test.class_count == 20
    assert not set(train.names) & set(test.names)
    spec = TaskSpec("classification", 5, 1, 2)
    episode = test.episode(test.draw(2, spec, torch.Generator().manual_seed(0)), spec)
    assert episode.support_x.shape == (2, 5, 1, 12, 12)
    assert episode.query_x.std() > 0.1


@pytest.mark.parametrize("name", ["data_set.py", "tasks.py"])
def test_the_sources_pass_their_examination(name, monkeypatch):
    monkeypatch.delitem(EXAMINATIONS, "another process")  # test_sources.py has it
    found = list(examine_source(Subject.of({"name": only_class("source", f"{EXAMPLES / name}")}, {})))
    assert len(found) == len(EXAMINATIONS)
    assert [one for one in found if one.outcome == "failed"] == []


def test_what_comes_from_learn2learn_is_complete(tmp_path, monkeypatch):
    l2l = pytest.importorskip("learn2learn")
    path = tmp_path / "theirs.py"
    path.write_text(LEARN2LEARN.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], encoding="utf-8")
    network, spec, episodes = waves()
    algorithm = load("algorithm", f"{path}:meta_curvature")(lr=0.05).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator().manual_seed(0))
    gradient, _ = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(meta, episodes)
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


def test_the_executor_tells_how_each_cell_ends(tiny_suite, tmp_path):
    here, cells = load("executor", f"{EXAMPLES / 'executor.py'}:HERE"), expand(load_suite(str(tiny_suite())))
    events = list(here.events(cells, tmp_path, Machine("cpu", engine="loop plain eager"), False))
    assert [number for number, _ in events] == [0, 1] and all(isinstance(event, Done) for _, event in events)
    assert results.read(tmp_path, "tiny").episodes["query_score"].notna().all()


def test_the_notebook_reads_what_it_ran(tiny_suite, in_process, no_figures, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    from notebook import study

    new = {"name": "new", "role": "in-distribution"}
    square = {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}}
    report = study(tiny_suite(splits=[new, square]), engine="loop plain eager", quiet=True)
    assert len(report.cells) == 4 and set(report.curves.iteration) == set(range(1, 51))
    assert {path.name for path in tmp_path.iterdir()} >= {"scores.png", "page", "results"}
    assert "On new tasks of the training domain" in capsys.readouterr().out


def test_the_shift_puts_blots_where_the_image_has_them():
    blots, images = load("shift", f"{EXAMPLES / 'shift.py'}:BLOTS"), torch.zeros(2, 1, 50, 50, dtype=torch.uint8)
    made = [blots(images, torch.tensor([4, 7]), severity) for severity in (1, 5)]
    assert (made[0] <= made[1]).all() and made[1].unique().tolist() == [0, 255]
    assert not torch.equal(made[1][0], made[1][1])
    assert torch.equal(blots(images[:1], torch.tensor([7]), 5)[0], made[1][1])


def test_recordings_are_read_and_what_is_wrong_is_named(tmp_path):
    lines = [
        {"signal": [[i, 2.0], [0.5, i]], "label": "ab"[i % 2], "patient": i // 8, "clinic": i % 3} for i in range(80)
    ]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = load("source", f"{EXAMPLES / 'records.py'}:Recordings")
    tasks = source(file=str(tmp_path / "r.jsonl"), labels="fixed").tasks(Part("train"), "cpu")
    examine(tasks, TaskSpec("classification", 2, 1, 2))
    assert tasks.classes == ("a", "b") and len(tasks.tasks) == 6 and tasks.x_shape == (2, 2)
    with pytest.raises(UserError, match=r"'gone.jsonl': FileNotFoundError"):
        source(file="gone.jsonl").tasks(Part("all"), "cpu")
