"""Regression tasks: the sinusoids of the MAML paper and the families that shift away from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from pydantic import AfterValidator, Field
from torch import Generator, Tensor

from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.source import Part, Source
from metagap.tasks.total_variation import of_all, of_intervals, of_normals


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("the lower end comes first")
    return interval


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]

# Waves of period 2 pi between -1 and 1 that agree with the sine in phase.
WAVEFORMS = {
    "sine": torch.sin,
    "square": lambda angle: torch.sin(angle).sign(),
    "triangle": lambda angle: torch.sin(angle).clamp(-1, 1).asin() * (2 / math.pi),
    "sawtooth": lambda angle: torch.remainder(angle + math.pi, 2 * math.pi) / math.pi - 1,
}


@dataclass(frozen=True)
class FunctionDraw:
    """Parameters (T,) of each task and the inputs at which it is seen: x (T, shots + queries, 1)."""

    amplitude: Tensor
    phase: Tensor
    frequency: Tensor
    x: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, tasks: slice) -> FunctionDraw:
        return FunctionDraw(*(getattr(self, name)[tasks] for name in self.__dataclass_fields__))


class Sinusoid(Source):
    """Waves y = amplitude * wave(frequency * x - phase) + noise, one task per wave.

    The defaults are the MAML paper's sinusoids (Finn, Abbeel, Levine 2017, section 5.1). Every shift parameter is a
    range to draw from uniformly: [low, high].
    """

    kind: Literal["regression"] = "regression"
    amplitude: Range = Field(default=(0.1, 5.0), description="range of amplitudes")
    phase: Range = Field(default=(0.0, math.pi), description="range of phases, in radians")
    frequency: Range = Field(default=(1.0, 1.0), description="range of angular frequencies")
    x: Range = Field(default=(-5.0, 5.0), description="range of inputs, of support and query alike")
    waveform: Literal["sine", "square", "triangle", "sawtooth"] = Field(
        default="sine", description="the wave that is repeated"
    )
    noise: Annotated[float, Ge(0)] = Field(default=0.0, description="standard deviation of the noise on every target")

    licence = "made on the fly"
    citation = "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"

    def digest(self, classes: str = "all") -> str:
        """Nothing is read: options and revision determine everything."""
        return f"revision {self.revision}"

    def tasks(self, part: Part, device: torch.device | str) -> Waves:
        """The family itself: there is no end of tasks, so every part of it is the same distribution."""
        self.check_part(part, ["train", "val", "test", "all"])
        return Waves(self, torch.device(device))


@dataclass(frozen=True)
class Waves:
    """The task distribution of a `Sinusoid` source."""

    family: Sinusoid
    device: torch.device
    x_shape = (1,)
    class_count = 0
    independent = True

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> FunctionDraw:
        """Draw `count` waves and the inputs of their support and query points, on the generator's device."""

        def uniform(interval: tuple[float, float], *shape: int) -> Tensor:
            low, high = interval
            return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low

        f, points = self.family, (count, spec.shots + spec.queries, 1)
        noise = torch.randn(points, generator=generator, device=generator.device) * f.noise
        return FunctionDraw(
            uniform(f.amplitude, count),
            uniform(f.phase, count),
            uniform(f.frequency, count),
            uniform(f.x, *points),
            noise,
        )

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> None:
        """Independent waves share no example: every draw is an open one."""
        return None

    def episode(self, draw: FunctionDraw, spec: TaskSpec) -> Episode:
        """The drawn points: support (T, shots, 1), query (T, queries, 1)."""
        x, y = draw.x.to(self.device), (self.value(draw, draw.x) + draw.noise).to(self.device)
        classes = torch.empty(len(draw), 0, dtype=torch.long, device=self.device)
        return Episode(x[:, : spec.shots], y[:, : spec.shots], x[:, spec.shots :], y[:, spec.shots :], classes)

    def sample(self, draw: FunctionDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first four tasks: their points (4, n, 1), and their waves as curve_x and curve_y (4, 200, 1)."""
        draw = draw[:4]
        x = torch.linspace(*self.family.x, 200).view(1, -1, 1).expand(len(draw), -1, -1)
        fields = self.episode(draw, spec)._asdict() | {"curve_x": x, "curve_y": self.value(draw, x)}
        return {name: value.cpu().numpy() for name, value in fields.items() if name != "classes"}

    def total_variation(self, other: Waves, spec: TaskSpec) -> float:
        """At most so different are a support set and a query of both families: a bound on their total variation."""
        f, g, points = self.family, other.family, spec.shots + 1
        if f.waveform != g.waveform:
            return 1.0
        uniform = [of_intervals(getattr(f, name), getattr(g, name)) for name in ("amplitude", "phase", "frequency")]
        inputs = [of_intervals(f.x, g.x)] * points
        return of_all([*uniform, *inputs, of_normals(np.zeros(points), f.noise, 0, g.noise)])

    def value(self, draw: FunctionDraw, x: Tensor) -> Tensor:
        """The noiseless waves at x (T, n, 1)."""
        amplitude, phase, frequency = (p[:, None, None] for p in (draw.amplitude, draw.phase, draw.frequency))
        return amplitude * WAVEFORMS[self.family.waveform](frequency * x - phase)
