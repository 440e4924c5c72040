"""The choice of a strategy, by a short timing that is remembered."""

from __future__ import annotations

import inspect
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import nn

from metagap import digests
from metagap.algorithms.base import Algorithm, Params
from metagap.algorithms.maml import FOMAML
from metagap.engine.layouts import in_layout, unknown
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import AS_WRITTEN, Strategy, parse
from metagap.engine.trees import devices
from metagap.tasks.episode import Episode

log = logging.getLogger("metagap")

TURNS = 4
"""Times that every strategy is timed."""


def choose(algorithm: Algorithm, meta: Params, episodes: Episode, *, engine: str = "auto") -> Strategy:
    """The strategy for a bound algorithm and tasks like these, eager: what is worth more depends on how often it runs.

    meta: the network's weights are looked up in it. engine: choices to hold to, the rest is found: by a short timing
    of one inner step and the query gradient that follows, the first time on a device for a network and shapes, and
    read from the user's cache afterwards, so that cells that are repeated or resumed are computed alike.
    """
    if not algorithm.mappable:
        log.info("engine: %s, since %s is not mappable", AS_WRITTEN, type(algorithm).__name__)
        return AS_WRITTEN
    candidates = list(_candidates(algorithm.network, episodes.support_x.device, engine))
    # Whether strategies are timed or remembered makes no difference to the random numbers of what is computed.
    with torch.random.fork_rng(devices(episodes)):
        if len(candidates) == 1:
            strategy = candidates[0]
        else:
            strategy = _remembered(_key(algorithm.network, episodes, candidates), candidates, algorithm, meta, episodes)
        if strategy.batching == "vmap":
            strategy = _mapped(strategy, algorithm, meta, episodes)
    if strategy.layout != "plain" and (others := unknown(algorithm.network, strategy.layout)):
        log.info("layers that layout %s does not know stay as they are: %s", strategy.layout, ", ".join(others))
    return strategy


def _mapped(strategy: Strategy, algorithm: Algorithm, meta: Params, episodes: Episode) -> Strategy:
    """`strategy`, or the same task by task where vmap cannot map this algorithm on this network."""
    laid_out = in_layout(algorithm, strategy.layout)

    def both(meta: Params, episode: Episode) -> Any:
        """What is mapped in training, and in evaluation."""
        gradient = {} if algorithm.pooled else laid_out.meta_gradient(meta, episode)
        fast = laid_out.adapt(meta, episode.support, min(1, laid_out.inner_steps))
        return gradient, laid_out.predict(fast, episode.query_x)

    step = TaskMap(both, strategy._replace(backend="eager"), network=laid_out.network)
    step(meta, episodes.tasks(0, 2))
    return strategy._replace(batching=step.strategy.batching)


def for_compiling(strategy: Strategy, network: nn.Module, device: torch.device) -> Strategy:
    """`strategy` compiled; on a GPU with convolutions as matrix products, which torch fuses, unlike grouped ones."""
    on_gpu = device.type == "cuda" and convolutional(network)
    return strategy._replace(backend="compiled", layout="gemm" if on_gpu else strategy.layout)


def convolutional(network: nn.Module) -> bool:
    """Whether it contains convolutions, which decide how fast it is."""
    return any(isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) for module in network.modules())


def _candidates(network: nn.Module, device: torch.device, engine: str) -> Iterator[Strategy]:
    """The strategies worth timing, the safest first."""
    if not convolutional(network):
        found = [Strategy()]
    elif device.type == "cpu":
        # More at once are no faster, and a meta-batch in one piece would leave nothing for other cores.
        found = [Strategy("loop"), Strategy("loop", "channels-last"), Strategy("vmap", chunk=8)]
    else:
        found = [Strategy("vmap"), Strategy("vmap", "gemm")]
    found = [strategy._replace(share=None if convolutional(network) else True) for strategy in found]
    seen = set()
    for strategy in found:
        held = parse(engine, strategy)
        if held not in seen:
            seen.add(held)
            yield held


def _remembered(key: str, candidates: list[Strategy], *probe: Any) -> Strategy:
    """The fastest candidate, from the cache if it was timed before."""
    path = user_cache_path("metagap") / "engine" / f"{key}.json"
    if (found := _read(path)) is not None:
        return found
    timed = _milliseconds(candidates, *probe)
    best = min(timed, key=lambda strategy: timed[strategy])
    if timed[best] == float("inf"):
        return candidates[0]  # what it cannot do is told where it is tried next
    log.info("engine: %s (%s)", best, ", ".join(f"{strategy}: {ms:.3g} ms a task" for strategy, ms in timed.items()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json") as file:
            json.dump(
                {"strategy": list(best), "milliseconds": {str(strategy): ms for strategy, ms in timed.items()}}, file
            )
            file.flush()
            # Cells that start side by side may have timed it side by side: the first one decides for all.
            path.hardlink_to(file.name)
    except FileExistsError:
        return _read(path) or best
    except OSError as error:
        log.info("the engine's choice could not be kept: %s", error)
    return best


def _read(path: Path) -> Strategy | None:
    try:
        return Strategy(*json.loads(path.read_text())["strategy"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(network: nn.Module, episodes: Episode, candidates: list[Strategy]) -> str:
    device = episodes.support_x.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    shapes = [tuple(field.shape[1:]) for field in episodes]
    model = [repr(network), _source(network), episodes.support_x.dtype, shapes]
    facts = [torch.__version__, name, os.cpu_count(), *model, candidates]
    return digests.of_text(repr(facts))[:16]


def _source(network: nn.Module) -> str:
    """What a model's author wrote, which may change while its layers look the same."""
    try:
        return inspect.getsource(type(network))
    except (OSError, TypeError):
        return ""


def _milliseconds(
    strategies: list[Strategy], algorithm: Algorithm, meta: Params, episodes: Episode
) -> dict[Strategy, float]:
    """Time per task of one first-order step by every strategy; infinite where one does not work.

    They take turns and the shortest time of each counts: what else the machine was doing decides nothing.
    """
    names = dict(algorithm.network.named_parameters())
    weights = {name: value for name, value in meta.items() if name in names}
    network_only = FOMAML().bind(algorithm.network, algorithm.spec, algorithm.precision)
    steps = {
        strategy: TaskMap(
            in_layout(network_only, strategy.layout).meta_gradient,
            strategy._replace(backend="traced"),
            mean=True,
            falls_back=False,
        )
        for strategy in strategies
    }
    best = dict.fromkeys(strategies, float("inf"))
    for turn in range(1 + TURNS):
        for strategy, step in list(steps.items()):
            some = episodes.tasks(0, min(len(episodes.support_x), 2 if strategy.batching == "loop" else strategy.chunk))
            started = time.perf_counter()
            try:
                step(weights, some)
                if some.support_x.is_cuda:
                    torch.cuda.synchronize()
            except Exception as error:
                reason = str(error).partition("\n")[0]
                log.info("engine: %s does not work here (%s: %s)", strategy, type(error).__name__, reason)
                best[strategy] = float("inf")
                del steps[strategy]
                continue
            if turn:  # the first one traces
                best[strategy] = min(best[strategy], (time.perf_counter() - started) / len(some.support_x) * 1e3)
    return best
