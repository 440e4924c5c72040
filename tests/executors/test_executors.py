"""Executors from outside: the same records as of `local`, and what is wrong with one is nobody else's."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from metagap import executors, results
from metagap.engine.machines import asked
from metagap.errors import CellError, UserError
from metagap.executors import Again, Done, Executor, Failure, Progress, Remark
from metagap.executors.attempt import attempt
from metagap.executors.running import error_of, run_cells
from metagap.machine import Machine
from metagap.suite import Cell, expand, load_suite
from packages import install

EXAMPLE = Path(__file__).parents[2] / "benchmark" / "examples" / "executor.py"
CPU = ("--device", "cpu", "--jobs", "1", "--engine", "loop plain eager")
EAGER = Machine("cpu", engine="loop plain eager")


@pytest.fixture
def cells(tiny_suite) -> list[Cell]:
    return expand(load_suite(str(tiny_suite())))


@pytest.fixture
def run(cells, tmp_path):
    """Runs the two tiny cells by a generator function: what failed, and what was printed."""

    def run(function: Callable) -> tuple[list, str]:
        console = Console(file=io.StringIO(), width=400)
        executor = Executor(name="mine", about="A test's.", run=function)
        return run_cells(cells, tmp_path, EAGER, console, executor), console.file.getvalue()

    return run


def test_one_from_a_package_or_a_file_gives_the_records_of_local(tiny_suite, here, site, in_process):
    tiny_suite()
    install(site, "theirs", {"executors": {"here": "theirs:HERE"}}, EXAMPLE.read_text(encoding="utf-8"))
    for store, name in (("usual", "local"), ("package", "here"), ("file", f"{EXAMPLE}:HERE")):
        code, text, errors = here("run", "tiny.toml", *CPU, "--launch", name, "--results", store)
        said = f"metagap: runs the code in '{EXAMPLE}'\n" if ".py:" in name else ""
        assert (code, errors) == (0, said)
        assert ("2 cells on cpu" if name == "local" else "2 cells on executor 'here'") in text
        assert "✓ maml seed 0 in" in text and "✓ scratch seed 0 in" in text
    usual, *others = (results.read(Path(store), "tiny") for store in ("usual", "package", "file"))
    for other in others:
        assert other.episodes.equals(usual.episodes) and list(other.cells.hash) == list(usual.cells.hash)
    assert "One cell after the other" in here("list", "executors")[1]


def test_an_unknown_name_is_one_message(tiny_suite, here):
    tiny_suite()
    code, _, errors = here("run", "tiny.toml", "--launch", "lokal")
    assert code == 2
    assert errors == "metagap: --launch: unknown executor 'lokal'; did you mean 'local'? allowed: dask, local, slurm\n"
    code, _, errors = here("run", "tiny.toml", "--launch", f"{EXAMPLE}:run")
    assert code == 2 and "is no Executor but function" in errors


def test_a_broken_package_harms_nobody(site, here):
    install(site, "broken", {"executors": {"broken": "broken:X"}}, "1 / 0\n")
    code, text, _ = here("list", "executors")
    assert code == 0 and "broken: executor 'broken' (broken (broken:X)) cannot be imported" in " ".join(text.split())
    assert executors.find("local").name == "local"


@pytest.mark.parametrize(("raised", "code"), [("RuntimeError('no queue')", 1), ("UserError('no queue')", 2)])
def test_what_it_raises_is_the_failure_of_the_cells_it_left(tiny_suite, here, raised, code):
    tiny_suite()
    plugin = EXAMPLE.read_text(encoding="utf-8").replace(
        "        yield", f"        if number: raise {raised}\n        yield"
    )
    Path("raises.py").write_text(plugin.replace("\n\n\ndef", "\nfrom metagap.errors import UserError\n\n\ndef", 1))
    found, text, errors = here("run", "tiny.toml", *CPU, "--launch", "raises.py:HERE")
    assert found == code and "Traceback" not in text + errors
    assert "executor 'here': " in errors and "no queue" in errors
    assert "✓ maml seed 0" in text and "✗ scratch seed 0: executor 'here': " in text
    (failed,) = results.failures(Path("results") / "tiny")
    assert failed.label == "scratch" and failed.traceback and "no queue" in failed.traceback.read_text()


def test_what_it_tells_is_shown(run):
    def watched(cells, store, machine, verbose):
        for number, cell in enumerate(cells):
            yield number, Remark("a slow disk")
            yield number, Progress("training", 1, 4)
            yield number, Again("its node went down")
            yield number, attempt(cell, store, machine)

    failed, text = run(watched)
    assert not failed and text.count("a slow disk") == 1
    assert "maml seed 0: its node went down; it is run once more, from its last checkpoint" in text


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "executor 'mine': it ended without running this cell"),
        ([(0, Done(1.0)), (1, Done(1.0))], "executor 'mine' calls it done, but its records are not whole in"),
        ([(0, Failure("no node")), (1, Failure("no node"))], "no node"),
        ([(2, Done(1.0))], "executor 'mine': ValueError('it tells of cell 2, which is not among"),
        ([(0, "done")], "executor 'mine': TypeError(\"it tells 'done', which is no event\")"),
        ([0], "executor 'mine': TypeError("),
    ],
)
def test_a_cell_without_records_has_failed(run, events, message):
    failed, text = run(lambda *_: iter(events))
    assert len(failed) == 2 and all(message in one.failed.message for one in failed)
    assert isinstance(error_of(failed), CellError) and text.count("✗") == 2


def test_it_is_closed_with_the_run(cells, tmp_path):
    closed = []

    def endless(*_):
        try:
            while True:
                yield 0, Progress("training", 1, 2)
        finally:
            closed.append(True)

    events = Executor(name="endless", about="A test's.", run=endless).events(cells, tmp_path, EAGER, False)
    next(events)
    events.close()
    assert closed == [True]


def test_an_attempt_tells_what_happens_and_gives_the_end(cells, tmp_path, monkeypatch):
    told = []
    assert isinstance(attempt(cells[0], tmp_path, EAGER, tell=told.append), Done)
    assert Progress("training", 4, 4) in told

    def run_cell(*_):
        raise SystemExit(3)

    monkeypatch.setattr("metagap.executors.attempt.run_cell", run_cell)
    failure = attempt(cells[1], tmp_path, EAGER)
    assert isinstance(failure, Failure) and failure.message == "SystemExit(3)" and not failure.is_bad_input


def test_an_attempt_has_the_device_and_the_cores_of_its_place(cells, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "metagap.executors.attempt.run_cell", lambda cell, store, machine, report: given.append(machine)
    )
    monkeypatch.setattr("metagap.executors.attempt.count_cores", lambda: 3)
    attempt(cells[0], tmp_path, Machine("auto", cores=64, workers=8))
    assert given == [Machine(given[0].device, cores=3, workers=1)] and given[0].device in ("cpu", "cuda:0")


def test_the_machine_that_is_asked_for_is_held_to_what_there_is():
    assert asked(memory="2G", workers=2).memory == 2 * 2**30
    for wrong in ({"engine": "fast"}, {"device": "tpu"}, {"memory": "much"}, {"workers": 0}):
        with pytest.raises(UserError, match=str(next(iter(wrong.values())))):
            asked(**wrong)
