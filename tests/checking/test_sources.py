"""Every broken source is caught, by the name of its fault; what is sound passes; a name is an algorithm or a source."""

from __future__ import annotations

import warnings
from pathlib import Path

import broken_sources
import numpy as np
import pytest

from metagap.checking.findings import Finding, finding
from metagap.checking.named import named
from metagap.checking.sources import processes
from metagap.checking.sources.elsewhere import fingerprint
from metagap.checking.sources.examine import EXAMINATIONS, examine
from metagap.checking.sources.subject import Subject
from metagap.checking.sources.values import measured
from metagap.errors import UserError
from metagap.report.figures.samples import sample

HERE = Path(broken_sources.__file__)


def subject(name: str, **options) -> Subject:
    form = {key: options.pop(key) for key in ("ways", "shots", "queries") if key in options}
    return Subject.of({"name": name if name.islower() else f"{HERE}:{name}", **options}, form)


def only(name: str, examination: str, **options) -> Finding:
    """What one examination finds, without the others."""
    return finding(examination, EXAMINATIONS[examination], subject(name, **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Sound", "digits", "glyphs", "sinusoid", "linear", "navigation"])
def test_what_is_sound_passes(name):
    for one in examine(subject(name)):
        assert one.outcome != "failed", one


def test_every_examination_says_what_it_found(monkeypatch):
    monkeypatch.setattr(processes, "_elsewhere", lambda asked: [fingerprint(table, *asked[1:]) for table in asked[0]])
    found = {one.examination: one for one in examine(subject("Sound"))}
    assert list(found) == list(EXAMINATIONS)
    noted = {name for name, one in found.items() if one.outcome == "noted"}
    assert {one.outcome for one in found.values()} == {"passed", "noted"} and noted <= {"targets", "devices"}
    assert "seed, scale changes them" in found["another process"].text
    rows = measured(subject("Sound"))
    assert [row["part"] for row in rows] == ["train", "val", "test"] and rows[0]["classes"] == 12
    assert "targets" not in rows[0]


@pytest.mark.parametrize(
    ("name", "examination", "outcome", "text"),
    [
        ("Undocumented", "documentation", "noted", "`licence` say nothing"),
        ("NoPart", "parts", "failed", "gives no part: no classes 'train' in NoPart"),
        ("TwoShapes", "parts", "failed", "parts have examples of 2 shapes: (6,), (7,); allowed: one"),
        ("FewClasses", "size", "noted", "val: one class is not enough; --ways, --shots"),
        ("GlobalDraw", "draws", "failed", "another one from the same random numbers"),
        ("SameDraw", "draws", "failed", "train: two draws from one generator are the same tasks"),
        ("NoisyLookup", "episodes", "failed", "episode, support_x: something else from the same draw"),
        ("SeededNoise", "episodes", "failed", "episode uses Python's global random numbers; draw has to draw all"),
        ("OfTheBatch", "episodes", "failed", "episode of draw[1:], query_x: something else than for the whole draw"),
        ("NotFinite", "episodes", "failed", "numbers not finite; allowed: finite ones"),
        ("WrongLabels", "episodes", "failed", "support_y: how many of each label: {1: 1, 2: 1"),
        ("Overlaps", "support and queries", "failed", "queries equal an example of the support set of their task"),
        ("SharedClasses", "new tasks", "failed", "examples that were drawn from val are in train, too"),
        ("NeverDrawn", "classes", "noted", "never drawn: 1 of 12 classes of train, 1 of 6 classes of val, 1 of 6"),
        ("FixedLabels", "classes", "noted", "a class has the same label in every task"),
        ("AllTheSame", "inputs", "failed", "train: all 1920 examples that were drawn are the same"),
        ("Unscaled", "inputs", "noted", "have the same feature 4 (from 0); train: inputs have mean"),
        ("BadSample", "sample", "failed", "sample: list; allowed: a dict by str"),
        ("UndrawableSample", "sample", "failed", "train: a page could not draw its sample: KeyError"),
        ("TimeDigest", "digest", "failed", "cells would never be found again"),
        ("EmptyDigest", "digest", "failed", "digest('train') gives None; allowed: a text"),
        ("ObjectStamp", "stamp", "failed", "stamp gives what is no plain value"),
    ],
)
def test_what_is_broken_is_named(name, examination, outcome, text):
    found = only(name, examination)
    assert (found.outcome, text) == (outcome, text if text in found.text else found.text)


def test_of_a_form_that_is_asked_for_a_part_without_such_tasks_is_a_fault():
    assert only("FewClasses", "size", ways=3).outcome == "failed"
    assert list(one.examination for one in examine(subject("FewClasses", ways=3)))[-1] == "size"
    with pytest.raises(UserError, match="ways = 1: classification needs ways of 2 or more"):
        subject("Sound", ways=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "what"), [("SetOrder", "digest('train') is"), ("StaleCache", "is something else in another process")]
)
def test_another_process_finds_what_depends_on_this_one(name, what):
    found = only(name, "another process")
    assert found.outcome == "failed" and what in found.text, found


def test_files(tmp_path):
    (tmp_path / "numbers.txt").write_text("3")
    options = {"file": str(tmp_path / "numbers.txt")}
    assert only("FromFile", "digest", **options).outcome == "passed"
    found = only("FromFile", "missing files", **options)
    assert found.outcome == "failed" and "which there is not fails with FileNotFoundError" in found.text
    found = only("IgnoresContent", "digest", **options)
    assert found.outcome == "failed" and "it does not depend on their content" in found.text
    with pytest.raises(UserError, match="FromFile': key 'file' is missing"):
        subject("FromFile")


def test_a_table_with_a_line_twice_is_noted_and_not_blamed(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3)).repeat(2, 0).round(6)  # every line twice
    lines = [f"{a},{b},{c},{'pqrs'[i // 30]}" for i, (a, b, c) in enumerate(x)]
    (tmp_path / "t.csv").write_text("a,b,c,kind\n" + "\n".join(lines))
    found = only("table", "support and queries", file=str(tmp_path / "t.csv"), target="kind", shares=[1, 0, 0])
    assert found.outcome == "noted" and "the data hold some examples more than once" in found.text


SHAPES = [(), (1,), (3,), (40,), (2, 9), (1, 5, 5), (3, 6, 4), (2, 4, 4), (2, 3, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_examples_of_any_shape_are_drawn(shape, kind):
    x = np.random.default_rng(0).standard_normal((6, *shape)).astype(np.float32)
    y = np.tile([0, 1, 2], 2) if kind == "classification" else np.zeros((6, 1), np.float32)
    names = {"class_names": np.array(["a", "b", "c"])} if kind == "classification" else {}
    figure = sample({"support_x": x, "support_y": y, "query_x": x, "query_y": y, **names})
    with warnings.catch_warnings(action="error"):
        figure.canvas.draw()
    axes = figure.axes
    assert any(axis.lines or axis.images or axis.texts for axis in axes)


CLASS = '"""Mine."""\nfrom metagap.{module} import {base}\n\n\nclass {name}({base}):\n    """Mine."""\n'


def test_a_name_is_an_algorithm_or_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named("maml") == named("algorithm:maml") == ("algorithm", "maml")
    assert named("table:x.csv") == named("source:table:x.csv") == ("source", "table:x.csv")
    Path("waves.py").write_text(CLASS.format(module="tasks.functions", base="Sinusoid", name="Waves"))
    Path("mine.py").write_text(CLASS.format(module="algorithms.maml", base="MAML", name="Mine"))
    assert named("waves.py") == named("waves.py:Waves") == ("source", "waves.py:Waves")
    assert named("mine.py") == named("mine.py:Mine") == ("algorithm", "mine.py:Mine")
    Path("both.py").write_text(Path("waves.py").read_text() + Path("mine.py").read_text())
    with pytest.raises(UserError, match=r"has an algorithm and a source; allowed: both\.py:Mine or both\.py:Waves"):
        named("both.py")
    Path("pyproject.toml").write_text('[project.entry-points."metagap.sources"]\nwaves = "waves:Waves"\n')
    assert named(None) == ("source", "./waves.py:Waves")
    monkeypatch.setattr("metagap.registry.names", lambda kind: ["waves"])
    with pytest.raises(UserError, match="an algorithm and a source 'waves'; allowed: algorithm:waves, source"):
        named("waves")
    assert named("source:waves") == ("source", "waves")
