from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from metagap import registry
from metagap.cli import main
from metagap.executors import Done, pool
from tiny_suites import TASKS, merged

torch.set_num_threads(1)

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither read nor fill the user's data and cache folders."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("METAGAP_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch):
    """Gives the folder of real data that holds a file, or skips the test with the name of the file."""

    def need(file: str) -> Path:
        if not (SHARED_DATA / file).exists():
            pytest.skip(f"needs {file} in the folder of real data")
        monkeypatch.setenv("METAGAP_DATA", str(SHARED_DATA))
        return SHARED_DATA

    return need


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    registry._claims.cache_clear()
    yield folder
    registry._claims.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def tiny_suite(tmp_path: Path) -> Callable[..., Path]:
    """Writes a suite file in the test's folder: `kind` with changes, which go into its tables key by key.

    None removes a key; a list of tables is replaced.
    """

    def tiny_suite(kind: str = "waves", *, name: str = "tiny", **changes: Any) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(tomli_w.dumps(merged(TASKS[kind], changes)))
        return path

    return tiny_suite


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command in this process and in the test's folder: exit code, output and errors."""

    def here(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metagap", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    monkeypatch.chdir(tmp_path)
    return here


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are run in this process, where nothing has to be imported again, and an error is the test's."""

    def run(jobs: Any, work: Any, starts: Any) -> Iterator[tuple[int, Done]]:
        starts[0](lambda *_: None)
        for number, job in enumerate(jobs):
            work(job, lambda *_: None)
            yield number, Done(0.0)

    monkeypatch.setattr(pool, "run", run)
