"""The measurements of `metagap speed`: every workload for every algorithm, compared with the peers, in this process."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metagap.engine.strategy import BackendName
from metagap.runner.environment import environment
from metagap.speed import peers, timing
from metagap.speed.ours import Ours, one_task, strategy_for
from metagap.speed.peers.base import Peer
from metagap.speed.timing import Times, Way
from metagap.speed.workloads import WORKLOADS, Problem, Workload

Report = Callable[[str, float], None]
"""Told what is being measured and the share of everything that is done."""

SECONDS = 7.0
"""What the repeats of a workload for an algorithm may take; there are at least `FEWEST` of them."""
FEWEST, MOST = 5, 100
TURN = 0.1
"""Seconds of iterations in a turn, at least one."""
PROMISING = 1.5
"""A peer's way that takes this multiple of its best one's time in a trial is not timed."""
FEW, CHECKED = 8, 3
"""Tasks of a trial, and tasks of which the answers are compared."""
RUNS: tuple[BackendName, ...] = ("traced", "compiled")


@dataclass(frozen=True)
class Settings:
    """What to measure, and where."""

    workloads: Sequence[Workload]
    algorithms: Sequence[str]
    against: Sequence[str]
    device: torch.device
    cores: int
    """The cores of the engine, and the most threads that a peer may use."""
    repeats: int | None = None
    """None: what fits into the time."""
    engine: str = "auto"
    compile: bool | None = None
    """Whether there is a second, compiled row; None: for MAML on small networks, where it takes no minutes."""
    precision: str = "float32"
    memory: int | None = None
    """Bytes that the tasks computed at once may take."""
    growth: bool = True
    """Whether to measure how memory grows with inner steps."""


@dataclass(frozen=True)
class Against:
    """A peer compared with a row of ours: its time in the same rounds, and whether it computes the same."""

    version: str
    way: str
    milliseconds: Times
    start_up_seconds: float
    ratio: float
    """Its time over ours."""
    agreement: float
    """Relative L2 error of our float64 meta-gradient, or query losses, against its own."""
    memory_bytes: int | None
    """Peak of an iteration; None where torch cannot see it."""


@dataclass(frozen=True)
class Row:
    """A workload for an algorithm by one strategy of the engine."""

    workload: str
    algorithm: str
    engine: str
    compiled: bool
    tasks: int
    timed_tasks: int
    """Fewer than `tasks` where a sample was timed; all times here are scaled to `tasks`."""
    steps: int
    milliseconds: Times
    start_up_seconds: float
    """Choosing the strategy, tracing, compiling or capturing, and the first iterations."""
    tasks_per_second: float
    memory_bytes: int
    operations: int
    """Of the matrix products and convolutions of an iteration."""
    against: dict[str, Against]
    share_of_peak: float = math.nan
    """Of what the device reached at best; known in the end."""

    @property
    def operations_per_second(self) -> float:
        """Of the needed ones."""
        return self.operations / self.milliseconds.median * 1e3


@dataclass(frozen=True)
class Growth:
    """Peak memory of second-order MAML on a task of mini-ImageNet's shape."""

    steps: int
    engine: str
    bytes: int
    ratio: float
    """Over that of the first row."""


@dataclass(frozen=True)
class Measured:
    """Everything that was measured."""

    environment: dict[str, Any]
    device_name: str
    cores: int
    precision: str
    peers: dict[str, str]
    peak: dict[str, float]
    """Operations per second of the device: the best of a measurement before each workload and algorithm."""
    rows: list[Row]
    memory: list[Growth]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure(settings: Settings, report: Report = lambda *_: None) -> Measured:
    """Measure everything, a workload for an algorithm at a time."""
    tf32 = settings.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    others = [peers.load(name) for name in settings.against]
    todo = [(w, a) for w in settings.workloads for a in w.algorithms if a in settings.algorithms or w.evaluates]
    parts = len(todo) + settings.growth
    peak: dict[str, float] = {}
    rows: list[Row] = []
    for i, (workload, algorithm) in enumerate(todo):

        def part(text: str, done: float, i: int = i, title: str = f"{workload.name} {algorithm}") -> None:
            report(f"{title}: {text}", (i + done) / parts)

        part("the device's peak", 0.0)
        found = timing.peak_arithmetic(settings.device, settings.cores)
        peak = {name: max(value, peak.get(name, 0.0)) for name, value in found.items()}
        rows += _Cell(settings, workload, algorithm, others).rows(part)
    rows = [replace(row, share_of_peak=row.operations_per_second / max(peak.values())) for row in rows]
    memory = []
    if settings.growth:
        report("memory over inner steps", len(todo) / parts)
        memory = growth(settings)
    report("done", 1.0)
    return Measured(
        environment=environment(settings.device),
        device_name=_name(settings.device),
        cores=settings.cores,
        precision=settings.precision,
        peers={peer.name: peer.version for peer in others},
        peak=peak,
        rows=rows,
        memory=memory,
    )


def _name(device: torch.device) -> str:
    """The GPU, or what Linux calls the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def growth(
    settings: Settings, steps: Sequence[int] = (1, 5, 20), workload: Workload = WORKLOADS["mini-imagenet-5"]
) -> list[Growth]:
    """How the memory of a meta-gradient grows with the inner steps that it goes back through."""
    found: list[Growth] = []
    for count in steps:
        deeper = replace(workload, tasks=1, steps=count)
        ours = _ours(Problem.of(deeper, "maml", settings.device), "traced", settings)
        peak = _memory(ours)
        found.append(Growth(count, str(ours.strategy), peak, peak / (found[0].bytes if found else peak)))
    return found


def _ours(problem: Problem, run: BackendName, settings: Settings) -> Ours:
    return Ours(problem, strategy_for(problem, run, settings.engine, settings.memory), settings.cores)


def _memory(ours: Ours) -> int:
    """The peak of an iteration: on a CPU that of one piece of the meta-batch, for as many as are in work at once."""
    ours.alone()
    return timing.peak_memory(ours.alone, ours.problem.device) * ours.cores


class _Ready(NamedTuple):
    """A way that is ready to be timed."""

    way: Way
    once: float
    """Seconds of an iteration, roughly."""
    start_up: float
    """Seconds until the iterations were as fast as they get."""


class _Cell:
    """A workload for an algorithm: ours and the peers on the same data, with the same initial weights."""

    def __init__(self, settings: Settings, workload: Workload, algorithm: str, others: Sequence[Peer]):
        self.settings, self.workload, self.algorithm = settings, workload, algorithm
        self.device = settings.device
        self.problem = Problem.of(workload, algorithm, self.device)
        self.few = Problem.of(workload, algorithm, self.device, tasks=FEW)
        self.others = [peer for peer in others if algorithm in peer.algorithms]

    def rows(self, report: Report) -> list[Row]:
        """One row for each strategy."""
        ours: list[tuple[Ours, _Ready]] = []
        for run in RUNS[: 1 + self._compiles()]:
            report("compiling" if run == "compiled" else "choosing the engine", 0.2 * len(ours))
            ours.append(self._prepared(run))
        theirs: list[tuple[Peer, list[_Ready]]] = []
        for peer in self.others:
            report(f"trying {peer.name}", 0.4)
            theirs.append((peer, self._promising(peer)))
        ready = [*(mine for _, mine in ours), *(one for _, several in theirs for one in several)]
        times = self._times(ready, lambda done: report("timing", 0.5 + 0.4 * done))
        report("memory and agreement", 0.9)
        exact = Problem.of(self.workload, self.algorithm, self.device, torch.float64, CHECKED)
        compared = []
        for peer, several in theirs:
            best = min(several, key=lambda one: times[one.way].median)
            compared.append((peer, best, times[best.way], peer.answer(exact), self._peer_memory(peer)))
        found = []
        for made, mine in ours:
            ms, against = times[mine.way], {}
            if compared:
                answer = Ours(exact, made.strategy, 1).answer()
                against = {
                    peer.name: Against(
                        peer.version, best.way.name, peer_ms, best.start_up, peer_ms.median / ms.median,
                        timing.relative_error(answer, peer_answer), memory,
                    )
                    for peer, best, peer_ms, peer_answer, memory in compared
                }  # fmt: skip
            found.append(self._row(made, ms, mine.start_up, against))
        return found

    def _compiles(self) -> bool:
        """Whether there is a second, compiled row."""
        if self.settings.compile is None:
            return self.algorithm == "maml" and self.workload.is_small and not self.workload.evaluates
        return self.settings.compile

    def _prepared(self, run: BackendName) -> tuple[Ours, _Ready]:
        """Ours, ready to be timed."""
        torch.set_num_threads(1)
        started = time.perf_counter()
        made = _ours(self.problem, run, self.settings)
        way = Way("metagap", made.iteration, 1)
        once = [timing.seconds(way, self.device) for _ in range(made.warm_up)][-1]
        return made, _Ready(way, once, time.perf_counter() - started)

    def _promising(self, peer: Peer) -> list[_Ready]:
        """A peer's ways that a short trial on few tasks does not rule out, ready to be timed."""
        cores, times = self.settings.cores, {}
        for way in peer.ways(self.few, cores):
            times[way.name] = min([timing.seconds(way, self.device) for _ in range(3)][1:])
        ready = []
        for way in peer.ways(self.problem, cores):
            if times[way.name] < PROMISING * min(times.values()):
                first, once = (timing.seconds(way, self.device) for _ in range(2))
                ready.append(_Ready(way, once, first + once))
        return ready

    def _times(self, ready: Sequence[_Ready], done: Callable[[float], None]) -> dict[Way, Times]:
        """Of each way, scaled to all tasks of the workload."""
        rounds, ways = self.settings.repeats, [one.way for one in ready]
        if rounds is None:
            rounds = max(FEWEST, min(MOST, int(SECONDS / sum(max(one.once, TURN) for one in ready))))
        scale = self.workload.tasks / self.workload.timed(self.device)
        turns = [max(1, min(MOST, int(TURN / one.once))) for one in ready]
        found = timing.interleaved(ways, turns, self.device, rounds, done)
        return {way: Times.of(seconds, scale) for way, seconds in zip(ways, found, strict=True)}

    def _peer_memory(self, peer: Peer) -> int | None:
        """The peak of an iteration of few tasks: those that torch sees all go task by task."""
        return timing.peak_memory(peer.ways(self.few, 1)[0].iteration, self.device) if peer.uses_torch else None

    def _row(self, made: Ours, ms: Times, start_up: float, against: dict[str, Against]) -> Row:
        workload = self.workload
        return Row(
            workload=workload.name,
            algorithm=self.algorithm,
            engine=str(made.strategy),
            compiled=made.strategy.backend == "compiled",
            tasks=workload.tasks,
            timed_tasks=workload.timed(self.device),
            steps=workload.steps,
            milliseconds=ms,
            start_up_seconds=start_up,
            tasks_per_second=workload.tasks / ms.median * 1e3,
            memory_bytes=_memory(made),
            operations=timing.arithmetic(one_task(self.problem)) * workload.tasks,
            against=against,
        )
