"""An outer step by several devices that share its tasks, in turns with the same step by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from metagap.engine.distributed import Group
from metagap.engine.together import run_together
from metagap.machine import Machine
from metagap.speed.compare import FEWEST, Settings
from metagap.speed.ours import Ours, strategy_for
from metagap.speed.table import WIDTH, significant
from metagap.speed.timing import Times, Way, seconds
from metagap.speed.workloads import Problem
from metagap.tasks.episode import Episode

ROUNDS = 20
"""In each of which every way has a turn."""


class Timed(NamedTuple):
    """A workload for an algorithm, with the times of every way."""

    workload: str
    algorithm: str
    engine: str
    times: dict[str, Times]


def measure(chosen: Settings, count: int, console: Console) -> None:
    """Time every workload that trains by `count` devices and by one, and print it."""
    first = chosen.device
    devices = [member.device for member in Machine(str(first), cores=count).members(count)]
    found: list[Timed] = []
    with console.status(f"timing {count} devices"):
        run_together(_time, [chosen, devices], devices, lambda told: found.append(Timed(*told)))
    if not console.is_terminal:
        console.width = WIDTH
    console.print(_table(found))


def _time(group: Group, tell: Callable[[Any], None], chosen: Settings, devices: Sequence[str]) -> None:
    device = torch.device(devices[group.rank])
    for workload in chosen.workloads:
        for algorithm in workload.algorithms:
            if workload.evaluates or algorithm not in chosen.algorithms:
                continue
            problem = Problem.of(workload, algorithm, device)
            strategy = strategy_for(problem, "traced", chosen.engine, chosen.memory)
            portion = group.portion(len(problem.episodes.support_x))
            own = problem if portion is None else replace(problem, episodes=Episode(*map(portion.of, problem.episodes)))
            ways = {f"{group.size} devices": Ours(own, strategy, 1, portion)}
            if group.leads and device.type == "cpu":
                ways = {f"{group.size} cores": Ours(problem, strategy, group.size), **ways}
            if group.leads:
                ways = {"one": Ours(problem, strategy, 1), **ways}
            times: dict[str, list[float]] = {name: [] for name in ways}
            *_, together = ways
            for turn in range(-ways[together].warm_up, max(FEWEST, chosen.repeats or ROUNDS)):
                for name, way in ways.items():
                    if name == together:
                        group.check_equal([torch.zeros(1, device=device)])  # all begin at the same time
                    spent = seconds(Way(name, way.iteration, 1), device)
                    if turn >= 0:
                        times[name].append(spent)
            if group.leads:
                measured = {name: Times.of(spent) for name, spent in times.items()}
                tell((workload.name, algorithm, str(strategy), measured))


def _table(found: Sequence[Timed]) -> Table:
    out = Table(
        title="Time of an outer step in ms: on one core or GPU, and on several",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    names = list(found[0].times) if found else []
    gained = [f"over {name}" for name in names[:-1]]
    for heading in ("workload", "algorithm", "engine", *names, *gained):
        out.add_column(heading, justify="left" if heading in ("workload", "algorithm", "engine") else "right")
    for row in found:
        medians = [row.times[name].median for name in names]
        gains = [f"{significant(median / medians[-1])}×" for median in medians[:-1]]
        out.add_row(*row[:3], *map(significant, medians), *gains)
    return out
