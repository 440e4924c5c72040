"""Examples of a file: which tasks are made of them, how they are scaled, and how they are split into parts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from metagap.errors import UserError
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part

N = 240


def records(**changes) -> Records:
    """Feature 0 is the number of the example, 1 its class, 2 its task, 3 is always seven."""
    random = np.random.default_rng(0)
    y, task = random.integers(0, 3, N), random.integers(0, 8, N)
    x = np.stack([np.arange(N), y, task, np.full(N, 7)], 1).astype(np.float32)
    found = Records(
        x,
        y,
        ["red", "green", "blue"],
        np.array([f"task {i}" for i in range(8)])[task],
        np.where(np.arange(N) < 160, "here", "there"),
        np.datetime64("2020-01-01") + np.arange(N),
    )
    return found._replace(**changes)


class Made(RecordSource):
    """Whatever stands in `data`."""

    licence = citation = "none"
    data: ClassVar[Records] = records()
    name: str = ""

    def records(self) -> Records:
        return self.data


def source(data: Records | None = None, **options) -> RecordSource:
    """A source of these records, of a class of its own, so that nothing is kept from another one."""
    of = type("Made", (Made,), {"data": records() if data is None else data})
    return of(scaling=options.pop("scaling", "none"), **options)


def of_classes(**changes) -> Records:
    """Thirty classes of eight examples; feature 0 is the example, 1 the class."""
    y = np.repeat(np.arange(30), 8)
    x = np.stack([np.arange(N), y], 1).astype(np.float32)
    return Records(x, y, [f"c{i}" for i in range(30)])._replace(**changes)


def values() -> Records:
    """Regression: two targets, which are the number of the example and minus this."""
    of = records()
    return of._replace(y=np.stack([of.x[:, 0], -of.x[:, 0]], 1), classes=())


SPEC = TaskSpec("classification", 2, 2, 3)
POINTS = TaskSpec("regression", 1, 4, 5)
FORMS = {
    "of classes": (of_classes(), {}, SPEC),
    "of the file": (records(), {}, SPEC),
    "of the file, all classes": (records(), {"labels": "fixed"}, SPEC._replace(ways=3)),
    "regression": (values(), {"kind": "regression"}, POINTS),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["draw", "draw_open"])
def test_support_and_queries_share_no_example(form, way):
    data, options, spec = FORMS[form]
    sampler = Sampler(source(data, **options).tasks(Part("train"), "cpu"), spec, 0)
    drawn = getattr(sampler, way)(40)
    episode = sampler.episode(drawn)
    both = torch.cat([episode.support_x, episode.query_x], 1)[..., 0]
    assert len(both) >= 4
    assert all(len(set(task.tolist())) == both.shape[1] for task in both)
    if way == "draw_open":
        assert both.unique().numel() == both.numel()
    else:
        assert len(both) == 40


@pytest.mark.parametrize("form", FORMS)
def test_sources_keep_the_contract(form):
    data, options, spec = FORMS[form]
    for part in ("train", "test", "all"):
        examine(source(data, **options).tasks(Part(part), "cpu"), spec)


def test_tasks_of_the_file_stay_together_and_have_labels_of_their_own():
    store = source().tasks(Part("all"), "cpu")
    draw = store.draw(400, SPEC, torch.Generator().manual_seed(0))
    episode = store.episode(draw, SPEC)
    assert (episode.support_x[..., 2] == episode.support_x[:, :1, 2]).all()
    assert torch.equal(episode.query_x[:, 0, 2].long(), draw.classes[:, 0])  # what the interval over classes knows
    assert torch.equal(episode.support_x[..., 1].long(), episode.classes.gather(1, episode.support_y))
    assert torch.equal(episode.query_x[..., 1].long(), episode.classes.gather(1, episode.query_y))
    assert torch.bincount(draw.classes[:, 0]).min() > 25  # 50 each
    assert torch.bincount(episode.classes.flatten()).min() > 200


def test_fixed_labels_are_the_classes():
    spec = SPEC._replace(ways=3)
    store = source(labels="fixed").tasks(Part("all"), "cpu")
    episode = store.episode(store.draw(20, spec, torch.Generator().manual_seed(0)), spec)
    assert torch.equal(episode.support_x[..., 1].long(), episode.support_y)
    with pytest.raises(UserError, match=r"ways = 2 and there are 3 classes; allowed: ways = 3, or labels = 'shuffled'"):
        store.draw(1, SPEC, torch.Generator())


def test_a_class_has_another_label_in_every_task():
    store = source(of_classes()).tasks(Part("all"), "cpu")
    classes = store.draw(200, SPEC, torch.Generator().manual_seed(0)).classes
    assert 0.4 < (classes[:, 0] < classes[:, 1]).double().mean() < 0.6


def test_queries_of_tasks_that_are_too_small_are_never_drawn_and_counted():
    task = np.array(["big"] * 200 + ["small"] * 6 + ["middle"] * 34)
    store = source(records(task=task)).tasks(Part("all"), "cpu")
    assert store.remark(SPEC) == "1 of 3 tasks has fewer than 2 classes of 5 examples and is never drawn"
    drawn = store.draw(50, SPEC, torch.Generator()).classes
    assert {store.tasks[i] for i in drawn.flatten().tolist()} == {"big", "middle"}
    with pytest.raises(UserError, match="none of 3 tasks has 3 classes of 125 examples, as 5 shots and 120 queries"):
        store.draw(1, TaskSpec("classification", 3, 5, 120), torch.Generator())


def test_training_rows_scale_all_parts_and_a_constant_is_zero():
    data = records()
    made = source(data, scaling="train")
    train, test = (made.tasks(Part(part), "cpu") for part in ("train", "test"))
    own = torch.from_numpy(data.x[np.isin(data.task, made.parts()["train"])])
    for store in (train, test):
        draw = store.draw(30, SPEC, torch.Generator().manual_seed(0))
        rows = store.x[draw.rows.transpose(1, 2)[:, 2:].flatten(1, 2)]
        expected = (rows[..., :3] - own.mean(0)[:3]) / own.std(0, correction=0)[:3]
        episode = store.episode(draw, SPEC)
        assert torch.allclose(episode.query_x[..., :3], expected, atol=1e-5)
        assert not episode.query_x[..., 3].any()


def test_the_support_set_alone_scales_its_task():
    store = source(scaling="support").tasks(Part("all"), "cpu")
    episode = store.episode(store.draw(30, SPEC, torch.Generator().manual_seed(0)), SPEC)
    assert torch.allclose(episode.support_x[..., :2].mean(1), torch.zeros(30, 2), atol=1e-5)
    assert torch.allclose(episode.support_x[..., :2].std(1, correction=0), torch.ones(30, 2), atol=1e-5)
    assert not episode.query_x[..., 3].any() and episode.query_x.isfinite().all()
    assert not torch.allclose(episode.query_x[..., :2].mean(1), torch.zeros(30, 2), atol=0.1)


def test_missing_values_are_zero_codes_without_training_are_unknown():
    data = records(levels=np.array([0, 1, 9, 0]))
    data.x[5, 0] = np.nan
    made = source(data, scaling="train")
    with pytest.raises(UserError, match=r"Made: 1 values are missing \(NaN\)"):
        made.tasks(Part(), "cpu")
    type(made).allows_missing = True
    store, known = made.tasks(Part("all"), "cpu"), made.parts()["train"]
    inputs, _ = store.scaling.inputs(store.x[None], store.x[None])
    assert inputs.isfinite().all()
    assert not inputs[0, store.x[:, 0].isnan(), 0].any()
    codes, before = inputs[0, :, 2], store.x[:, 2]
    trained = torch.tensor([f"task {int(code)}" in known for code in before])
    assert torch.equal(codes[trained], before[trained]) and not codes[~trained].any()
    assert torch.equal(inputs[0, :, 1], store.x[:, 1])


def test_targets_are_scaled_by_those_of_training():
    made = source(values(), kind="regression", scaling="train", shares=(1, 0, 0))
    store = made.tasks(Part("train"), "cpu")
    y = store.scaling.targets(store.y[None], store.x[None])[0]
    assert torch.allclose(y.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(y.std(0, correction=0), torch.ones(2), atol=1e-5)
    assert store.outputs == 2 and store.class_count == 0


def test_parts_depend_on_names_alone():
    shares = source(of_classes()).parts()
    assert {part: len(names) for part, names in shares.items()} == {"train": 18, "val": 6, "test": 6}
    more = of_classes()
    more = more._replace(x=np.concatenate([more.x, more.x[:9]]), y=np.concatenate([more.y, more.y[:9]]))
    assert source(more).parts() == shares
    assert source(of_classes(), split_seed=1).parts() != shares
    listed = source(of_classes(), test=["c3", "c1"], shares=(3, 1, 1)).parts()
    assert listed["test"] == ["c1", "c3"] and len(listed["train"]) == 21 and len(listed["val"]) == 7
    only = source(of_classes(), train=["c0"], val=["c1"], test=["c2"])
    assert only.parts() == {"train": ["c0"], "val": ["c1"], "test": ["c2"]}
    assert only.remark() == "Made: 27 of 30 names are in none of train, val and test"


def test_domains_and_times_choose_examples():
    def seen(**options) -> set[int]:
        store = source(**options).tasks(Part("all"), "cpu")
        return set(store.x[:, 0].long().tolist())

    assert seen(domains=["there"]) == set(range(160, N))
    assert seen(before="2020-01-11") == set(range(10))
    assert seen(after="2020-01-11", domains=["here"]) == set(range(10, 160))


def test_a_digest_is_of_the_examples_of_a_part():
    made, other = source(), source(records(notes=["as it was"]), split_seed=0)
    assert made.digest("train") == other.digest("train") != made.digest("test")
    changed = records()
    changed.x[np.isin(changed.task, made.parts()["test"]), 0] += 1
    assert source(changed).digest("train") == made.digest("train")
    assert source(changed).digest("test") != made.digest("test")


BAD = {
    "domains": ({"domains": ["hre"]}, {}, "domains: no domain 'hre'; did you mean 'here'? allowed: here, there"),
    "no domains": ({"domains": ["here"]}, {"domain": None}, "nothing says of which domain an example is"),
    "no times": ({"before": "2020-01-01"}, {"time": None}, "before = '2020-01-01': nothing says when"),
    "none left": ({"before": "2019-01-01"}, {}, "no example is left by {'before': '2019-01-01'}; there are 240"),
    "train": ({"train": ["task 9"]}, {}, "train: nothing is called 'task 9'; did you mean 'task 7'?"),
    "twice": ({"train": ["task 1"], "test": ["task 1"]}, {}, "'task 1' is in train and in test; allowed: once"),
    "twice in one": ({"val": ["task 1", "task 1"]}, {}, "'task 1' is in val and in val; allowed: once"),
    "no share": ({"shares": (1, 0, 0)}, {}, "no tasks in part test, of 8 that are there; set train, val and test to"),
    "infinite": ({}, {"x": np.full((N, 4), np.inf)}, "960 values are infinite"),
    "shape": ({}, {"x": np.zeros(N)}, r"its examples are float64 (240,); allowed: floats (n, features, ...)"),
    "lengths": ({}, {"task": np.array(["a"])}, "there are 240 examples and 1 of task"),
    "one class": ({}, {"classes": ["a"]}, "classification needs two classes or more, and there are 1"),
    "classes": ({}, {"y": np.full(N, 3)}, "its classes are int64 (240,); allowed: 0..2 of each example"),
    "no tasks": ({"kind": "regression"}, {"task": None, "y": np.zeros((N, 1))}, "regression needs to know which task"),
    "targets": ({"kind": "regression"}, {"y": np.full((N, 1), np.nan)}, "240 targets are missing or infinite"),
    "target": ({"kind": "regression"}, {"y": np.zeros(N)}, "its targets are float64 (240,); allowed: floats (n, targ"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_said(case):
    options, changes, said = BAD[case]
    with pytest.raises(UserError) as raised:
        source(records(**changes), **options).tasks(Part("test"), "cpu")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"before": "soon"}, {"after": "today"}, {"shares": (0, 0, 0)}, {"shares": (1, -1, 1)}]
)
def test_options_are_checked(options):
    with pytest.raises(ValidationError, match=r"no date; allowed|no share may"):
        source(**options)
