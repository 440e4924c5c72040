"""Suites on top of others: what is merged how, what is taken away, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from metagap.errors import UserError
from metagap.extends import merged
from metagap.files import SUITES
from metagap.inspection import describe
from metagap.results import differences
from metagap.suite import expand, load_suite

GUIDE = Path(__file__).parents[1] / "benchmark/docs/suites.md"

BELOW = {
    "title": "Below",
    "seeds": [0, 1],
    "model": {"name": "conv4", "filters": 4},
    "training": {"iterations": 4, "clip": 1.0},
    "algorithms": {"maml": {"inner_lr": 0.1}, "slow": {"algorithm": "reptile", "inner_lr": 0.2}},
    "splits": [{"name": "old", "role": "meta-train"}, {"name": "v1.0 far", "role": "cross-domain", "source": "digits"}],
    "published": [
        {"algorithm": "maml", "split": "old", "value": 0.5, "source": "A (2017)"},
        {"algorithm": "maml", "split": "old", "step": 3, "value": 0.6, "source": "A (2017)"},
        {"algorithm": "maml", "split": "old", "step": 3, "value": 0.7, "source": "B (2018)"},
    ],
}
BASE = """
title = "Base"
seeds = [0]
task = { ways = 3, shots = 1, queries = 2 }
model = { name = "conv4", filters = 4 }
source = { name = "glyphs", alphabets = 5 }
training = { iterations = 4 }
evaluation = { steps = 1 }
algorithms.maml = {}
algorithms.scratch = {}
splits = [
    { name = "old", role = "meta-train", classes = "train" },
    { name = "new", role = "in-distribution", classes = "test" },
]
"""


@pytest.mark.parametrize(
    ("own", "place", "expected"),
    [
        ({"training": {"iterations": 9}}, ("training",), {"iterations": 9, "clip": 1.0}),
        ({"seeds": [7]}, ("seeds",), [7]),
        ({"model": {"filters": 8}}, ("model",), {"name": "conv4", "filters": 8}),
        ({"model": {"name": "mlp"}}, ("model",), {"name": "mlp"}),
        ({"model": "mlp"}, ("model",), "mlp"),
        ({"algorithms": {"slow": {"inner_lr": 1}}}, ("algorithms", "slow"), {"algorithm": "reptile", "inner_lr": 1}),
        ({"algorithms": {"slow": {"algorithm": "maml"}}}, ("algorithms", "slow"), {"algorithm": "maml"}),
        ({"algorithms": {"anil": {}}}, ("algorithms", "anil"), {}),
        ({"splits": [{"name": "old", "shots": 2}]}, ("splits", 0), {"name": "old", "role": "meta-train", "shots": 2}),
        ({"splits": [{"name": "more", "role": "meta-val"}]}, ("splits", 2), {"name": "more", "role": "meta-val"}),
        (
            {"splits": [{"name": "v1.0 far", "source": {"image_size": 8}}]},
            ("splits", 1, "source"),
            {"name": "digits", "image_size": 8},
        ),
        ({"published": [{"algorithm": "maml", "split": "old", "value": 0.9}]}, ("published", 0, "source"), "A (2017)"),
        (
            {"published": [{"algorithm": "maml", "split": "old", "step": 3, "source": "B (2018)", "value": 0.9}]},
            ("published", 2, "value"),
            0.9,
        ),
        ({"published": [{"algorithm": "maml", "split": "old", "source": "C"}]}, ("published", 3, "source"), "C"),
        ({"remove": ["training.clip"]}, ("training",), {"iterations": 4}),
        ({"remove": ["splits.old", "published"]}, ("splits", 0, "name"), "v1.0 far"),
        ({"remove": ["splits.v1.0 far.source"]}, ("splits", 1), {"name": "v1.0 far", "role": "cross-domain"}),
        ({"remove": ["algorithms.maml"]}, ("algorithms",), {"slow": BELOW["algorithms"]["slow"]}),
        ({"remove": ["seeds"], "seeds": [3]}, ("seeds",), [3]),
    ],
)
def test_what_is_merged_how(own, place, expected):
    found = merged(BELOW, own, "own.toml")
    for key in place:
        found = found[key]
    assert found == expected
    assert BELOW["training"] == {"iterations": 4, "clip": 1.0} and len(BELOW["splits"]) == 2


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    write("base.toml", BASE)
    return write


def test_several_levels_and_changes_on_top_of_them(write):
    write(
        "below/twin.toml", 'extends = "../base.toml"\ntitle = "Twin"\ntask.shots = 2\nremove = ["algorithms.scratch"]'
    )
    path = write("third.toml", 'extends = "below/twin.toml"\ntask.queries = 3\nalgorithms.reptile = {}')
    suite = load_suite(path, ["training.iterations=7", "splits.new.shots=1"])
    assert (suite.name, suite.title, suite.extends) == ("third", "Twin", "below/twin.toml")
    assert (suite.task.ways, suite.task.shots, suite.task.queries) == (3, 2, 3)
    assert list(suite.algorithms) == ["maml", "reptile"]
    assert (suite.training.iterations, suite.splits[1].shots) == (7, 1)
    base = load_suite(str(Path(path).with_name("base.toml")))
    assert set(differences(base.model_dump(), load_suite(path).model_dump())) == {
        "task.shots 1 → 2",
        "task.queries 2 → 3",
    }


def test_a_cell_is_the_same_whoever_says_so(write):
    twin = load_suite(write("twin.toml", 'extends = "base.toml"\ntask.shots = 2'))
    whole = load_suite(write("whole.toml", BASE.replace("shots = 1", "shots = 2")))
    assert [(cell.hash, cell.variant) for cell in expand(twin)] == [(cell.hash, cell.variant) for cell in expand(whole)]


def test_show_has_the_whole_suite_and_what_it_extends(write):
    found = describe(write("twin.toml", 'extends = "base.toml"\ntask.shots = 2'))
    settings = {row["key"]: row["value"] for row in found["tables"]["Settings"]}
    assert found["extends"] == "base.toml"
    assert (settings["task.ways"], settings["task.shots"]) == (3, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "quickstrat"', r"own\.toml: key 'extends' = 'quickstrat': no suite .*did you mean 'quickstart'"),
        ('extends = "gone.toml"', r"own\.toml: key 'extends' = 'gone\.toml': no suite file '.*gone\.toml'"),
        ('extends = "own.toml"', r"own\.toml: key 'extends' = 'own\.toml': a circle: own → own"),
        ('extends = "other.toml"', r"a circle: own → other → own"),
        ("extends = 3", r"own\.toml: key 'extends' = 3; allowed: a built-in suite, or the path"),
        ('remove = ["seeds"]', r"own\.toml: key 'extends' is missing, and 'remove' takes away from what it names"),
        ('extends = "base.toml"\nremove = "seeds"', r"own\.toml: key 'remove' = 'seeds': allowed: a list of keys"),
        (
            'extends = "base.toml"\nremove = ["splits.newer"]',
            r"key 'remove': 'splits\.newer' is not there; did you mean 'new'",
        ),
        ('extends = "base.toml"\nremove = ["seeds.0"]', r"key 'remove': 'seeds\.0' is not there"),
        ('extends = "base.toml"\ntask.woys = 3', r"own\.toml \(extends 'base\.toml'\): unknown key 'task\.woys'"),
        ('extends = "base.toml"\nmodel.filter = 3', r"own\.toml \(extends 'base\.toml'\): model: unknown key 'filter'"),
    ],
)
def test_what_cannot_be_extended_is_said(write, text, message):
    write("other.toml", 'extends = "own.toml"')
    with pytest.raises(UserError, match=message) as error:
        load_suite(write("own.toml", text))
    assert "\n" not in str(error.value)


def test_a_value_that_may_be_of_several_papers_names_its_source():
    own = {"published": [{"algorithm": "maml", "split": "old", "step": 3, "value": 1.0}]}
    with pytest.raises(UserError, match=r"own\.toml: published: several values below have .*step = 3; say which"):
        merged(BELOW, own, "own.toml")


def test_the_guides_example_holds(tmp_path):
    suite, other = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[:2]
    (tmp_path / "my-suite.toml").write_text(suite)
    (tmp_path / "my-other.toml").write_text(other)
    found = SUITES.read(tmp_path / "my-other.toml")
    assert found["task"] == {"ways": 5, "shots": 5, "queries": 5}
    assert "scratch" not in found["algorithms"] and "meta_batch" not in found["training"]
    assert [split["name"] for split in found["splits"]][-2:] == ["digits", "letters"]
    assert found["splits"][-2] == {"name": "digits", "role": "cross-domain", "source": "digits", "shots": 10}


def test_built_in_twins_are_short():
    lines = {name: len(SUITES.path(name).read_text(encoding="utf-8").splitlines()) for name in SUITES.names()}
    own = {name: tomllib.loads(SUITES.path(name).read_text(encoding="utf-8")) for name in SUITES.names()}
    twins = [name for name, table in own.items() if "extends" in table and "responses" not in table]
    assert len(twins) >= 24
    assert all(lines[name] <= 45 for name in twins)
