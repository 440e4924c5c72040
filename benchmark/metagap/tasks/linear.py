"""Linear regression tasks, of which everything is known: see `metagap.tasks.linear_risk`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo
from torch import Generator, Tensor

from metagap import digests
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.linear_risk import Facts
from metagap.tasks.source import Part, Source
from metagap.tasks.total_variation import of_all, of_normals

Scale = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class LinearDraw:
    """Weights (T, d) and design (T,) of each task, its query inputs (T, queries, d), and the noise of all targets."""

    weights: Tensor
    design: Tensor
    query_x: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, tasks: slice) -> LinearDraw:
        return LinearDraw(*(getattr(self, name)[tasks] for name in self.__dataclass_fields__))


class Linear(Source):
    """Linear functions y = w x + noise of several inputs, one task per w, whose risks are known exactly.

    The weights w of a task are normal, of a `mean` and a `prior_scale`, and inputs are normal around zero; coordinates
    are independent. Support inputs are not new ones for each task: it takes one of a pool of `designs` at random, so
    that the risk of a learner is a finite mean of closed forms. Every option but `dimension` is a shift parameter.
    What belongs to a coordinate is one number for all of them, or a list.
    """

    kind: Literal["regression"] = "regression"
    dimension: Annotated[int, Ge(1), Le(1000)] = Field(default=5, description="number of inputs")
    mean: float | list[float] = Field(default=1.0, description="mean of the weights of the tasks")
    prior_scale: Scale | list[Scale] = Field(default=1.0, description="standard deviation of the weights of the tasks")
    input_scale: Positive | list[Positive] = Field(
        default=1.0, description="standard deviation of the inputs, of support and query alike"
    )
    noise: Scale = Field(default=0.5, description="standard deviation of the noise on every target")
    designs: Annotated[int, Ge(1), Le(10_000)] = Field(default=32, description="sets of support inputs in the pool")
    training_tasks: Annotated[int, Ge(1), Le(1_000_000)] | None = Field(
        default=None, description="number of weights that part `train` draws from; default: new ones without end"
    )
    seed: Annotated[int, Ge(0)] = Field(default=0, description="of the pool of designs and of the training tasks")

    licence = "made on the fly"
    citation = "none: linear regression with a Gaussian prior, as in Bayesian textbooks"

    @field_validator("mean", "prior_scale", "input_scale")
    @classmethod
    def _of_each_coordinate(cls, value: float | list[float], info: ValidationInfo) -> float | list[float]:
        dimension = info.data.get("dimension")
        if isinstance(value, list) and dimension is not None and len(value) != dimension:
            raise ValueError(f"{len(value)} numbers for dimension = {dimension}; allowed: one for each, or one for all")
        return value

    def digest(self, classes: str = "all") -> str:
        """Nothing is read: options and revision determine everything."""
        return f"revision {self.revision}"

    def tasks(self, part: Part, device: torch.device | str) -> LinearTasks:
        """The family itself; part `train` may hold a few tasks of it, all other parts are new ones."""
        self.check_part(part, ["train", "val", "test", "all"])
        return LinearTasks(self, torch.device(device), self.training_tasks if part.classes == "train" else None)

    def of_each(self, option: str) -> Tensor:
        """An option of the coordinates, (dimension,)."""
        return torch.tensor(getattr(self, option)).expand(self.dimension)

    def stream(self, purpose: str) -> Generator:
        """Random numbers of its own for a purpose."""
        return Generator().manual_seed(digests.number(f"linear {purpose} {self.seed}"))


@dataclass(frozen=True)
class LinearTasks:
    """The task distribution of a `Linear` source.

    recurring: how many tasks there are; None: no end of them.

    pools: the designs by shots, once they are drawn.
    """

    family: Linear
    device: torch.device
    recurring: int | None
    pools: dict[int, Tensor] = field(default_factory=dict, repr=False, compare=False)
    class_count = 0
    independent = True

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The inputs of an example."""
        return (self.family.dimension,)

    @cached_property
    def weights(self) -> Tensor | None:
        """Those of the recurring tasks, (recurring, d); None where there is no end of them."""
        return None if self.recurring is None else self._new(self.recurring, self.family.stream("training tasks"))

    def designs(self, shots: int) -> Tensor:
        """The pool of support inputs (designs, shots, d); with more shots it begins with the same examples."""
        if shots not in self.pools:
            f = self.family
            drawn = torch.randn(shots, f.designs, f.dimension, generator=f.stream("designs"))
            self.pools[shots] = drawn.transpose(0, 1) * f.of_each("input_scale")
        return self.pools[shots]

    def facts(self, spec: TaskSpec) -> Facts:
        """What risks are computed from: of recurring tasks the moments of these very ones."""
        f, weights = self.family, self.weights
        if weights is None:
            mean = f.of_each("mean").double().numpy()
            covariance = np.diag(f.of_each("prior_scale").double().numpy() ** 2)
        else:
            every = weights.double().numpy()
            mean, covariance = every.mean(axis=0), np.atleast_2d(np.cov(every, rowvar=False, bias=True))
        inputs = np.diag(f.of_each("input_scale").double().numpy() ** 2)
        return Facts(mean, covariance, self.designs(spec.shots).double().numpy(), inputs, f.noise)

    def total_variation(self, other: LinearTasks, spec: TaskSpec) -> float:
        """At most so different are a support set and a query of both families: a bound on their total variation.

        It is 1 where the designs differ, or where the tasks of one are a few and those of the other are not these.
        """
        f, g, points = self.family, other.family, spec.shots + 1
        if f.dimension != g.dimension or not torch.equal(self.designs(spec.shots), other.designs(spec.shots)):
            return 1.0
        if self.weights is not None and other.weights is not None and torch.equal(self.weights, other.weights):
            tasks = 0.0
        elif self.recurring or other.recurring:
            tasks = 1.0
        else:
            tasks = of_normals(*(one.of_each(name) for one in (f, g) for name in ("mean", "prior_scale")))
        inputs = of_normals(0, f.of_each("input_scale"), 0, g.of_each("input_scale"))
        return of_all([tasks, inputs, of_normals(np.zeros(points), f.noise, 0, g.noise)])

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> LinearDraw:
        """Draw `count` tasks, a design for each, their queries and all noise, on the generator's device."""
        f, device = self.family, generator.device
        if self.weights is None:
            weights = self._new(count, generator)
        else:
            weights = self.weights.to(device)[self._pick(len(self.weights), count, generator)]
        design = self._pick(f.designs, count, generator)
        scale = f.of_each("input_scale").to(device)
        query_x = torch.randn(count, spec.queries, f.dimension, generator=generator, device=device) * scale
        noise = torch.randn(count, spec.shots + spec.queries, 1, generator=generator, device=device) * f.noise
        return LinearDraw(weights, design, query_x, noise)

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> None:
        """Support inputs come from the pool, whatever the task: there are no tasks that share none."""
        return None

    def episode(self, draw: LinearDraw, spec: TaskSpec) -> Episode:
        """The drawn tasks: support (T, shots, d), query (T, queries, d), targets (T, ..., 1)."""
        support_x = self.designs(spec.shots).to(draw.weights.device)[draw.design]
        x = torch.cat([support_x, draw.query_x], 1)
        y = x @ draw.weights[..., None] + draw.noise
        x, y = x.to(self.device), y.to(self.device)
        classes = torch.empty(len(draw), 0, dtype=torch.long, device=self.device)
        return Episode(x[:, : spec.shots], y[:, : spec.shots], x[:, spec.shots :], y[:, spec.shots :], classes)

    def sample(self, draw: LinearDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first four tasks along what they predict: points and lines of y over w x, as (4, n, 1)."""
        episode, weights = self.episode(draw[:4], spec), draw[:4].weights[..., None].to(self.device)
        support, query = episode.support_x @ weights, episode.query_x @ weights
        ends = torch.cat([support, query], 1)
        line = torch.stack([ends.amin(1), ends.amax(1)], 1)
        fields = {
            "support_x": support, "support_y": episode.support_y, "query_x": query, "query_y": episode.query_y,
            "curve_x": line, "curve_y": line,
        }  # fmt: skip
        return {name: value.cpu().numpy() for name, value in fields.items()}

    def _new(self, count: int, generator: Generator) -> Tensor:
        """New weights (count, d) on the generator's device."""
        f, device = self.family, generator.device
        drawn = torch.randn(count, f.dimension, generator=generator, device=device)
        return f.of_each("mean").to(device) + f.of_each("prior_scale").to(device) * drawn

    @staticmethod
    def _pick(among: int, count: int, generator: Generator) -> Tensor:
        return torch.randint(among, (count,), generator=generator, device=generator.device)
