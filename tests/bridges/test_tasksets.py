"""learn2learn's tasksets as a source: the right tasks, the same ones again, and what is wrong with one is said."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from metagap import registry
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.report.figures.samples import sample_images
from metagap.runner.cell import is_done, run_cell
from metagap.runner.preflight import check
from metagap.suite import expand, load_suite
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part

# Every pixel of an image is its row in the data set, whose class is row // 8: 12 for training, 4 for each other part.
FILE = '''"""Tasksets of a data set in memory."""

import random

import torch
from learn2learn.algorithms import MAML
from learn2learn.data import FilteredMetaDataset, MetaDataset, Taskset
from learn2learn.data import transforms as t
from torch.utils.data import TensorDataset

ROWS = torch.arange(160)
DATA = MetaDataset(TensorDataset(ROWS.view(-1, 1, 1, 1).expand(-1, 1, 8, 8).float() / 160, ROWS // 8))
CALLS = []


def over(data, ways, examples, number=-1, *further):
    return Taskset(data, [t.NWays(data, ways), t.KShots(data, examples), t.LoadData(data), *further], num_tasks=number)


def tasksets(ways: int, examples: int, number: int = -1, remap: bool = True):
    """Three parts, of classes in random order."""
    CALLS.append((ways, examples))
    classes = list(range(20))
    random.shuffle(classes)
    parts = []
    for labels in (classes[:12], classes[12:16], classes[16:]):
        data = FilteredMetaDataset(DATA, labels)
        parts.append(over(data, ways, examples, number, *[t.RemapLabels(data)] * remap))
    return tuple(parts)


def alone(ways, examples):
    return over(DATA, ways, examples)


def noisy(ways, examples):
    def noise(description):
        for item in description:
            item.transforms.append(lambda pair: (pair[0] + torch.rand(()) + random.random(), pair[1]))
        return description

    return {"test": over(DATA, ways, examples, 3, noise)}


def of_another_form(ways, examples):
    return over(DATA, 3, 2)


def uneven(ways, examples):
    return over(DATA, ways, examples, -1, lambda items: items[1:] + items[-1:])


def over_all_classes(ways, examples):
    """As the Omniglot benchmark of learn2learn 0.2.0 is made: the transforms do not know of the filter."""
    filtered = FilteredMetaDataset(DATA, [0, 1, 2, 3])
    return Taskset(filtered, over(DATA, ways, examples).task_transforms)


def unseeded(ways, examples):
    source = random.Random()
    return over(DATA, ways, examples, -1, lambda items: source.sample(items, len(items)))


def no_taskset(ways, examples):
    return [1, 2, 3]


def another_part(ways, examples):
    return {"exam": alone(ways, examples)}


def failing(ways, examples):
    raise FileNotFoundError("no images here")


def learner(network, lr=0.1):
    """A learner beside it."""
    return MAML(network, lr)
'''
SPEC = TaskSpec("classification", 3, 2, 4)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    pytest.importorskip("learn2learn")
    path = tmp_path_factory.mktemp("brought") / "brought.py"
    path.write_text(FILE)
    return path


def tasks_of(file: Path, name: str, part: str = "all", **options):
    return registry.load("source", f"{file}:{name}")(**options).tasks(Part(part), "cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_of(x: torch.Tensor) -> torch.Tensor:
    """The rows of the data set that images (..., 1, 8, 8) were."""
    return (x[..., 0, 0, 0] * 160).round().long()


@pytest.mark.parametrize("remap", [True, False])
def test_support_and_queries_are_of_the_right_classes(file, remap):
    tasks = tasks_of(file, "tasksets", "test", remap=remap)
    assert tasks.x_shape == (1, 8, 8)
    assert tasks.class_count == 4
    draw = tasks.draw(20, SPEC, generator())
    episodes = tasks.episode(draw, SPEC)
    assert episodes.support_x.shape == (20, 6, 1, 8, 8)
    assert episodes.query_x.shape == (20, 12, 1, 8, 8)
    assert torch.equal(episodes.support_y, torch.arange(3).repeat(20, 2))
    assert torch.equal(episodes.query_y, torch.arange(3).repeat(20, 4))
    rows = torch.cat([rows_of(episodes.support_x), rows_of(episodes.query_x)], 1)
    assert all(len(set(task.tolist())) == 18 for task in rows)
    truth = (rows // 8).view(20, 6, 3)
    assert (truth == truth[:, :1]).all()  # an index stands for one class
    labels = tasks._taskset(SPEC).dataset.labels
    assert torch.equal(torch.tensor(labels)[episodes.classes], truth[:, 0])
    assert len(set(map(tuple, truth[:, 0].tolist()))) > 5
    assert set(truth.flatten().tolist()) == set(labels)


def test_parts_share_no_class_whatever_the_form_of_tasks(file):
    classes = {part: set() for part in ("train", "val", "test")}
    for part, found in classes.items():
        for spec in (SPEC, SPEC._replace(ways=2, queries=1)):
            tasks = tasks_of(file, "tasksets", part)
            episodes = tasks.episode(tasks.draw(30, spec, generator()), spec)
            found |= set((rows_of(episodes.query_x) // 8).flatten().tolist())
    assert [len(found) for found in classes.values()] == [12, 4, 4]
    assert set.union(*classes.values()) == set(range(20))


@pytest.mark.parametrize("number", [-1, 5])
def test_a_draw_gives_the_same_tasks_again_and_leaves_other_random_numbers_alone(file, number):
    tasks = tasks_of(file, "tasksets", "train", number=number)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = (random.random(), np.random.rand(), torch.rand(()))  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    draw = tasks.draw(8, SPEC, generator(1))
    first = tasks.episode(draw, SPEC)
    assert (random.random(), np.random.rand(), torch.rand(())) == expected  # noqa: NPY002
    tasks._taskset(SPEC).sampled_descriptions.clear()  # as in another process
    again = tasks.episode(draw[2:], SPEC)
    assert all(torch.equal(a[2:], b) for a, b in zip(first, again, strict=True))
    assert torch.equal(tasks.draw(8, SPEC, generator(1)).rows, draw.rows)
    other = tasks.draw(8, SPEC, generator(2))
    assert not torch.equal(other.seeds, draw.seeds)
    different = len(set(map(tuple, torch.cat([draw.rows, other.rows]).tolist())))
    assert different == 16 if number < 0 else different <= 5


def test_augmentations_are_seeded_by_the_task(file):
    tasks = tasks_of(file, "noisy", "test")
    draw = tasks.draw(12, SPEC, generator())
    one, two = tasks.episode(draw, SPEC), tasks.episode(draw, SPEC)
    assert torch.equal(one.support_x, two.support_x)
    assert len({float(x) for x in one.support_x[:, 0, 0, 0, 0]}) == 12  # of three tasks, in twelve forms


def test_one_alone_is_all_there_is(file):
    tasks = tasks_of(file, "alone")
    assert tasks.class_count == 20
    assert tasks.draw_open(3, SPEC, generator()) is None
    with pytest.raises(UserError, match="no classes 'train' in alone; allowed: all"):
        tasks_of(file, "alone", "train")
    with pytest.raises(UserError, match="images = 'held-out': alone has no images; leave the key out"):
        registry.load("source", f"{file}:alone")().tasks(Part("all", "held-out"), "cpu")


def test_a_sample_to_look_at(file):
    tasks = tasks_of(file, "alone")
    draw = tasks.draw(2, SPEC, generator())
    sample, rows = tasks.sample(draw, SPEC), rows_of(tasks.episode(draw, SPEC).support_x[0])
    assert sample["support_x"].shape == (6, 1, 8, 8)
    assert sample["support_x"].dtype == np.uint8
    assert sample["support_x"][rows.argmax()].min() == 255
    assert sample["support_x"][rows.argmin()].max() == 0
    assert [int(name) for name in sample["class_names"]] == (rows[:3] // 8).tolist()
    assert len(sample_images(sample).axes[0].images) == 3 * 2 + 3 * 3


def test_a_data_set_is_made_once_for_a_form_of_tasks(file):
    calls = registry._import_file(file, "source").CALLS
    calls.clear()
    for _ in range(2):
        tasks = tasks_of(file, "tasksets", "val", number=7)
        tasks.episode(tasks.draw(1, SPEC, generator()), SPEC)
    assert sorted(calls) == [(2, 2), (3, 6)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("of_another_form", "gives a task of 6 examples, needed are 3 ways x (2 shots + 4 queries)"),
        ("uneven", "gives a task with 7 of label "),
        ("over_all_classes", "which its data set does not have: its transforms are over another data set"),
        ("unseeded", "draws other examples when it is seeded again"),
        (
            "no_taskset",
            "its part 'train' is no Taskset of learn2learn but int; allowed: one, three for train, val, test",
        ),
        ("another_part", "has a part 'exam'; allowed: train, val, test, all"),
        ("failing", "fails for 2 ways with 2 examples each with FileNotFoundError('no images here')"),
    ],
)
def test_what_is_wrong_with_it_is_said(file, name, said):
    with pytest.raises(UserError) as error:
        tasks_of(file, name).draw(20, SPEC, generator())
    assert said in str(error.value)
    assert f"source '{name}'" in str(error.value)


def test_too_few_classes_or_examples(file):
    tasks = tasks_of(file, "tasksets", "test")
    with pytest.raises(UserError, match=r"part 'test' has no tasks of 5 ways with 6 examples each: ValueError"):
        tasks.draw(1, SPEC._replace(ways=5), generator())
    with pytest.raises(UserError, match=r"has no tasks of 3 ways with 9 examples each"):
        tasks.draw(1, SPEC._replace(queries=7), generator())


SUITE = """
title = "Brought along"
[task]
ways = 3
shots = 1
queries = 2
[model]
name = "mlp"
hidden = [8]
[source]
name = "{file}:tasksets"
remap = false
[training]
iterations = 4
meta_batch = 2
validations = 2
validation_episodes = 3
[evaluation]
episodes = 6
steps = 1
curve_steps = 2
diagnostic_episodes = 3
[algorithms.theirs]
algorithm = "{file}:learner"
lr = 0.2
inner_steps = 2
[algorithms.maml]
inner_lr = 0.2
inner_steps = 2
[algorithms.pretrain]
[[splits]]
name = "known"
role = "meta-train"
classes = "train"
[[splits]]
name = "val"
role = "meta-val"
classes = "val"
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
[[splits]]
name = "other"
role = "cross-domain"
source = "{file}:alone"
"""


def test_a_suite_with_a_learner_and_a_taskset_from_start_to_end(file, tmp_path):
    path = tmp_path / "brought.toml"
    path.write_text(SUITE.format(file=file))
    cells = expand(load_suite(str(path)))
    check(cells)
    frames = {}
    for cell in cells:
        run_cell(cell, tmp_path, Machine("cpu"))
        assert is_done(cell, tmp_path)
        files = sorted(cell.folder(tmp_path).glob("evaluation/*.parquet"))
        assert len(files) == 3
        frames[cell.label] = pd.concat(map(pd.read_parquet, files), ignore_index=True)
    ours, theirs = frames["maml"], frames["theirs"]
    assert set(ours["condition"]) == {"standard", "shuffled"}
    assert len(ours[ours["condition"] == "standard"]) == 3 * 6 * 3
    for column in ("support_loss", "query_loss", "query_score"):  # learn2learn is the second opinion, from end to end
        np.testing.assert_allclose(theirs[column], ours[column], rtol=1e-3, atol=1e-5)


def test_an_edited_source_makes_other_cells(file, tmp_path):
    path, copied = tmp_path / "brought.toml", tmp_path / "copied.py"
    path.write_text(SUITE.format(file=file).replace(f'"{file}:tasksets"', f'"{copied}:tasksets"'))
    copied.write_text(FILE)
    before = [cell.hash for cell in expand(load_suite(str(path)))]
    assert before == [cell.hash for cell in expand(load_suite(str(path)))]
    copied.write_text(FILE + "\n# edited\n")
    assert not set(before) & {cell.hash for cell in expand(load_suite(str(path)))}
