"""Bad input: a message that says where, what and what is allowed, the exit code, and nothing changed on the disk.

What is given, and what is said of it, stands in the .toml files here; `world.py` makes the folder in which it is given.
"""

from __future__ import annotations

import copy
import os
import shlex
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import world
from typer.main import get_command

from metagap.cli import app
from metagap.executors import pool
from metagap.files import SUITES
from tiny_suites import TASKS

HERE = Path(__file__).parent


def cases(name: str) -> list[Any]:
    """A test for each line of a file: its section, what is given, and the parts of what has to be said.

    Of long files two of three lines are slow, for neighbours are alike.
    """
    table = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    lines = [(section, *line) for section, about in table.items() for line in about.items()]
    long = len(lines) > 200
    return [
        pytest.param(
            section, given, said.split("…"), id=f"{section}: {given}", marks=[pytest.mark.slow] * (long and i % 3 > 0)
        )
        for i, (section, given, said) in enumerate(lines)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests, as none may change it."""
    folder = tmp_path_factory.mktemp("world")
    world.build(folder)
    return folder


def state(folder: Path) -> dict[str, tuple[int, ...]]:
    """When everything in a folder was changed last, but for the index of a store, which anybody may make anew."""
    found = {}
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if name != ".index":
                about = os.lstat(path := f"{above}/{name}")
                found[path] = (
                    about.st_ino,
                    about.st_mode,
                    *((about.st_size, about.st_mtime_ns) if name in files else ()),
                )
    return found


@cache
def command() -> Callable[[], None]:
    """The command line, made once for all tests, which takes longer than to refuse something."""
    return get_command(app)


def began(*_: Any) -> Iterator[Any]:
    raise AssertionError("cells were run")


@pytest.fixture
def refused(folder: Path, here: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch):
    """The command, checked: nothing is run or changed. Gives the exit code and what was said, in one line."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(pool, "run", began)
    monkeypatch.setattr("metagap.cli.app", command())

    def refused(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        before = state(folder)
        code, text, errors = here(*arguments)
        assert state(folder) == before
        assert "Traceback" not in text + errors and "a fault of metagap" not in errors
        return code, " ".join(f"{text} {errors}".replace("│", " ").split())

    return refused


@contextmanager
def instead(path: Path, text: str) -> Iterator[None]:
    """A file with another content, for a while."""
    before = path.read_text()
    path.write_text(text)
    yield
    path.write_text(before)


@pytest.mark.parametrize(("base", "change", "said"), cases("suites"))
def test_of_a_suite(folder, refused, base, change, said):
    if base == "text":
        text = change
    else:
        text = changed(TASKS[base] if base in TASKS else SUITES.read(SUITES.path(base)), change)
    with instead(folder / "tiny.toml", text):
        code, found = refused("run", "tiny.toml")
    assert all(part in found for part in said), found
    assert code == 2


@pytest.mark.parametrize(("_", "change", "said"), cases("tables"))
def test_of_a_table_of_a_paper(folder, refused, _, change, said):
    with instead(folder / "doe.toml", changed(world.PAPER, change)):
        code, found = refused("reproduce", "doe.toml")
    assert all(part in found for part in said), found
    assert code == 2


def changed(table: dict[str, Any], changes: str) -> str:
    """A table with changes, as TOML."""
    table = copy.deepcopy(table)
    for change in changes.split(" ; "):
        make(table, change)
    return tomli_w.dumps(table)


def make(suite: dict[str, Any], change: str) -> None:
    """Make a change in a table: a line of TOML, whose tables go into those that are there, or `without KEY`."""
    place: Any = suite
    if not change.startswith("without "):
        return put(suite, tomllib.loads(change))
    *above, last = change.removeprefix("without ").split(".")
    for key in above:
        place = place[int(key) if isinstance(place, list) else key]
    del place[last]


def put(below: Any, own: dict[str, Any]) -> None:
    for name, value in own.items():
        key = int(name) if isinstance(below, list) else name
        inside = below[key] if isinstance(below, list) else below.get(key)
        if isinstance(value, dict) and value and isinstance(inside, dict | list):
            put(inside, value)
        else:
            below[key] = value


@pytest.mark.parametrize(
    ("exits", "line", "said"),
    [case for name in ("commands", "data", "plugins", "stores") for case in cases(name)],
)
def test_of_a_command(refused, exits, line, said):
    code, found = refused(*shlex.split(line))
    assert all(part in found for part in said), found
    assert code == int(exits.removeprefix("exits "))
