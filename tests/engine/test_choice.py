"""The choice of a strategy: timed once, remembered, and held to what was asked for."""

from __future__ import annotations

import logging

import pytest
import torch

from metagap.algorithms.maml import MAML
from metagap.engine import choice
from metagap.engine.choice import choose
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, TaskSpec


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "user_cache_path", lambda name: tmp_path)
    return tmp_path


def test_it_is_timed_once_and_the_first_choice_stays(monkeypatch, cache, images):
    times = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(
        choice, "_milliseconds", lambda strategies, *_: {strategy: next(times) for strategy in strategies}
    )
    found = choose(*images)
    assert (found.batching, found.layout) == ("loop", "channels-last")
    assert len(list((cache / "engine").iterdir())) == 1
    assert choose(*images) == found  # the times are used up


def test_a_damaged_record_only_costs_time(cache, images):
    found = choose(*images)
    (record,) = (cache / "engine").iterdir()
    record.write_text("{")
    assert isinstance(choose(*images), Strategy)
    assert isinstance(found, Strategy)


def test_what_was_asked_for_is_held_to(caplog, images):
    caplog.set_level(logging.INFO, "metagap")
    assert choose(*images, engine="vmap gemm chunk=3")[:2] == ("vmap", "gemm")
    assert "BatchNorm2d" in caplog.text  # which gemm leaves as it is
    assert choose(*images, engine="loop").batching == "loop"


def test_networks_without_convolutions_need_no_timing(monkeypatch):
    monkeypatch.setattr(choice, "_milliseconds", lambda *_: pytest.fail("timed"))
    spec, network = TaskSpec("regression", 1, 5, 5), MLP((1,), 1)
    x = torch.randn(3, 5, 1)
    algorithm = MAML().bind(network, spec)
    episodes = Episode(x, x, x, x, torch.empty(3, 0, dtype=torch.long))
    assert choose(algorithm, algorithm.init(network, 0, torch.Generator()), episodes) == Strategy()


def test_a_machine_that_is_busy_for_a_while_does_not_decide(monkeypatch, images):
    """Strategies that take 1 to 4 seconds a task, on a machine that is ten times slower at first."""
    now, calls = 0.0, 0

    def fake(function, strategy, **how):
        def step(meta, episodes):
            nonlocal now, calls
            calls += 1
            seconds = {"loop plain": 3, "loop channels-last": 1}.get(f"{strategy.batching} {strategy.layout}", 4)
            now += seconds * len(episodes.support_x) * (10 if calls < 6 else 1)

        return step

    monkeypatch.setattr(choice, "TaskMap", fake)
    monkeypatch.setattr(choice.time, "perf_counter", lambda: now)
    assert choose(*images)[:2] == ("loop", "channels-last")


def test_a_path_that_does_not_work_is_not_chosen(monkeypatch, images):
    class Failing(choice.TaskMap):
        def __call__(self, *args):
            if self.strategy.batching == "loop":
                raise RuntimeError("no kernel for this")
            return super().__call__(*args)

    monkeypatch.setattr(choice, "TaskMap", Failing)
    assert choose(*images).batching == "vmap"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("vmap loop", "vmap and loop exclude each other"),
        ("eager, compiled", "eager and compiled exclude each other"),
        ("plain gemm", "plain and gemm exclude each other"),
        ("loop chunk=4", "takes one task at a time"),
        ("chunk=0", "'chunk=0' is not allowed"),
        ("fast", "'fast' is not allowed"),
    ],
)
def test_words_that_contradict_each_other_are_refused(words, message):
    with pytest.raises(UserError, match=message):
        parse(words, Strategy())
