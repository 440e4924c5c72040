"""Worker processes: the same numbers as without them, whatever becomes of them."""

from __future__ import annotations

import threading
from functools import cache
from socket import socketpair

import pytest
import torch

from metagap.engine.internals import generated, pool
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, parse
from metagap.tasks.episode import Episode


def in_a_thread():
    """A worker without the seconds that a process takes to import torch."""
    ours, theirs = socketpair()
    threading.Thread(target=pool.main, args=(theirs.detach(),), daemon=True).start()
    return None, pool.Connection(ours.detach())


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setattr(pool, "_start", in_a_thread)
    monkeypatch.setattr(pool, "workers", cache(pool.Workers))


def mean_gradient(algorithm, text: str, cores: int = 1) -> TaskMap:
    strategy = parse(text, Strategy())
    made = TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True, cores=cores)
    made.start_workers()
    return made


def equal(first, second) -> bool:
    return all(torch.equal(first[0][name], second[0][name]) for name in first[0])


@pytest.mark.parametrize("words", ["loop traced", "vmap traced chunk=2", "loop channels-last traced recompute"])
def test_workers_do_not_change_a_bit(words, images, threads, caplog):
    algorithm, meta, episodes = images
    episodes = episodes._replace(support_y=torch.arange(3).expand(5, 3))  # as samplers give it for one shot
    alone = mean_gradient(algorithm, words)(meta, episodes)
    shared, done = mean_gradient(algorithm, words, cores=3), []
    for _ in range(2):
        assert equal(shared(meta, episodes, done.append), alone)
    assert sum(done) == 10
    assert shared._backend._jobs
    assert not caplog.records  # nothing went wrong in between


def test_a_trace_without_generated_code_gives_the_same_bits(images, threads, monkeypatch, caplog):
    algorithm, meta, episodes = images
    alone = mean_gradient(algorithm, "loop traced")(meta, episodes)

    def other_code(*_):
        raise AttributeError("'str' object has no attribute 'src'")

    monkeypatch.setattr(generated.Code, "of", other_code)
    shared = mean_gradient(algorithm, "loop traced", cores=2)
    assert equal(shared(meta, episodes), alone)
    assert shared._backend._jobs
    assert not caplog.records


def test_results_that_are_not_averaged_come_in_order(images, threads):
    _, meta, episodes = images

    def twice(meta, task: Episode):
        return {"x": (2 * task.query_x, [task.query_y])}

    shared = TaskMap(twice, parse("loop traced", Strategy()), cores=2)
    shared.start_workers()
    found = shared(meta, episodes)
    assert torch.equal(found["x"][0], 2 * episodes.query_x)
    assert torch.equal(found["x"][1][0], episodes.query_y)


@pytest.mark.parametrize("when", ["before the job", "after the job"])
def test_a_worker_that_ends_leaves_the_work_to_this_process(when, images, threads, caplog):
    algorithm, meta, episodes = images
    alone, left = mean_gradient(algorithm, "loop traced"), mean_gradient(algorithm, "loop traced", cores=2)
    if when == "after the job":
        left(meta, episodes)
    for pipe in pool.workers(1)._pipes:
        pipe.close()
    for _ in range(2):
        assert equal(left(meta, episodes), alone(meta, episodes))
    assert [record.getMessage()[:24] for record in caplog.records] == ["going on with one core: "]


def test_a_worker_is_a_process(images, monkeypatch, caplog):
    algorithm, meta, episodes = images
    monkeypatch.setattr(pool, "workers", cache(pool.Workers))
    alone, shared = mean_gradient(algorithm, "loop traced"), mean_gradient(algorithm, "loop traced", cores=2)
    assert equal(shared(meta, episodes), alone(meta, episodes))
    assert not caplog.records
    (process,) = pool.workers(1)._processes
    process.kill()
    process.wait()
    assert equal(shared(meta, episodes), alone(meta, episodes))
    assert "going on with one core" in caplog.text
