"""`[training]`: the budget and the outer loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from annotated_types import Gt, Le
from pydantic import Field, model_validator

from metagap import kinds
from metagap.suite.schema.section import Count, PositiveInt, PositiveInts, Rate, Section, Text, unset
from metagap.suite.schema.task import Imbalance, Task

MOST_FORMS = 32
"""Of tasks in one meta-training: the meta-step is traced for each."""


def _listed(own: int | list[int] | None, usual: int) -> list[int]:
    return own if isinstance(own, list) else [usual if own is None else own]


class Training(Section):
    """The budget and the outer loop of meta-training."""

    iterations: Count = Field(description="outer steps")
    meta_batch: PositiveInt = Field(default=4, description="tasks in each outer step")
    ways: PositiveInt | PositiveInts | None = Field(
        default=None,
        exclude_if=unset,
        description="classes in a task of meta-training; of a list, each meta-batch has one of them at random; "
        "default: the task's",
    )
    shots: PositiveInt | PositiveInts | None = Field(
        default=None,
        description="support examples per class in meta-training; of a list, each meta-batch has one of them at "
        "random; default: the task's",
    )
    queries: PositiveInt | None = Field(
        default=None, description="query examples per class in meta-training; default: the task's"
    )
    imbalance: Imbalance | None = Field(
        default=None, exclude_if=unset, description="of support sets in meta-training; default: the task's"
    )
    optimizer: Text = Field(default="adam", description="outer optimizer: adam, sgd, or one of a plugin")
    lr: Rate = Field(default=0.001, description="step size of the outer optimizer")
    schedule: Literal["constant", "linear", "cosine", "step"] = Field(
        default="constant",
        description="how the step size falls: to zero, or by the factor `decay` at every step of the schedule",
    )
    schedule_steps: PositiveInt | None = Field(
        default=None, description="in how many steps, evenly spread, the schedule falls; default: at every outer step"
    )
    decay: Annotated[float, Gt(0), Le(1)] | None = Field(
        default=None, description="factor of the step size at each step of schedule = 'step'"
    )
    final_lr: Rate | None = Field(
        default=None, description="what schedule = 'linear' or 'cosine' falls to; default: zero"
    )
    eps: Rate | None = Field(default=None, description="added to the denominator of adam; default: 1e-8")
    clip: Rate | None = Field(
        default=None, description="outer gradients are clipped to plus and minus this, element by element"
    )
    clip_norm: Rate | None = Field(
        default=None,
        description="outer gradients are scaled down to this norm, by part: network, and whatever else is learned",
    )
    precision: Literal["float32", "float64", "tf32", "bfloat16"] = Field(
        default="float32", description="bfloat16: the network alone; tf32: the matrix products of a GPU"
    )
    validations: PositiveInt = Field(default=20, description="how often a checkpoint is validated, evenly spread")
    validation_episodes: PositiveInt = Field(default=100, description="episodes of each validation")
    select: Literal["best", "last"] = Field(
        default="best", description="the checkpoint that is tested: best on validation, or last"
    )

    def forms(self, task: Task) -> list[Task]:
        """The forms of the tasks in meta-training of a suite with this one, all equally likely, the largest first."""
        ways, shots = (_listed(getattr(self, key), getattr(task, key)) for key in ("ways", "shots"))
        own = {"queries": self.queries or task.queries, "imbalance": self.imbalance or task.imbalance}
        sizes = sorted(product(ways, shots), key=lambda form: (math.prod(form), form), reverse=True)
        return [task.model_copy(update={"ways": ways, "shots": shots, **own}) for ways, shots in sizes]

    def faults_of_forms(self, task: Task) -> Iterator[str]:
        """What is wrong with these forms."""
        kind, forms = kinds.find(task.kind), self.forms(task)
        if kind.acts and len(forms) > 1:
            yield f"tasks of kind {kind} have one form in meta-training; allowed: one number of shots"
        if len(forms) > MOST_FORMS:
            yield f"ways and shots make {len(forms)} forms of tasks; allowed: at most {MOST_FORMS}"
        for form in forms:
            if fault := kind.fault_of_ways(form.ways) or form.fault_of_imbalance:
                yield fault

    @model_validator(mode="after")
    def _schedule(self) -> Training:
        steps = self.schedule == "step"
        if steps and None in (self.schedule_steps, self.decay):
            raise ValueError("schedule = 'step' needs schedule_steps and decay")
        if not steps and self.decay is not None:
            raise ValueError(f"decay is for schedule = 'step', not for '{self.schedule}'")
        if self.schedule_steps is not None and self.schedule == "constant":
            raise ValueError("schedule_steps is for a schedule that falls: linear, cosine or step")
        if self.final_lr is not None and self.schedule not in ("linear", "cosine"):
            raise ValueError(f"final_lr is for schedule = 'linear' or 'cosine', not for '{self.schedule}'")
        if self.final_lr is not None and self.final_lr > self.lr:
            raise ValueError(f"final_lr = {self.final_lr} is more than lr = {self.lr}")
        return self
