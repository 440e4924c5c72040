"""Failures are results: each is recorded with what, when and where, reported, and repeated only where that may help."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from metagap import results
from metagap.algorithms.policies.learner import PolicyLearner
from metagap.engine.machines import asked, parse_seconds
from metagap.engine.mapping import TaskMap
from metagap.errors import CellError, UserError
from metagap.executors import Executor, Failure, running
from metagap.executors.attempt import attempt
from metagap.executors.running import error_of, run_cells
from metagap.machine import Machine
from metagap.suite import expand, load_suite

EAGER = Machine("cpu", engine="vmap plain eager")
HERE = Executor(
    name="here",
    about="A test's.",
    run=lambda cells, store, machine, _: ((n, attempt(cell, store, machine)) for n, cell in enumerate(cells)),
)
PLUGIN = '''
from pathlib import Path

from metagap.algorithms.maml import FOMAML


class Breaks(FOMAML):
    """Fails where a file says so, and counts how often."""

    def meta_gradient(self, meta, episode):
        calls = Path(__file__).with_suffix(".calls")
        calls.write_text(calls.read_text() + "." if calls.is_file() else ".")
        if len(calls.read_text()) % 3 == 0:
            raise ValueError("no idea")
        return super().meta_gradient(meta, episode)
'''


@pytest.fixture
def run(tmp_path):
    """Runs cells here: what failed, and what was printed."""

    def run(cells, machine=EAGER, **options):
        console = Console(file=io.StringIO(), width=400)
        return run_cells(cells, tmp_path, machine, console, HERE, **options), console.file.getvalue()

    return run


@pytest.fixture
def suite(tiny_suite):
    def suite(*changes, kind="waves", **tables):
        return expand(load_suite(str(tiny_suite(kind, **tables)), changes))

    return suite


def test_an_exception_is_recorded_and_not_repeated(suite, run, tmp_path, monkeypatch):
    (tmp_path / "breaks.py").write_text(PLUGIN)
    own = {"maml": None, "breaks": {"algorithm": f"{tmp_path}/breaks.py:Breaks"}}
    cells = suite(algorithms=own)[::-1]
    machine = replace(EAGER, engine="loop plain eager", checkpoint_seconds=0)
    failed, text = run(cells, machine)
    (one,) = (one.failed for one in failed)
    assert (one.kind, one.label, one.place, one.checkpoint) == ("error", "breaks", "training, 1 of 4", 1)
    assert one.traceback and "in meta_gradient" in one.traceback.read_text() and "✓ scratch" in text
    found = results.read(tmp_path, "tiny")
    assert [one.message for one in found.failed] == ["ValueError('no idea')"]
    assert any("error in training, 1 of 4); checkpoint: iteration 1" in note for note in found.notes)

    def calls() -> int:
        return len((tmp_path / "breaks.calls").read_text())

    before = calls()
    failed, text = run([cells[0]], machine)
    assert calls() == before and "failed on" in text and "--retry-failed" in text
    error = error_of(failed)
    assert isinstance(error, CellError) and str(error).count("\n") == 1 and "breaks seed 0: ValueError" in str(error)
    with monkeypatch.context() as patch:
        patch.setattr(running, "code", lambda package: "other")
        run([cells[0]], machine)
    assert calls() > before
    while run([cells[0]], machine, retry=True)[0]:
        pass
    assert not results.read(tmp_path, "tiny").failed and not list(tmp_path.rglob("failed.json"))


def test_what_has_no_memory_computes_fewer_tasks_at_once_and_says_so(suite, run, tmp_path, monkeypatch):
    (cell,) = suite(algorithms={"scratch": None}, training={"meta_batch": 4})
    real, most = TaskMap._tried, 1

    def tried(self, meta, episodes, advance):
        if min(self.strategy.at_once, len(episodes.support_x)) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes")
        return real(self, meta, episodes, advance)

    monkeypatch.setattr(TaskMap, "_tried", tried)
    assert run([cell])[0] == []
    found = results.read(tmp_path, "tiny")
    assert "maml seed 0: out of memory with 4 tasks at once, going on with 2." in found.notes
    assert "maml seed 0: out of memory with 2 tasks at once, going on with 1." in found.notes
    assert "chunk=1" in found.cells["engine"][0]
    most = 0
    (failed,), _ = run([replace(cell, seed=1)])
    assert (failed.failed.kind, failed.is_bad_input) == ("out of memory", False)
    assert failed.failed.message.startswith("out of memory with a single task at a time: DefaultCPUAllocator")
    assert running.lasting(replace(cell, seed=1), tmp_path, EAGER) is None  # there may be more by then


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), OSError(12, "x")])
def test_memory_that_runs_out_has_many_names(error):
    try:
        raise error
    except Exception as caught:
        expected = "environment" if isinstance(caught, OSError) else "out of memory"
        assert Failure.of(caught).kind == expected


def test_a_time_limit_ends_at_a_checkpoint_that_a_longer_one_goes_on_from(suite, run, tmp_path):
    cell = suite()[0]
    short = replace(EAGER, time_limit=1e-9)
    (failed,), _ = run([cell], short)
    one = failed.failed
    assert (one.kind, one.checkpoint, one.limit, one.place) == ("timed out", 1, 1e-9, "training, 1 of 4")
    assert run([cell], short)[0][0].failed == one._replace(hash=cell.hash)  # it is not tried again
    assert run([cell], short, retry=True)[0][0].failed.checkpoint == 2
    assert run([cell])[0] == []
    (tmp_path / "whole").mkdir()
    attempt(cell, tmp_path / "whole", EAGER)
    whole, parts = (results.read(folder, "tiny") for folder in (tmp_path / "whole", tmp_path))
    assert whole.episodes.equals(parts.episodes) and not parts.failed


def test_times_are_written_with_units():
    assert [parse_seconds(text) for text in ("90", "90s", "1.5m", "2h", "1d")] == [90, 90, 90, 7200, 86400]
    assert asked(time_limit="2h").time_limit == 7200
    for wrong in ("", "h", "0", "-1h", "2 hours", "inf", "nan"):
        with pytest.raises(UserError, match="--time-limit"):
            parse_seconds(wrong)


def test_a_diverged_cell_is_a_result_and_a_failure(tiny_suite, here, in_process, tmp_path):
    tiny_suite(training={"lr": 1e30, "iterations": 30})
    for _ in range(2):  # the second time it is done already
        words = ["--launch", "local", "--jobs", "1", "--device", "cpu", "--engine", "loop plain eager"]
        code, _, errors = here("run", "tiny.toml", *words)
        assert code == 1 and "1 cell failed\nmaml seed 0: the meta-parameters are no longer numbers (diverged" in errors
    found = results.read(tmp_path / "results", "tiny")
    (one,) = found.failed
    assert (one.kind, one.label, one.total) == ("diverged", "maml", 30) and one.done < 30
    state = torch.load(next(tmp_path.glob("results/tiny/maml/*/checkpoint.pt")), weights_only=True)
    assert state["good"]["iteration"] == one.checkpoint
    assert all(value.isfinite().all() for value in state["good"]["meta"].values())
    assert set(found.cells["algorithm"]) == {"maml", "scratch"}  # counted, and not dropped


def test_a_damaged_record_of_a_failure_is_a_failure_still(suite, run, tmp_path):
    cell = suite()[0]
    run([cell], replace(EAGER, time_limit=1e-9))
    run([suite()[1]])
    path = cell.folder(tmp_path) / "failed.json"
    path.write_bytes(path.read_bytes().replace(b"timed", b"tamed"))
    (one,) = results.read(tmp_path, "tiny").failed
    assert (one.kind, one.label, one.seed, one.hash) == ("unknown", "maml", 0, cell.hash)
    assert run([cell])[0] == [] and not path.exists()


def test_a_trust_region_without_a_number_is_seen_though_it_moves_no_weight(suite, run, tmp_path, monkeypatch):
    real = PolicyLearner.surrogate
    monkeypatch.setattr(
        PolicyLearner, "surrogate", lambda *given: (found := real(*given))._replace(loss=found.loss * float("nan"))
    )
    (cell,) = suite(kind="plane", algorithms={"policy-random": None})
    assert run([cell], replace(EAGER, engine="loop plain eager"))[0] == []
    found = results.read(tmp_path, "tiny")
    row = found.cells.iloc[0]
    assert row["diverged"] and row["diverged_at"] == 1 and not row["lost"]
    assert any("diverged" in note for note in found.notes)
