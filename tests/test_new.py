"""From an empty folder to a report: `metagap new`, a few changes, `metagap check`, `metagap run`."""

from __future__ import annotations

import runpy
import sys
import tomllib
from pathlib import Path

import pytest

from metagap import results
from metagap.checking import paths
from metagap.checking.examine import EXAMINATIONS
from metagap.cli import main
from metagap.errors import UserError
from metagap.skeleton.project import new_algorithm
from packages import install

FILES = ["README.md", "mine.py", "pyproject.toml", "test_mine.py"]

TEN_LINES = {
    "MAML whose inner gradients are no longer than a limit.": "MAML that learns the step size of every weight.",
    "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning; and a limit of our own": "Li, Zhou, Chen, Li (2017)",
    '    limit: float = Field(2.0, gt=0, description="greatest length of the gradient of an inner step")\n': """
    def init(self, network, class_count, generator):
        meta = super().init(network, class_count, generator)
        return meta | {f"{name} lr": torch.full_like(w, self.inner_lr) for name, w in meta.items()}
""",
    "        gradient = self.support_gradient(fast, support)\n": """\
        weights = {name: w for name, w in fast.items() if not name.endswith(" lr")}
        gradient = self.support_gradient(weights, support)
""",
    "        square = sum(g.square().sum() for g in gradient.values())\n": "",
    "        factor = self.limit / square.clamp(min=self.limit**2).sqrt()\n": "",
    "        return {name: weight - self.inner_lr * factor * gradient[name] for name, weight in fast.items()}\n": """\
        return fast | {name: w - fast[f"{name} lr"] * gradient[name] for name, w in weights.items()}
""",
    "from typing import ClassVar\n": "from typing import ClassVar\n\nimport torch\n",
}
"""The changes of somebody who has an idea: old text, new text."""


@pytest.fixture
def fewer_plans(monkeypatch):
    """`metagap check` without what takes longest: traced engine paths and learning; test_examine has all of them."""
    untraced = {kind: [plan for plan in plans if "traced" not in plan] for kind, plans in paths.PLANS.items()}
    monkeypatch.setattr(paths, "PLANS", untraced)
    monkeypatch.delitem(EXAMINATIONS, "learning")


def test_from_an_empty_folder_to_a_report(here, in_process, fewer_plans, tmp_path, tiny_suite):
    code, text, errors = here("new", "algorithm", "mine")
    assert code == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert text.splitlines()[-1] == "Next: change mine.py, then metagap check"

    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    for old, new in TEN_LINES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")

    code, text, errors = here("check")
    assert code == 0, text + errors
    assert text.splitlines()[-1] == f"{len(EXAMINATIONS)} examinations, none failed"
    assert text.count("✓") == len(EXAMINATIONS)

    tiny_suite("images")
    chosen = ["--algorithm", "./mine.py:Mine", "--algorithm", "maml"]
    code, _, errors = here("run", "tiny.toml", *chosen, "--engine", "loop plain eager")
    assert code == 0, errors
    assert set(results.read(tmp_path / "results", "tiny").cells.algorithm) == {"mine", "maml"}
    (page,) = (path.read_text(encoding="utf-8") for path in (tmp_path / "reports").glob("*/index.html"))
    assert "mine" in page
    assert "maml" in page


@pytest.mark.parametrize("kind", ["regression", pytest.param("control", marks=pytest.mark.slow)])
def test_the_tests_of_the_skeleton_pass(fewer_plans, tmp_path, monkeypatch, kind):
    new_algorithm("my_own", tmp_path, kind)
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = runpy.run_path(str(tmp_path / "test_my_own.py"))
    tests = [name for name in theirs if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        theirs[name]()
    del sys.modules["my_own"]


def test_a_learner_of_policies_from_an_empty_folder_to_scores(here, in_process, tmp_path, tiny_suite, monkeypatch):
    for examination in [*EXAMINATIONS][5:]:  # test_policy_learners has all of them
        monkeypatch.delitem(EXAMINATIONS, examination)
    code, text, errors = here("new", "algorithm", "mine", "--kind", "control")
    assert code == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert len((tmp_path / "mine.py").read_text(encoding="utf-8").splitlines()) < 60
    assert "metagap run navigation --algorithm ./mine.py:Mine" in (tmp_path / "README.md").read_text(encoding="utf-8")

    code, text, errors = here("check")
    assert code == 0, text + errors
    assert text.splitlines()[-1] == f"{len(EXAMINATIONS)} examinations, none failed"

    tiny_suite("navigation")
    code, _, errors = here("run", "tiny.toml", "--algorithm", "./mine.py:Mine", "--engine", "loop plain eager")
    assert code == 0, errors
    assert set(results.read(tmp_path / "results", "tiny").cells.algorithm) == {"mine"}


def test_the_skeleton_registers_its_class(tmp_path):
    new_algorithm("my_own", tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "metagap-my-own"
    assert project["entry-points"] == {"metagap.algorithms": {"my_own": "my_own:MyOwn"}}


@pytest.fixture
def installed(site, tmp_path):
    """The skeleton of `mine`, installed."""
    code, _, settings, *_ = new_algorithm("mine", tmp_path / "project")
    groups = tomllib.loads(settings.read_text(encoding="utf-8"))["project"]["entry-points"]
    groups = {group.removeprefix("metagap."): entries for group, entries in groups.items()}
    install(site, "mine", groups, code.read_text(encoding="utf-8"))


def test_installed_it_is_run_by_its_name(here, installed, in_process, tmp_path, tiny_suite):
    tiny_suite()
    code, _, errors = here("run", "tiny.toml", "--algorithm", "mine", "--engine", "loop plain eager")
    assert code == 0, errors
    assert set(results.read(tmp_path / "results", "tiny").cells.algorithm) == {"mine"}


def test_installed_its_options_are_shown(here, installed):
    assert "greatest length of the gradient" in " ".join(here("show", "mine")[1].split())


def test_the_name_of_an_installed_algorithm_is_taken(here, installed):
    assert here("new", "algorithm", "mine")[0] == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-maml", "not a name that Python, pip and metagap all take; allowed: a Python name of ASCII letters"),
        ("2nd", "not a name"),
        ("class", "not a name"),
        ("mine_", "not a name"),
        ("größer", "not a name"),
        ("../mine", "not a name"),
        ("", "not a name"),
        ("maml", "there is an algorithm 'maml' already"),
        ("ma_ml", "there is an algorithm 'maml' already"),
        ("random", "there is a Python module of this name already"),
        ("metagap", "there is a Python module of this name already"),
        ("field", "its class would be called Field, as another"),
        ("gradient_learner", "its class would be called GradientLearner, as another"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        new_algorithm(name)
    assert message in str(error.value)
    assert str(error.value).startswith(f"new algorithm '{name}': ")
    assert list(tmp_path.iterdir()) == []


def test_where_it_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv").mkdir()
    assert new_algorithm("mine")[0] == Path("mine.py")
    assert new_algorithm("yours")[0] == Path("yours/yours.py")  # here it is no longer empty
    assert new_algorithm("theirs", Path("a/b"))[0] == Path("a/b/theirs.py")
    with pytest.raises(UserError, match="'yours' is there already and not an empty folder; choose a --folder"):
        new_algorithm("yours")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "test_mine.py").write_text("mine")
    with pytest.raises(UserError) as error:
        new_algorithm("mine", tmp_path)
    assert f"not overwritten: {tmp_path / 'test_mine.py'}, {tmp_path / 'README.md'}" in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "test_mine.py"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        new_algorithm("mine", tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "model", "mine"], "new 'model'; allowed: algorithm"),
        (
            ["new", "algorithm", "mine", "--kind", "contrl"],
            "new algorithm 'mine': --kind 'contrl'; allowed: classification, regression, control",
        ),
        (["check", "mamml"], "no algorithm and no source 'mamml'; did you mean 'maml'?"),
        (["check", "gone.py:Mine"], "no file 'gone.py' to take an algorithm from"),
        (
            ["check"],
            "say what, a name of `metagap list algorithms` or `sources`, or path/to/file.py:ClassName; there is no",
        ),
        (["check", "maml", "--set", "inner_lrr=1"], "--set: unknown key 'inner_lrr'; did you mean 'inner_lr'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_message_and_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["metagap", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.err.startswith("metagap: ")
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_check_exits_with_1_where_something_is_wrong(tmp_path, monkeypatch, capsys):
    (tmp_path / "half.py").write_text("from metagap.algorithms.base import Algorithm\n\n\nclass Half(Algorithm): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["metagap", "check", "half.py:Half"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "✗ contract: the class does not implement adapt" in capsys.readouterr().out
