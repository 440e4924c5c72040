"""From an empty folder to a report: `metagap new`, a few changes, `metagap check`, `metagap run`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metagap import results
from metagap.checking.examine import EXAMINATIONS
from metagap.cli import main
from metagap.errors import UserError
from metagap.skeleton.project import new_algorithm

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


def metagap(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from metagap.cli import main; main()", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300, env=os.environ | environment
    )
    assert "Traceback" not in done.stderr
    return done


def test_from_an_empty_folder_to_a_report(here, in_process, tmp_path, tiny_suite):
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


def test_the_skeleton_is_sound_and_its_tests_pass(tmp_path):
    new_algorithm("my_own", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "metagap-my-own"
    assert project["entry-points"] == {"metagap.algorithms": {"my_own": "my_own:MyOwn"}}


def test_installed_it_is_run_by_its_name(tmp_path, tiny_suite):
    site = tmp_path / "site"
    project = tomllib.loads(new_algorithm("mine", site)[2].read_text(encoding="utf-8"))["project"]
    info = site / "metagap_mine-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    entries = [f"{key} = {value}" for key, value in project["entry-points"]["metagap.algorithms"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[metagap.algorithms]", *entries]))
    tiny_suite()
    installed = {"PYTHONPATH": str(site)}

    done = metagap(tmp_path, "run", "tiny.toml", "--algorithm", "mine", "--engine", "loop plain eager", **installed)
    assert done.returncode == 0, done.stderr
    assert set(results.read(tmp_path / "results", "tiny").cells.algorithm) == {"mine"}
    shown = metagap(tmp_path, "show", "mine", **installed)
    assert "greatest length of the gradient" in " ".join(shown.stdout.split())  # whatever the width of the terminal
    assert metagap(tmp_path, "new", "algorithm", "mine", **installed).returncode == 2


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
    with pytest.raises(UserError, match="cannot write to"):
        new_algorithm("mine", tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "model", "mine"], "new 'model'; allowed: algorithm"),
        (["check", "mamml"], "unknown algorithm 'mamml'; did you mean 'maml'?"),
        (["check", "gone.py:Mine"], "no file 'gone.py' to take an algorithm from"),
        (
            ["check"],
            "say what, a name of `metagap list algorithms` or path/to/file.py:ClassName; there is no pyproject",
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
