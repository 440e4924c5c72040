"""The choice of a plan, by a short timing that is remembered."""

from __future__ import annotations

import hashlib
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

from metagap.algorithms.base import Algorithm, Params
from metagap.algorithms.maml import FOMAML
from metagap.engine.layers import in_form, unknown
from metagap.engine.mapping import TaskMap
from metagap.engine.plan import AS_WRITTEN, Plan, parse
from metagap.tasks.episode import Episode

log = logging.getLogger("metagap")

TURNS = 4
"""Times that every plan is timed."""


def choose(algorithm: Algorithm, meta: Params, episodes: Episode, *, engine: str = "auto") -> Plan:
    """The plan for a bound algorithm and tasks like these; `run` is left at eager, for it depends on how often it runs.

    meta: the network's weights are looked up in it. engine: choices to hold to, the rest is found: by a short timing
    of one inner step and the query gradient that follows, the first time on a device for a network and shapes, and
    read from the user's cache afterwards, so that cells that are repeated or resumed are computed alike.
    """
    if not algorithm.mappable:
        log.info("engine: %s, since %s is not mappable", AS_WRITTEN, type(algorithm).__name__)
        return AS_WRITTEN
    candidates = list(_candidates(algorithm.network, episodes.support_x.device, engine))
    devices = [episodes.support_x.device] if episodes.support_x.is_cuda else []
    # Whether plans are timed or remembered makes no difference to the random numbers of what is computed.
    with torch.random.fork_rng(devices):
        if len(candidates) == 1:
            plan = candidates[0]
        else:
            plan = _remembered(_key(algorithm.network, episodes, candidates), candidates, algorithm, meta, episodes)
        if plan.how == "vmap":
            plan = _mapped(plan, algorithm, meta, episodes)
    if plan.form != "plain" and (others := unknown(algorithm.network, plan.form)):
        log.info("layers that form %s does not know stay as they are: %s", plan.form, ", ".join(others))
    return plan


def _mapped(plan: Plan, algorithm: Algorithm, meta: Params, episodes: Episode) -> Plan:
    """`plan`, or the same task by task where vmap cannot map this algorithm on this network."""
    formed = in_form(algorithm, plan.form)

    def both(meta: Params, episode: Episode) -> Any:
        """What is mapped in training, and in evaluation."""
        gradient = {} if algorithm.pooled else formed.meta_gradient(meta, episode)
        fast = formed.adapt(meta, episode.support, min(1, formed.inner_steps))
        return gradient, formed.predict(fast, episode.query_x)

    step = TaskMap(both, plan._replace(run="eager"), network=formed.network)
    step(meta, episodes.tasks(0, 2))
    return plan._replace(how=step.plan.how)


def for_compiling(plan: Plan, network: nn.Module, device: torch.device) -> Plan:
    """`plan` compiled; on a GPU with convolutions as matrix products, which torch fuses, unlike grouped ones."""
    on_gpu = device.type == "cuda" and convolutional(network)
    return plan._replace(run="compiled", form="gemm" if on_gpu else plan.form)


def convolutional(network: nn.Module) -> bool:
    """Whether it contains convolutions, which decide how fast it is."""
    return any(isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) for module in network.modules())


def _candidates(network: nn.Module, device: torch.device, engine: str) -> Iterator[Plan]:
    """The plans worth timing, the safest first."""
    if not convolutional(network):
        found = [Plan()]
    elif device.type == "cpu":
        # More at once are no faster, and a meta-batch in one piece would leave nothing for other cores.
        found = [Plan("loop"), Plan("loop", "channels-last"), Plan("vmap", chunk=8)]
    else:
        found = [Plan("vmap"), Plan("vmap", "gemm")]
    found = [plan._replace(share=None if convolutional(network) else True) for plan in found]
    seen = set()
    for plan in found:
        held = parse(engine, plan)
        if held not in seen:
            seen.add(held)
            yield held


def _remembered(key: str, candidates: list[Plan], *probe: Any) -> Plan:
    """The fastest candidate, from the cache if it was timed before."""
    path = user_cache_path("metagap") / "engine" / f"{key}.json"
    if (found := _read(path)) is not None:
        return found
    timed = _milliseconds(candidates, *probe)
    best = min(timed, key=lambda plan: timed[plan])
    if timed[best] == float("inf"):
        return candidates[0]  # what it cannot do is told where it is tried next
    log.info("engine: %s (%s)", best, ", ".join(f"{plan}: {ms:.3g} ms a task" for plan, ms in timed.items()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json") as file:
            json.dump({"plan": list(best), "milliseconds": {str(plan): ms for plan, ms in timed.items()}}, file)
            file.flush()
            # Cells that start side by side may have timed it side by side: the first one decides for all.
            path.hardlink_to(file.name)
    except FileExistsError:
        return _read(path) or best
    except OSError as error:
        log.info("the engine's choice could not be kept: %s", error)
    return best


def _read(path: Path) -> Plan | None:
    try:
        return Plan(*json.loads(path.read_text())["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(network: nn.Module, episodes: Episode, candidates: list[Plan]) -> str:
    device = episodes.support_x.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    shapes = [tuple(field.shape[1:]) for field in episodes]
    model = [repr(network), _source(network), episodes.support_x.dtype, shapes]
    facts = [torch.__version__, name, os.cpu_count(), *model, candidates]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _source(network: nn.Module) -> str:
    """What a model's author wrote, which may change while its layers look the same."""
    try:
        return inspect.getsource(type(network))
    except (OSError, TypeError):
        return ""


def _milliseconds(plans: list[Plan], algorithm: Algorithm, meta: Params, episodes: Episode) -> dict[Plan, float]:
    """Time per task of one first-order step by every plan; infinite where one does not work.

    They take turns and the shortest time of each counts, so that no plan is judged by what else the machine was doing.
    """
    names = dict(algorithm.network.named_parameters())
    weights = {name: value for name, value in meta.items() if name in names}
    network_only = FOMAML().bind(algorithm.network, algorithm.spec, algorithm.precision)
    steps = {
        plan: TaskMap(
            in_form(network_only, plan.form).meta_gradient, plan._replace(run="traced"), mean=True, falls_back=False
        )
        for plan in plans
    }
    best = dict.fromkeys(plans, float("inf"))
    for turn in range(1 + TURNS):
        for plan, step in list(steps.items()):
            some = episodes.tasks(0, min(len(episodes.support_x), 2 if plan.how == "loop" else plan.chunk))
            started = time.perf_counter()
            try:
                step(weights, some)
                if some.support_x.is_cuda:
                    torch.cuda.synchronize()
            except Exception as error:
                reason = str(error).partition("\n")[0]
                log.info("engine: %s does not work here (%s: %s)", plan, type(error).__name__, reason)
                best[plan] = float("inf")
                del steps[plan]
                continue
            if turn:  # the first one traces
                best[plan] = min(best[plan], (time.perf_counter() - started) / len(some.support_x) * 1e3)
    return best
