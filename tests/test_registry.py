"""Plugins of other packages: what is wrong with one is said by its name, and harms nobody else."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from metagap import registry
from metagap.cli import main
from metagap.errors import UserError
from packages import install

GOOD = '''"""A plugin."""
from metagap.algorithms.base import Algorithm
from metagap.algorithms.maml import MAML


class Good(MAML):
    """A good one."""


class Half(Algorithm):
    """Has no inner loop."""
'''


def package(site: Path, name: str, entries: dict[str, str], code: str = GOOD) -> None:
    """Install a package of one module of the same name, which registers algorithms."""
    install(site, name, {"algorithms": entries}, code)


def message(name: str) -> str:
    with pytest.raises(UserError) as error:
        registry.load("algorithm", name)
    return str(error.value)


@pytest.mark.parametrize("kind", ["algorithm", "model", "source", "metric", "kind"])
def test_what_we_register_is_complete(kind):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, value in project["entry-points"][f"metagap.{kind}s"].items():
        found = EntryPoint(name, value, f"metagap.{kind}s").load()
        assert registry.fault(kind, found) == "", name
        assert registry.summary(found), name


def test_a_plugin_is_found_by_its_name(site):
    package(site, "sunny", {"sunny-maml": "sunny:Good"})
    assert registry.load("algorithm", "sunny-maml").__name__ == "Good"
    assert "sunny-maml" in registry.names("algorithm")
    assert registry.clashes("algorithm") == []


def test_an_edited_plugin_is_another_algorithm(site):
    package(site, "edited", {"edited": "edited:Good"})
    before = registry.fingerprint("algorithm", "edited")
    (site / "edited.py").write_text(GOOD + "\n# edited\n")
    assert before != registry.fingerprint("algorithm", "edited")
    assert registry.fingerprint("algorithm", "maml") is None


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("stormy:Good", "raise RuntimeError('no such library')", "cannot be imported: RuntimeError('no such library')"),
        ("stormy:Good", "import sys\nsys.exit(3)", "cannot be imported: SystemExit(3)"),
        ("stormy:Good", "def Good(:", "cannot be imported: SyntaxError"),
        ("stormy:Gone", GOOD, "cannot be imported: AttributeError"),
        ("stormier:Good", GOOD, "cannot be imported: ModuleNotFoundError"),
        ("stormy:Good", GOOD.replace("metagap.", "benchmark."), "write `from metagap` instead of `from benchmark`"),
        ("stormy:Half", GOOD, "does not implement adapt"),
        ("stormy", GOOD, "is not a class but module"),
        ("stormy:Good", "class Good: ...", "does not derive from metagap.algorithms.base.Algorithm"),
    ],
)
def test_what_is_wrong_is_said_and_harms_nobody_else(site, monkeypatch, capsys, value, code, said):
    package(site, "stormy", {"stormy": value}, code)
    assert said in message("stormy")
    assert "algorithm 'stormy'" in message("stormy")
    assert registry.load("algorithm", "maml").__name__ == "MAML"
    monkeypatch.setattr(sys, "argv", ["metagap", "list", "algorithms", "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    rows = {row["name"]: row["about"] for row in json.loads(capsys.readouterr().out)}
    assert rows["stormy"].startswith("broken: ")
    assert said in rows["stormy"]
    assert [name for name, about in rows.items() if "broken" in about] == ["stormy"]


def test_a_name_that_two_packages_claim_is_nobodys(site):
    package(site, "first", {"twice": "first:Good", "once": "first:Good"})
    package(site, "second", {"twice": "second:Good"})
    said = message("twice")
    assert "algorithm 'twice' is claimed by 2 packages, first (first:Good) and second (second:Good)" in said
    assert registry.load("algorithm", "once").__name__ == "Good"


def test_a_built_in_name_stays_built_in(site, monkeypatch, capsys):
    package(site, "pirate", {"maml": "pirate:Good"})
    assert registry.load("algorithm", "maml").__module__ == "metagap.algorithms.maml"
    said = (
        "algorithm 'maml' of pirate (pirate:Good) is not used, for metagap has one of that name; it needs another name"
    )
    assert registry.clashes("algorithm") == [said]
    monkeypatch.setattr(sys, "argv", ["metagap", "list", "algorithms", "--json"])
    with pytest.raises(SystemExit):
        main()
    captured = capsys.readouterr()
    assert captured.err == f"metagap: {said}\n"
    assert "broken" not in captured.out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('no')", "file '{path}' cannot be imported: RuntimeError('no')"),
        ("import sys; sys.exit(1)", "file '{path}' cannot be imported: SystemExit(1)"),
        ("from benchmark.models import Conv4", "the package is called metagap: write `from metagap` instead of"),
        (GOOD.replace("Good", "Better"), "no class 'Good' in '{path}'; allowed: Better, Half"),
        ("Good = 3", "algorithm '{path}:Good' is not a class but int: 3"),
        ("import time; time.sleep(30)", "algorithm file '{path}' is not imported after 0.2 s: does it wait"),
        ("while True: pass", "algorithm file '{path}' is not imported after 0.2 s"),
    ],
)
def test_files_too(tmp_path, monkeypatch, code, said):
    if "is not imported" in said:
        monkeypatch.setattr(registry, "IMPORT_SECONDS", 0.2)
    path = tmp_path / "plugin.py"
    path.write_text(code)
    assert said.format(path=path) in message(f"{path}:Good")


def test_files_of_the_same_name_in_other_folders_are_others(tmp_path, monkeypatch):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(GOOD.replace("Good", f"In_{folder}"))
        monkeypatch.chdir(tmp_path / folder)
        assert registry.load("algorithm", f"./plugin.py:In_{folder}").__name__ == f"In_{folder}"
