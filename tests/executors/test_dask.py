"""The executor `dask`: the records of `local`, on a cluster of its own or one that is there; deaths, and ends."""

from __future__ import annotations

import io
import os
import time

import pytest
from rich.console import Console

from metagap import executors, results
from metagap.errors import UserError
from metagap.executors import Again, Failure, Progress, dask
from metagap.executors.running import run_cells
from metagap.machine import Machine
from metagap.suite import expand, load_suite

psutil = pytest.importorskip("psutil", reason="needs psutil, as dask does")
distributed = pytest.importorskip("distributed", reason="needs dask.distributed")

EAGER = Machine("cpu", engine="loop plain eager", workers=1, cores=1)


@pytest.fixture
def cells(tiny_suite):
    return expand(load_suite(str(tiny_suite())))


@pytest.fixture
def long_cell(tiny_suite):
    return expand(load_suite(str(tiny_suite(name="long", seeds=[0], training={"iterations": 1_000_000}))))[:1]


@pytest.fixture(scope="module")
def cluster():
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": None, "silence_logs": 60}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        yield cluster


def workers(cluster) -> set[int]:
    with distributed.Client(cluster, set_as_default=False) as client:
        return set(client.run(os.getpid).values())


def test_wrong_settings_are_one_message(tiny_suite, here, monkeypatch):
    monkeypatch.setattr(dask, "CONNECTING", 1)
    tiny_suite()
    for written, message in (
        ("adress=tcp://x", "executor 'dask': unknown key 'adress'; did you mean 'address'?"),
        ("scheduler_file=none.json", "executor 'dask': no file scheduler_file = 'none.json'"),
        ("address=tcp://127.0.0.1:1", "no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
    ):
        code, text, errors = here("run", "tiny.toml", "--launch", "dask", "--dask", written)
        assert code == 2 and message in errors and "Traceback" not in errors + text
    with pytest.raises(UserError, match="both say where the scheduler is"):
        executors.find("dask", {"address": "tcp://x", "scheduler_file": "y"})


@pytest.mark.slow
def test_a_cluster_that_is_there_gives_the_records_of_local(cells, tmp_path, cluster, in_process):
    console = Console(file=io.StringIO(), width=200)
    there = executors.find("dask", {"address": cluster.scheduler_address})
    for name, executor in (("dask", there), ("local", executors.find("local"))):
        assert run_cells(cells, tmp_path / name, EAGER, console, executor) == []
    ours, theirs = (results.read(tmp_path / name, "tiny") for name in ("dask", "local"))
    assert ours.episodes.equals(theirs.episodes)


@pytest.mark.slow
def test_one_of_its_own_retries_a_cell_once_whose_worker_died(long_cell, tmp_path):
    told, killed, others = [], 0, set(psutil.Process().children())
    for _, event in executors.find("dask").events(long_cell, tmp_path, EAGER, False):
        told.append(event)
        if isinstance(event, Progress) and killed <= told.count(Again("its Dask worker died")):
            killed += 1
            for child in set(psutil.Process().children()) - others:
                if "--multiprocessing-fork" in child.cmdline():
                    child.kill()
    ends = [event for event in told if not isinstance(event, Progress)]
    assert killed == 2 and ends[0] == Again("its Dask worker died")
    assert isinstance(ends[1], Failure) and "its Dask worker died" in ends[1].message


@pytest.mark.slow
def test_a_run_that_ends_has_its_cell_save_and_end(long_cell, tmp_path, cluster):
    there = executors.find("dask", {"address": cluster.scheduler_address})
    machine = Machine("cpu", engine="loop plain eager", checkpoint_seconds=1e6)
    before = workers(cluster)
    events = there.events(long_cell, tmp_path, machine, False)
    assert isinstance(next(events)[1], Progress)
    events.close()
    saved = long_cell[0].folder(tmp_path) / "checkpoint.pt"
    until = time.monotonic() + 60
    while not saved.exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    assert workers(cluster) == before  # which serves others
