"""Leave one domain out: what a suite is expanded into, what is refused, and a run that is resumed and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w

import metagap
from metagap.errors import UserError
from metagap.suite import load_chosen, load_suite, load_sweep
from tiny_suites import TASKS

GLYPHS = {"name": "glyphs", "alphabets": 5, "characters": 4, "instances": 5, "image_size": 10}
DOMAINS = {"A": {}, "B": {"seed": 1, "slant": 30.0}, "C": {"seed": 2, "noise": 0.3}}
SPLITS = [
    {"name": "val", "role": "meta-val", "classes": "val"},
    {"name": "new", "role": "in-distribution", "classes": "test"},
    {"source": "held-out", "classes": "test"},
]
EVALUATION = {"episodes": 5, "steps": 1, "diagnostics": [], "checkpoints": 2, "checkpoint_episodes": 4}
SUITE = {
    **TASKS["images"],
    "model": {"name": "mlp", "hidden": [4]},
    "source": GLYPHS,
    "training": {"iterations": 2, "meta_batch": 1, "select": "last"},
    "evaluation": EVALUATION,
    "algorithms": {"protonet": {}, "scratch": {}},
    "splits": SPLITS,
    "leave_one_out": {"domains": DOMAINS},
}


@pytest.fixture
def suite(tmp_path):
    def write(**changes) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(tomli_w.dumps({key: value for key, value in {**SUITE, **changes}.items() if value is not None}))
        return str(path)

    return write


def test_every_domain_and_every_two_are_held_out(suite):
    found = load_sweep(suite())
    assert [member.values for member in found.members] == [("A",), ("B",), ("C",), ("A", "B"), ("A", "C"), ("B", "C")]
    without_a, pair = found.members[0].suite, found.members[3].suite
    assert [*without_a.source["sources"]] == ["B", "C"] and without_a.source["sources"]["B"]["slant"] == 30
    assert [split.name for split in without_a.splits] == ["val", "new", "A"]
    assert without_a.splits[1].source == without_a.source
    assert (without_a.splits[2].role, without_a.splits[2].source["noise"]) == ("cross-domain", 0.0)
    assert pair.source["name"] == "glyphs" and pair.source["noise"] == pytest.approx(0.3)  # one is left
    assert [split.name for split in pair.splits] == ["A", "B"] and [*pair.algorithms] == ["protonet"]
    assert pair.evaluation.episodes == 4
    assert (
        found.said(found.members[3]) == "without A and B"
        and found.over == "each of 3 domains held out, and 3 pairs of them"
    )
    assert len({cell.hash for cells in found.cells for cell in cells}) == 3 * 2 + 3


def test_pairs_are_there_for_the_rules_alone(suite):
    plain = {key: value for key, value in EVALUATION.items() if not key.startswith("checkpoint")}
    assert len(load_sweep(suite(evaluation=plain)).members) == 3
    assert len(load_sweep(suite(leave_one_out={"domains": DOMAINS, "pairs": False})).members) == 3
    two = load_sweep(suite(leave_one_out={"domains": {"A": {}, "B": {"seed": 1}}}))
    assert [member.values for member in two.members] == [("A",), ("B",)]
    shown = load_sweep(suite(evaluation={**EVALUATION, "checkpoint_splits": ["val", "held-out"]}))
    assert [member.suite.evaluation.checkpoint_splits for member in shown.members[::3]] == [["val", "A"], None]


def test_choices_and_changes_are_for_all(suite):
    path = suite()
    chosen, written = load_chosen(path)
    assert (
        chosen.with_choices(["protonet"], [4]).variation(written)
        == ""
        != chosen.with_choices(iterations=1).variation(written)
    )
    untrained = chosen.with_choices(["scratch"])
    assert [member.values for member in untrained.members] == [("A",), ("B",), ("C",)]
    longer = load_sweep(path, ["training.iterations=7"])
    assert {member.suite.training.iterations for member in longer.members} == {7}


def test_domains_of_a_file_are_listed(suite, tmp_path):
    rows = [f"{i % 7},{'abc'[i % 3]},{'abc'[i % 3]}{i % 12},{'uv'[i % 2]}" for i in range(240)]
    (tmp_path / "all.csv").write_text("\n".join(["x,place,task,y", *rows]) + "\n")
    source = {"name": f"table:{tmp_path / 'all.csv'}", "target": "y", "task": "task", "domain": "place"}
    found = load_sweep(
        suite(source=source, leave_one_out={"domains": ["a", "b", "c"]}, task={"ways": 2, "shots": 1, "queries": 1})
    )
    without_b = found.members[1].suite
    assert [one["domains"] for one in without_b.source["sources"].values()] == [["a"], ["c"]]
    assert without_b.split("b").source["domains"] == ["b"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"leave_one_out": {"domains": {"A": {}}}}, "leave_one_out: there are 1 domains; allowed: two or more"),
        ({"leave_one_out": {"domains": ["a", "a"]}}, "leave_one_out: key 'domains"),
        ({"leave_one_out": {"domains": {"A": {}, "a": {"seed": 1}}}}, "two domains differ in capitals only"),
        ({"leave_one_out": {"domain": {}}}, "leave_one_out: unknown key 'domain'; did you mean 'domains'?"),
        ({"leave_one_out": {"domains": DOMAINS | {"D": {"sed": 1}}}}, "A: source: sources.D: unknown key 'sed'"),
        ({"leave_one_out": {"domains": DOMAINS | {"D": {"image_size": 9}}}}, "10 in 'B', 10 in 'C', 9 in 'D'"),
        ({"source": {}, "leave_one_out": {"domains": ["a", "b"]}}, "a list of domains is of one file, and"),
        ({"splits": SPLITS[:2]}, "0 splits have source = 'held-out'; allowed: one"),
        ({"splits": [{"name": "x", **SPLITS[2]}]}, "is called by its domain; leave 'name' out"),
        ({"splits": [{**SPLITS[2], "role": "in-distribution"}]}, "is for the role cross-domain, not in-distribution"),
        ({"splits": [{**SPLITS[1], "name": "A"}, SPLITS[2]]}, "splits: 'A' is the name of a domain"),
        ({"sweep": {"key": "training.lr", "values": [1, 2]}}, "there are both [sweep] and [leave_one_out]"),
        ({"title": None}, "key 'title' is missing"),
    ],
)  # fmt: skip
def test_what_is_refused(suite, changes, told):
    with pytest.raises(UserError, match=r"mine\.toml: ") as caught:
        load_sweep(suite(**changes))
    assert told in str(caught.value)
    assert len(set(lines := str(caught.value).splitlines())) == len(lines)


def test_what_is_about_one_suite_says_that_these_are_several(suite):
    with pytest.raises(
        UserError, match="leaves one domain out, which `metagap run` and `metagap report` take as a whole"
    ):
        load_suite(suite())


def test_it_is_run_resumed_and_reported(here, suite, tmp_path, in_process):
    path, run = suite(), ("--engine", "loop plain eager")
    code, _, errors = here("run", path, *run, "--algorithm", "protonet")
    assert code == 0, errors
    done = sorted(Path(tmp_path, "results").glob("mine/*/*/done-*.json"))
    assert len(done) == 6
    code, text, errors = here("run", path, *run)
    assert code == 0 and "6 of 9 cells are already done" in " ".join(text.split()), errors
    assert "each of 3 domains held out, and 3 pairs of them" in " ".join(text.split())
    code, text, _ = here("report", "mine", "--json")
    numbers = json.loads(text)
    assert code == 0 and numbers["held_out"] == ["A", "B", "C"]
    assert {row["rule"] for row in numbers["rules"]} == {"last", "training-domain", "leave-one-domain-out", "oracle"}
    assert {row["algorithm"] for row in numbers["scores"]} == {"protonet", "scratch"}
    page = tmp_path / "reports" / "mine" / "index.html"
    assert all((page.parent / f"tables/{name}.csv").is_file() for name in ("scores", "gaps", "rules", "data/selected"))
    assert "without A and B" in page.read_text()
    report = metagap.read("mine", tmp_path / "results")
    assert isinstance(report, metagap.DomainReport) and len(report.members) == 6
    assert report.table("rules").frame.shape[0] == len(report.rules) == 4
    code, _, errors = here("compare", "mine", "protonet", "scratch")
    assert code == 2 and "without A and B" in errors
    assert here("show", path)[0] == 0
