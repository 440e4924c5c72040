"""Several sources as one: which of them tasks are of, that they look as in their own source, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from metagap.errors import UserError
from metagap.messages import validated
from metagap.runner.preflight import check
from metagap.suite import Suite, expand, load_suite, make_source
from metagap.tasks.episode import TaskSpec
from metagap.tasks.images import pixel_statistics
from metagap.tasks.sampling import raw
from metagap.tasks.source import Part
from metagap.tasks.sources.mixture import Mixture
from tiny_suites import TASKS

ONE = {"name": "glyphs", "alphabets": 5, "characters": 4, "instances": 5, "image_size": 10}
TWO = {**ONE, "seed": 1, "slant": 30.0, "alphabets": 10}
SPEC = TaskSpec("classification", 3, 1, 2)


def mixture(**options: Any) -> Mixture:
    return make_source({"name": "mixture", "sources": {"one": ONE, "two": TWO}, **options})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def csv(folder: Path, name: str, shift: float, domains: str = "ab", **columns: str) -> str:
    """A table of eight tasks, two of each letter of each domain, with six rows each."""
    rng, rows = np.random.default_rng(len(name)), ["x,place,task,y" + "".join(f",{key}" for key in columns)]
    for domain in domains:
        for task in range(8):
            for row in range(6):
                extra = "".join(f",{value[row % len(value)]}" for value in columns.values())
                rows.append(f"{shift + rng.normal():.3f},{domain},{domain}{task},{'uv'[row % 2]}{extra}")
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.mark.parametrize("weights", [{}, {"one": 3.0}, {"one": 1.0, "two": 4.0}])
def test_tasks_are_of_one_source_as_often_as_its_weight_says(weights):
    tasks = mixture(weights=weights).tasks(Part("train"), "cpu")
    drawn = tasks.draw(4000, SPEC, seeded())
    member = tasks.mix.member[drawn.classes]
    assert (member == member[:, :1]).all()
    share = weights.get("one", 1.0) / (weights.get("one", 1.0) + weights.get("two", 1.0))
    assert (member[:, 0] == 0).double().mean().item() == pytest.approx(
        share, abs=4 * (share * (1 - share) / 4000) ** 0.5
    )
    every = torch.bincount(drawn.classes.flatten(), minlength=tasks.class_count)
    of_one = tasks.mix.member == 0
    for own in (every[of_one], every[~of_one]):  # all classes of a source equally often, whatever their number
        assert ((own - own.double().mean()).abs() < 5 * own.double().mean().sqrt()).all()


def test_tasks_are_drawn_again_and_look_as_in_their_own_source():
    source = mixture()
    tasks, stores = (
        source.tasks(Part("train"), "cpu"),
        [one.tasks(Part("train"), "cpu") for one in source.members.values()],
    )
    drawn = tasks.draw(20, SPEC, seeded())
    assert raw(drawn) == raw(tasks.draw(20, SPEC, seeded())) != raw(tasks.draw(20, SPEC, seeded(1)))
    episode, names = (
        tasks.episode(drawn, SPEC),
        [f"{m}/{c}" for m, s in zip(("one", "two"), stores, strict=True) for c in s.names],
    )
    assert [*tasks.names] == names and tasks.class_count == len(names)
    for task in range(20):
        for way in range(3):
            c = int(drawn.classes[task, way])
            store, own = (stores[0], c) if c < stores[0].class_count else (stores[1], c - stores[0].class_count)
            images = store.images[store.start[own] : store.start[own] + store.size[own]].float() / 255
            for shown in (
                episode.support_x[task][episode.support_y[task] == way],
                episode.query_x[task][episode.query_y[task] == way],
            ):
                assert all((images == image).flatten(1).all(1).any() for image in shown)
    assert len(tasks.sample(drawn, SPEC)["class_names"]) == 3
    assert (episode.support_x[:4] == tasks.episode(drawn[:4], SPEC).support_x).all()


def test_open_tasks_share_no_example_and_are_of_one_source():
    tasks = mixture().tasks(Part("train"), "cpu")
    drawn = tasks.draw_open(1000, SPEC, seeded())
    member = tasks.mix.member[drawn.classes]
    assert (member == member[:, :1]).all() and set(member.flatten().tolist()) == {0, 1}
    assert len(drawn.rows.flatten().unique()) == drawn.rows.numel()


def test_rotations_of_a_class_do_not_meet():
    both = {
        name: {**table, "rotations": True, "rotations_meet": False} for name, table in {"one": ONE, "two": TWO}.items()
    }
    tasks = mixture(sources=both).tasks(Part("train"), "cpu")
    drawn = tasks.draw(300, TaskSpec("classification", 5, 1, 2), seeded())
    first, member = tasks.start[drawn.classes], tasks.mix.member[drawn.classes]
    assert (member == member[:, :1]).all() and set(member[:, 0].tolist()) == {0, 1}
    assert all(len(row.unique()) == 5 for row in first)


def test_another_split_is_scaled_as_the_mixture():
    tasks = mixture().tasks(Part("train"), "cpu")
    scaled = tasks.normalised(*pixel_statistics(tasks))
    own = make_source(TWO).tasks(Part("test"), "cpu").like(scaled)
    assert (own.mean, own.std) == (scaled.mean, scaled.std)
    assert scaled.mean != pytest.approx(pixel_statistics(make_source(ONE).tasks(Part("train"), "cpu"))[0], abs=1e-4)


def test_content_and_names_identify_it(tmp_path):
    files = [csv(tmp_path, name, 0.0) for name in ("first.csv", "another.csv")]
    first, other = ({"name": f"table:{file}", "target": "y", "task": "task"} for file in files)
    digest = mixture(sources={"a": first, "b": other}).digest("train")
    assert digest == mixture(sources={"b": other, "a": first}).digest("train")
    different = [{"a": first, "c": other}, {"a": other, "b": first}, {"a": first, "b": {**other, "split_seed": 1}}]
    assert len({digest, *(mixture(sources=sources).digest("train") for sources in different)}) == 4
    as_list = make_source({"name": "mixture", "sources": [ONE, {"name": "omniglot", "image_size": 10}]})
    assert [*as_list.sources] == [*as_list.members] == ["glyphs", "omniglot"]


def test_domains_of_one_file_are_scaled_by_the_training_tasks_of_all(tmp_path):
    file = csv(tmp_path, "places.csv", 5.0)
    table = {"name": f"table:{file}", "target": "y", "task": "task", "domain": "place", "shares": [0.5, 0.25, 0.25]}
    both = mixture(sources={name: {**table, "domains": [name]} for name in "ab"}, weights={"b": 3.0})
    tasks, spec = both.tasks(Part("train"), "cpu"), TaskSpec("classification", 2, 1, 1)
    whole = make_source(table | {"domains": ["a", "b"]}).tasks(Part("train"), "cpu")
    assert tasks.scaling.center == pytest.approx(whole.scaling.center) and tasks.classes == ("u", "v")
    assert sorted(tasks.tasks) == sorted(f"{name[0]}/{name}" for name in whole.tasks)
    drawn = tasks.draw(4000, spec, seeded())
    of_b = torch.tensor([name.startswith("b/") for name in tasks.tasks])[drawn.classes[:, 0]]
    assert of_b.double().mean().item() == pytest.approx(0.75, abs=0.03)
    assert tasks.episode(drawn, spec).classes.unique().tolist() == [0, 1]
    opened = tasks.draw_open(1000, spec, seeded())
    assert len(opened.rows.flatten().unique()) == opened.rows.numel() and len(opened) == 8
    other = both.members["a"].tasks(Part("all"), "cpu").like(tasks)
    assert other.scaling is tasks.scaling


def test_classes_of_several_files_lie_behind_one_another(tmp_path):
    tables = {
        name: {"name": f"table:{csv(tmp_path, name + '.csv', 0.0, domains)}", "target": "task", "features": ["x"]}
        for name, domains in (("first", "ab"), ("second", "cd"))
    }
    tasks = mixture(sources=tables).tasks(Part("train"), "cpu")
    spec = TaskSpec("classification", 4, 1, 1)
    drawn = tasks.draw(500, spec, seeded())
    names = [[tasks.classes[c] for c in row] for row in tasks.episode(drawn, spec).classes.tolist()]
    assert all(len({name.partition("/")[0] for name in row}) == 1 for row in names)
    assert {name.partition("/")[0] for row in names for name in row} == {"first", "second"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"sources": {"one": ONE}}, "input should have 2 or more items"),
        ({"sources": ["glyphs", "glyphs"]}, "sources: 'glyphs' is listed twice"),
        ({"sources": ["glyphs", "sinusoid"]}, "sources.sinusoid: 'sinusoid' has neither images nor"),
        ({"sources": ["glyphs", "schools"]}, "'glyphs' has images and 'schools' has none"),
        ({"sources": ["glyphs", 3]}, "sources.1: key 'name' is missing"),
        ({"sources": ["glyphs", "omniglt"]}, "sources.omniglt: key 'name': unknown source 'omniglt'; did you mean"),
        ({"sources": {"a": ONE, "b": {**TWO, "slnt": 3}}}, "sources.b: unknown key 'slnt'; did you mean 'slant'?"),
        ({"sources": {"a": ONE, "b": {**TWO, "image_size": 9}}}, "image_size is 10 in 'a', 9 in 'b'; allowed:"),
        ({"sources": {"a": ONE, "b": {**TWO, "held_out_images": 2}}}, "held_out_images is set for 'b' only"),
        ({"sources": {"a": ONE, "b": TWO}, "weights": {"c": 1.0}}, "weights.c: no source has this name"),
        ({"sources": {"a": ONE, "b": TWO}, "weights": {"a": 0.0}}, "'weights.a' = 0.0: input should be greater than 0"),
        ({"kind": "regression", "sources": ["glyphs", "omniglot"]}, "'glyphs' gives classification tasks, and"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed_is_said(table, told):
    with pytest.raises(UserError, match=r"^here: ") as caught:
        validated(Mixture, table, "here")
    assert told in str(caught.value)


def test_files_whose_columns_or_codes_differ_are_not_mixed(tmp_path):
    names = {
        "first": csv(tmp_path, "first.csv", 0.0, colour="rg"),
        "second": csv(tmp_path, "second.csv", 0.0, colour="gb"),
    }
    tables = {
        name: {"name": f"table:{path}", "target": "y", "task": "task", "features": ["x", "colour"]}
        for name, path in names.items()
    }
    with pytest.raises(UserError, match="its sources do not go together: their features are called"):
        mixture(sources=tables).tasks(Part("train"), "cpu")
    coded = {name: {**table, "categories": "codes"} for name, table in tables.items()}
    with pytest.raises(UserError, match="columns of categories, which every file numbers in its own way"):
        mixture(sources=coded).tasks(Part("train"), "cpu")


def test_a_source_with_too_few_classes_is_named():
    few = mixture(sources={"one": {**ONE, "characters": 1}, "two": TWO}).tasks(Part("test"), "cpu")
    with pytest.raises(UserError, match=r"^one: 3 ways, .* there are 1 such classes among 1$"):
        few.draw(1, SPEC, seeded())
    with pytest.raises(UserError, match=r"^one: no classes 'x'"):
        mixture().tasks(Part("x"), "cpu")


def test_no_split_shows_what_another_source_of_the_mixture_trains_on(tmp_path):
    def suite(*splits: dict[str, Any], **further: Any) -> Suite:
        path, source = tmp_path / "mine.toml", {"name": "mixture", "sources": further or {"one": ONE, "two": TWO}}
        path.write_text(tomli_w.dumps({**TASKS["images"], "source": source, "splits": splits}))
        return load_suite(str(path))

    tested = {"name": "tested", "role": "in-distribution", "classes": "test"}
    assert check(expand(suite(tested, {**tested, "name": "only two", "source": TWO}))) == []
    with pytest.raises(UserError, match="role in-distribution must not contain training classes"):
        suite({**tested, "source": TWO, "classes": "train"})
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 10, 10), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    own = {"name": f"path:{tmp_path / 'mine.npz'}", "image_size": 10}
    with pytest.raises(UserError, match=r"split 'tested': \d+ of its 6 classes are training classes, by their images"):
        check(expand(suite(tested, one=own, two={**own, "split_seed": 1})))


def test_forecasts_of_a_mixture_are_scaled_as_their_channel(tmp_path):
    machines = [f"{site}{number}" for site in "ab" for number in range(6)]
    rows = [f"{one},{one[0]},{step},{step + 10 * int(one[1])}" for one in machines for step in range(30)]
    (tmp_path / "s.csv").write_text("\n".join(["machine,site,hour,level", *rows]))
    table = {"name": f"series:{tmp_path / 's.csv'}", "target": "level", "task": "machine", "time": "hour", "window": 3}
    table |= {"kind": "regression", "domain": "site"}
    both = mixture(kind="regression", sources={name: {**table, "domains": [name]} for name in "ab"})
    scaling = both.tasks(Part("train"), "cpu").scaling
    assert scaling.target_center == scaling.center[-1] and scaling.target_factor == scaling.factor[-1]
