"""What a quantity is: a function of a learner at one point of its training and of some tasks, as a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from metagap.errors import UserError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from metagap.algorithms.base import Algorithm, Params
    from metagap.suite import Training
    from metagap.tasks.episode import Episode, Tasks, TaskSpec

Of = Literal["split", "cell"]


@dataclass(frozen=True)
class Watched:
    """What a quantity may look at: a learner at one point of its training, and the tasks of one split.

    It is a copy: nothing that a quantity does to it changes what is trained, scored or measured after it.
    """

    algorithm: Algorithm
    """Bound, with its settings at test."""
    meta: Params
    """The meta-parameters at this point of training."""
    initial: Params
    """The meta-parameters before training."""
    steps: int
    """Inner steps after which scores are taken."""
    spec: TaskSpec
    """The form of the tasks."""
    training: Training
    """The budget of meta-training."""
    iteration: int
    """Outer steps that were taken until now."""
    source: Callable[[int], Episode]
    """A batch of n training tasks of this form, the same ones at every call."""
    target: Callable[[int], Episode]
    """A batch of the first n test tasks of the split; of a whole cell, of the in-distribution split.

    Raises UserError where it has fewer.
    """
    source_tasks: Tasks[Any]
    """The training tasks as a distribution, such as an `ImageStore`."""
    target_tasks: Tasks[Any]
    """The split's tasks as a distribution."""
    episodes: int
    """How many tasks it is expected to use."""
    generator: Callable[[str], Generator]
    """Random numbers of its own for a purpose, on the CPU, the same ones at every call."""

    def each(self, function: Callable[[Params, Episode], Any], episodes: Episode) -> Any:
        """`function(meta, episode)` of every task of a batch: its tensors with a leading task dimension.

        The function is mapped over tasks where the algorithm can be: no control flow of it may depend on the values in
        tensors then.
        """
        from metagap.engine.mapping import TaskMap
        from metagap.engine.strategy import Strategy, permitted

        strategy = permitted(Strategy(chunk=EACH_AT_ONCE), self.algorithm)
        return TaskMap(function, strategy, network=self.algorithm.network)(self.meta, episodes)

    @property
    def no_inner_steps(self) -> str:
        """Why adaptation takes no steps to look at, in words; empty where it does."""
        from metagap.quantities.inner_loop import no_adaptation

        return no_adaptation(self)


EACH_AT_ONCE = 20
"""Tasks that `Watched.each` maps a function over at one go, at most."""


def _always(_: Watched) -> str:
    return ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantity:
    """A number that may go with how far a learner generalizes, measured beside its scores.

    Where it does not apply, or is not finite, NaN is recorded with a note: it never makes a cell fail.
    """

    name: str
    """As suites say it: lower-case letters, digits and hyphens."""
    about: str
    """One sentence: what it is, and what a large value means."""
    citation: str
    """Where it comes from."""
    cost: str
    """What it takes, in words: "2 gradients per inner step and episode"."""
    kinds: tuple[str, ...] = ("classification", "regression")
    """The kinds of task that it is for."""
    of: Of = "split"
    """Whether it is measured on every split that is tested, or once for the whole cell."""
    unit: str = ""
    measure: Callable[[Watched], float | Tensor]
    """The number, or one for each of some tasks, (episodes,)."""
    applies: Callable[[Watched], str] = _always
    """Why it does not apply, in words: "protonet has no inner gradient steps". Empty: it does."""
    revision: int = 1
    """Raised by its author when other values come of the same learner and tasks."""

    def __post_init__(self) -> None:
        for wrong, said in (
            (not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name), "needs a name of a-z, 0-9 and single hyphens"),
            (isinstance(self.kinds, str), "needs a tuple of kinds"),
            (self.of not in get_args(Of), f"needs an `of` of {' and '.join(get_args(Of))}"),
            (not callable(self.measure), "needs a function `measure`"),
            (not callable(self.applies), "needs a function `applies`"),
        ):
            if wrong:
                raise UserError(f"quantity '{self.name}' {said}")

    def __str__(self) -> str:
        return self.name
