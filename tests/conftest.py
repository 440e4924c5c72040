from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from metagap import registry
from metagap.cli import main
from metagap.executors import Done, pool
from metagap.report import page, sweeps
from metagap.report.panels import Gallery, Panel
from tiny_suites import write

torch.set_num_threads(1)
gc.set_threshold(100_000)  # as in commands: to look for garbage in all that is imported takes a tenth of the time

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's data and cache folders; the workers of a test run share a cache."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
        patch.delenv("METAGAP_DATA", raising=False)
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        yield


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
    """`tiny_suites.write` in the test's folder."""
    return partial(write, tmp_path)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take longest; tests/report looks at these."""
    page_contents = page.page_contents

    def without() -> tuple[list[Any], list[str]]:
        contents, faults = page_contents()
        return [shown for shown in contents if not isinstance(shown, Panel | Gallery)], faults

    monkeypatch.setattr(page, "page_contents", without)
    monkeypatch.setattr(sweeps, "figures_of", lambda found: {})


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_figures: None
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process and in the test's folder: exit code, output and errors. Reports have no figures."""

    def here(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metagap", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    monkeypatch.chdir(tmp_path)
    return here


def run_in_process(jobs: Any, work: Any, starts: Any, *_: Any) -> Iterator[tuple[int, Done]]:
    """`pool.run` without processes."""
    starts[0](lambda *_: None)
    for number, job in enumerate(jobs):
        yield number, work(job, 1, lambda *_: None) or Done(0.0)


@pytest.fixture(scope="module")
def module_in_process() -> Iterator[None]:
    """`in_process` for fixtures that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "run", run_in_process)
        yield


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are run in this process, where nothing has to be imported again, and an error is the test's."""
    monkeypatch.setattr(pool, "run", run_in_process)
