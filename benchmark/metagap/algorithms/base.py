"""The contract of an algorithm: pure functions of one task.

The engine supplies everything else: the batch over tasks, device, precision, compilation, outer optimizer,
checkpoints, evaluation and records.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vjp

from metagap.errors import UserError
from metagap.kinds import TaskKind
from metagap.metrics.functions import accuracy, mean_squared_error
from metagap.tasks.episode import Episode, Support, TaskSpec

Value = TypeVar("Value")
Params = dict[str, Tensor]
"""Named tensors: the weights of the network, and whatever else is meta-learned or adapted."""

PROGRESS = "progress"
"""A meta-parameter of this name, () in [0, 1], is not optimized: the engine keeps it at the share of meta-training that
is done, for what changes in its course."""

CARRIED = "carried/"
"""Meta-parameters whose names begin so are not optimized: they are handed on from meta-batch to meta-batch and into the
test. In place of their gradient `meta_gradient` gives what one task adds to them; the engine adds up what all do."""


class OfBound(Generic[Value]):
    """An attribute that an algorithm has once it is bound (see `bind`), and no hyper-parameter.

    Reading it is a plain look-up in the instance, which torch can compile, as it cannot pydantic's private attributes.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Value:
        raise AttributeError(self._name)


class Algorithm(BaseModel):
    """A meta-learner. Its fields are its hyper-parameters, with the defaults of its paper.

    A subclass implements `adapt`, and where it needs to `init`, `predict`, `meta_gradient` and, for all inner steps at
    one go, `adapt_path` and `predict_path`. Each is a pure function of one task (no batch dimension, nothing kept
    between calls), so that the engine can map it over tasks, compile it and differentiate it. Query labels reach
    `meta_gradient` alone.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, ignored_types=(OfBound,)
    )

    paper: ClassVar[str] = ""
    """Citation of the source."""
    revision: ClassVar[int] = 1
    """Raised by its author when the same settings give other weights, as after a correction: cells of before are other
    cells. A model may have one too."""
    trains: ClassVar[bool] = True
    """False for a control that is evaluated as it was initialised."""
    pooled: ClassVar[bool] = False
    """True: `meta_gradient` is given the examples of the whole meta-batch as one labelled batch instead of a task. They
    are its `support`, and labels count the classes of the meta-training split."""
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "exact"
    """What `meta_gradient` gives: the derivative of the query loss after `adapt`; the same with the inner gradients as
    constants (a field `first_order = True` says so too); or the direction of another objective. A class with a
    `meta_gradient` of its own says which, and `metagap check` holds it to that."""
    transductive: ClassVar[bool] = False
    """True: the prediction for a query depends on the other queries, whatever the network. Batch norm in a network
    does that to every algorithm and need not be said."""
    mappable: ClassVar[bool] = True
    """False: it is no pure function of tensors inside (it has modules that change, or calls autograd itself), so the
    engine runs it as it is written, one task at a time, and neither maps nor traces it."""

    acts: ClassVar[bool] = False
    """True: it learns a policy, for tasks that answer back; see `policies.learner`."""
    takes_apart: ClassVar[bool] = False
    """True: it relies on forward(x) of the network being head(features(x))."""

    inner_steps: NonNegativeInt = Field(default=1, description="inner steps on each task during meta-training")

    network = OfBound[nn.Module]()
    """The network of a bound algorithm: a form without state, its weights always come from outside."""
    spec = OfBound[TaskSpec]()
    """The task specification of a bound algorithm."""
    criterion = OfBound[Callable[[Tensor, Tensor], Tensor]]()
    """The loss of that kind of task."""
    training_score = OfBound[Callable[[Tensor, Tensor], Tensor]]()
    """What is recorded in meta-training; more is better."""
    ties = OfBound[dict[str, str]]()
    """Of a bound algorithm's network: further names of tied parameters, with the one in the meta-parameters."""
    precision = OfBound[torch.dtype | None]()
    """What a bound algorithm's network computes in; None: in the type of its weights."""

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This algorithm for a network and a form of task. Raises UserError where it is not for this kind of task."""
        self.check_kind(spec.kind)
        bound = self.model_copy()
        simulated = spec.world is not None and not spec.world.mappable
        for name, value in {
            "network": network,
            "spec": spec,
            "precision": precision,
            "ties": _ties(network),
            "criterion": spec.kind.loss_function(),
            "training_score": spec.kind.metric.score_function(),
            "mappable": type(self).mappable and not simulated,
        }.items():
            object.__setattr__(bound, name, value)  # frozen for everybody else
        return bound

    @classmethod
    def check_kind(cls, kind: TaskKind) -> None:
        """Raises UserError where it learns a policy and tasks do not answer back, or they do and it learns none."""
        if kind.acts != cls.acts:
            allowed = "control" if cls.acts else "classification, regression, or one of a plugin"
            learns = "a policy" if cls.acts else "to predict"
            raise UserError(f"algorithm {cls.__name__} learns {learns}: task.kind = '{kind}'; allowed: {allowed}")

    def check_network(self) -> None:
        """Raises UserError where the network that it is bound to lacks what this algorithm needs; before `init`."""
        if self.trains and not any(value.requires_grad for value in self.network.parameters()):
            raise UserError(
                f"algorithm {type(self).__name__} has nothing to train: all parameters of model "
                f"{type(self.network).__name__} are frozen (requires_grad is False)"
            )

    @property
    def joins_support(self) -> bool:
        """Whether `predict` puts the support set into the queries' batch by itself."""
        return False

    @classmethod
    def input_shape(cls, tasks: Any) -> tuple[int, ...]:
        """What the network is given of tasks of a source: an example."""
        return tasks.x_shape

    @classmethod
    def outputs(cls, tasks: Any, ways: int) -> int:
        """How many numbers the network gives of an input."""
        return getattr(tasks, "outputs", None) or ways

    @property
    def passes(self) -> int:
        """How often an outer step computes derivatives, about."""
        return 1

    # The contract.

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The meta-parameters before meta-training.

        network: freshly initialised, weights of its own for every seed. class_count: classes in the meta-training
        split, 0 for regression. generator: for whatever else is drawn. By default the weights of the network. Frozen
        ones (`requires_grad` is False) are no meta-parameters: the network keeps them, and nothing moves them.
        """
        return {name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad}

    @abstractmethod
    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The inner loop: what the meta-parameters become on one task after `steps` inner steps."""

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """What they become after 0, 1, ..., `steps` inner steps; override it where that is cheaper at one go."""
        return [self.adapt(meta, support, step) for step in range(steps + 1)]

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """Logits (n, ways), or regression outputs (n, 1), of adapted parameters at query_x (n, ...)."""
        return self.forward(fast, query_x)

    def predict_path(self, path: list[Params], query_x: Tensor) -> list[Tensor]:
        """Predictions of every point of a path at query_x; override it where they have something in common."""
        points = {id(fast): fast for fast in path}  # without inner steps it is the same one, again and again
        outputs = {key: self.predict(fast, query_x) for key, fast in points.items()}
        return [outputs[id(fast)] for fast in path]

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """One task's gradient for the outer optimizer, and scalars to record (at least `loss` and `score`).

        By default the derivative of the query loss after adaptation with respect to the meta-parameters.
        """

        def objective(meta: Params) -> tuple[Tensor, Tensor]:
            output = self.predict(self.adapt(meta, episode.support, self.inner_steps), episode.query_x)
            return self.loss(output, episode.query_y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": self.score(output, episode.query_y)}

    # Helpers for subclasses.

    def forward(self, params: Params, x: Tensor) -> Tensor:
        """The network with these weights at x; weights, losses and gradients keep their type in mixed precision."""
        return self._call(self.network, params, "", x)

    def features(self, params: Params, x: Tensor) -> Tensor:
        """What the network's head is given at x: (n, width). Raises UserError where the network has none such."""
        z = self._call(self.part("features"), params, "features.", x)
        if z.ndim != 2:
            raise UserError(
                f"algorithm {type(self).__name__} needs features of shape (examples, width), but `features` of model "
                f"{type(self.network).__name__} gives {tuple(z.shape)}; end it with nn.Flatten()"
            )
        return z

    def head(self, params: Params, z: Tensor) -> Tensor:
        """What the network's head makes of features z (n, width). Raises UserError where the network has none."""
        return self._call(self.part("head"), params, "head.", z)

    def part(self, name: str) -> nn.Module:
        """The network's `features` or `head`; raises UserError where it has no module of that name."""
        found = getattr(self.network, name, None)
        if isinstance(found, nn.Module):
            return found
        raise UserError(
            f"algorithm {type(self).__name__} needs a network in two parts, `features` and `head`, and model "
            f"{type(self.network).__name__} has no module `{name}`; give it `self.features` and `self.head` with "
            "forward(x) = head(features(x)), or take an algorithm that needs no parts, such as maml"
        )

    def linear_head(self, *, replaced: bool = False) -> nn.Linear:
        """The network's head, as a linear layer. replaced: the algorithm puts other weights in its place.

        Raises UserError where the head is no nn.Linear or, where it is to be replaced, frozen or tied.
        """
        head, model = self.part("head"), type(self.network).__name__
        needs = f"algorithm {type(self).__name__} needs a head that is "
        if not isinstance(head, nn.Linear) or "weight" not in dict(head.named_parameters(recurse=False)):
            raise UserError(f"{needs}nn.Linear, and that of model {model} is {type(head).__name__}")
        if replaced and not all(value.requires_grad for value in head.parameters()):
            raise UserError(f"{needs}trained, and that of model {model} is frozen (requires_grad is False)")
        if replaced and (other := self._tied("head.")):
            raise UserError(f"{needs}not tied, and that of model {model} shares a parameter with '{other}'")
        return head

    def check_adapts(self, which: str, names: list[str]) -> None:
        """Raises UserError where none of the parameters that the inner loop moves are there and not frozen."""
        if not any(self.network.get_parameter(name).requires_grad for name in names):
            raise UserError(
                f"algorithm {type(self).__name__} adapts the {which}, and that of model {type(self.network).__name__} "
                "has no parameter that is not frozen (requires_grad is False)"
            )
        if other := self._tied("head."):
            raise UserError(
                f"algorithm {type(self).__name__} adapts the {which} alone, but the head of model "
                f"{type(self.network).__name__} shares a parameter with '{other}'"
            )

    def _tied(self, prefix: str) -> str:
        """A parameter outside that one inside the part is tied with; empty where there is none."""
        for pair in self.ties.items():
            inside = [name.startswith(prefix) for name in pair]
            if any(inside) and not all(inside):
                return pair[inside.index(False)]
        return ""

    def _call(self, module: nn.Module, params: Params, prefix: str, x: Tensor) -> Tensor:
        """A module of the network at x, with these parameters and, where they are frozen, the network's own.

        Buffers start every call from what the network has, so that it is a pure function even where it changes them.
        """
        weights = {}
        for name, own in module.named_parameters():
            full = prefix + name
            full = full if full in params else self.ties.get(full, full)
            weights[name] = params[full] if full in params or own.requires_grad else own.detach()
        for name, own in module.named_buffers():
            weights[name] = own.clone()
        if self.precision is None:
            return functional_call(module, weights, (x,))
        weights = {k: v.to(self.precision) if v.is_floating_point() else v for k, v in weights.items()}
        return functional_call(module, weights, (x.to(self.precision),)).to(x.dtype)

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """The loss of the kind of task, such as the cross-entropy of logits (n, ways) and indices (n,), shape ()."""
        return self.criterion(output, y)

    def score(self, output: Tensor, y: Tensor) -> Tensor:
        """The training score of the kind of task, where more is better: accuracy, or minus the mean squared error."""
        return self.training_score(output, y)

    def one_hot(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Labels y (n,) as rows (n, ways) of one 1 and zeros."""
        return (y[:, None] == torch.arange(self.spec.ways, device=y.device)).to(dtype)

    def support_loss(self, params: Params, support: Support) -> Tensor:
        """The inner loop's objective: the loss of the network on the support set."""
        return self.loss(self.forward(params, support.x), support.y)


class GradientLearner(Algorithm):
    """An algorithm whose inner loop is gradient descent on the support loss, a step at a time."""

    inner_lr: PositiveFloat = Field(default=0.01, description="step size of the inner loop")
    inner_loss: Literal["mean", "sum-over-shots"] = Field(
        default="mean",
        description="cross-entropy of the inner loop: the mean over the support set, or its sum divided by the shots, "
        "which is as many times the mean as there are ways; squared errors are averaged",
    )
    adapt_norm: bool = Field(
        default=True,
        description="whether the inner loop adapts scale and shift of normalisation; if not, the outer loop does",
    )

    def support_loss(self, params: Params, support: Support) -> Tensor:
        """The inner loop's objective: the loss of the network on the support set, reduced by `inner_loss`."""
        return self.reduced(super().support_loss(params, support), support)

    def reduced(self, loss: Tensor, support: Support) -> Tensor:
        """The mean loss over support examples as `inner_loss` wants it; in regression it is the mean either way."""
        return loss if self.inner_loss == "mean" else loss * (len(support.y) / self.spec.shots)

    def support_gradient(self, fast: Params, support: Support) -> Params:
        """The gradient of `support_loss`; zero for what the inner loop is not to adapt."""
        gradient, fixed = grad(self.support_loss)(fast, support), self.fixed()
        return {name: torch.zeros_like(value) if name in fixed else value for name, value in gradient.items()}

    def fixed(self) -> set[str]:
        """The names of the network's weights that the inner loop is not to adapt."""
        return set() if self.adapt_norm else norm_parameters(self.network)

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """The parameters after one more inner step; `step` counts from 0."""
        gradient = self.support_gradient(fast, support)
        return {name: value - self.inner_lr * gradient[name] for name, value in fast.items()}

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """`steps` inner steps from the meta-parameters."""
        return self.adapt_path(meta, support, steps)[-1]

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every point of the inner loop, the meta-parameters first."""
        path = [meta]
        for step in range(steps):
            path.append(self.inner_step(path[-1], support, step))
        return path

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The same derivative as by default, pulled back through the inner loop one step at a time.

        Only the parameters between the steps are kept and each step is computed again when its turn comes, so that
        memory does not grow with the number of steps.
        """
        if self.inner_steps < 2 or not self._is_step_by_step:
            return super().meta_gradient(meta, episode)
        path = self.adapt_path(meta, episode.support, self.inner_steps)

        def objective(fast: Params) -> tuple[Tensor, Tensor]:
            output = self.predict(fast, episode.query_x)
            return self.loss(output, episode.query_y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(path.pop())
        for step in reversed(range(self.inner_steps)):
            _, pull_back = vjp(lambda fast, step=step: self.inner_step(fast, episode.support, step), path.pop())[:2]
            (gradient,) = pull_back(gradient)
        return gradient, {"loss": loss, "score": self.score(output, episode.query_y)}

    @property
    def _is_step_by_step(self) -> bool:
        """Whether adaptation is the chain of `inner_step` and nothing else."""
        ours = GradientLearner
        return type(self).adapt is ours.adapt and type(self).adapt_path is ours.adapt_path


def norm_parameters(network: nn.Module) -> set[str]:
    """The names of the scales and shifts of a network's normalisation layers, without frozen ones."""
    return {
        f"{name}.{parameter}" if name else parameter
        for name, module in network.named_modules()
        if isinstance(module, NORMS)
        for parameter, value in module.named_parameters(recurse=False)
        if value.requires_grad
    }


NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def score(output: Tensor, y: Tensor) -> Tensor:
    """The training score of the built-in kinds of task, told apart by their targets; `self.score` is that of any kind.

    Accuracy of logits (n, ways) for indices (n,), or minus the mean squared error of (n, 1) for targets (n, 1).
    """
    return -mean_squared_error(output, y) if y.is_floating_point() else accuracy(output, y)


def _ties(network: nn.Module) -> dict[str, str]:
    """Every further name of a parameter that has several, with the first."""
    first: dict[int, str] = {}
    names = [(name, first.setdefault(id(v), name)) for name, v in network.named_parameters(remove_duplicate=False)]
    return {name: canonical for name, canonical in names if name != canonical}
