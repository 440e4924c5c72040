"""learn2learn's learners as algorithms: each runs in its own loop of clone() and adapt(loss)."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import io
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError
from torch import Generator, Tensor, nn

from metagap import registry
from metagap.algorithms.base import Algorithm, Params
from metagap.bridges.seeding import seeded
from metagap.errors import UserError
from metagap.tasks.episode import Episode, Support, TaskSpec


class Adaptable(Protocol):
    """What learn2learn's learners are: modules that are cloned for a task, and whose clone adapts to its loss."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """What it says at inputs (n, ...)."""
        ...

    def clone(self) -> Self:
        """A copy that autograd follows back to this one."""
        ...

    def adapt(self, loss: Tensor, /) -> Any:
        """One inner step."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As of any module."""
        ...


class Learner(Algorithm):
    """A learner of learn2learn: a module around the network, with clone() and adapt(loss).

    On a task the learner is cloned, adapts to the support loss of the clone once for every inner step, and the query
    loss of the clone is differentiated by autograd with respect to the parameters of the learner, as in learn2learn's
    own examples. All of its parameters are meta-parameters: those of the network keep their names there. What adapting
    changes has to be parameters or buffers of the clone. Every task meets a fresh copy of the learner, so that nothing
    is kept from one to the next.
    """

    mappable: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=1, description="inner steps on each task during meta-training")

    made: ClassVar[nn.Module]
    """The learner of a bound algorithm: a form without state, like the network."""
    names: ClassVar[dict[str, str]]
    """The name that each parameter and buffer of the learner has in the meta-parameters."""

    @abstractmethod
    def learner(self, network: nn.Module) -> nn.Module:
        """The learner around this network."""

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This algorithm for a network and a form of task; raises UserError for mixed precision."""
        if precision is not None:
            found = str(precision).removeprefix("torch.")
            raise UserError(
                f"algorithm {type(self).__name__}: training.precision = '{found}' is nothing for a learner of "
                "learn2learn; allowed: float32, float64, tf32"
            )
        bound = super().bind(network, spec, precision)
        made, names = self._around(network, seed=0)
        claims = {True: "first-order", False: "exact", None: "other"}[getattr(made, "first_order", None)]
        vars(bound).update(made=made, names=names, derivative=claims)
        return bound

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """All parameters of a new learner around the network."""
        learner, names = self._around(network, seed=int(torch.randint(2**62, (), generator=generator)))
        return {names[name]: value.detach().clone() for name, value in learner.named_parameters()}

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The parameters and buffers of a clone that has adapted `steps` times."""
        return self.adapt_path(meta, support, steps)[-1]

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Those of one clone after 0, 1, ..., `steps` times."""
        with torch.enable_grad():
            learner: Adaptable = self._with(meta)
            clone = learner.clone()
            path = [self._state(clone)]
            for _ in range(steps):
                clone.adapt(self.loss(clone(support.x), support.y))
                path.append(self._state(clone))
        return path

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """What the learner says at query_x (n, ...), with adapted parameters and buffers."""
        return self._with(fast)(query_x)

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The derivative of the clone's query loss; zero for parameters that it does not depend on."""
        with torch.enable_grad():
            learner: Adaptable = self._with(meta)
            clone = learner.clone()
            for _ in range(self.inner_steps):
                clone.adapt(self.loss(clone(episode.support_x), episode.support_y))
            output = clone(episode.query_x)
            loss = self.loss(output, episode.query_y)
            gradient: dict[str, Tensor | None] = dict.fromkeys(meta, None)
            leaves = {self.names[name]: leaf for name, leaf in learner.named_parameters() if leaf.requires_grad}
            gradient.update(
                zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True), strict=True)
            )
        whole = {name: torch.zeros_like(meta[name]) if value is None else value for name, value in gradient.items()}
        return whole, {"loss": loss.detach(), "score": self.score(output.detach(), episode.query_y)}

    def _around(self, network: nn.Module, seed: int) -> tuple[nn.Module, dict[str, str]]:
        """A learner around a copy of the network, seeded, and the names of its parameters and buffers."""
        network = copy.deepcopy(network)
        with seeded(seed):
            learner = self.learner(network)
        if not isinstance(learner, nn.Module) or not _is_learner(learner):
            raise UserError(
                f"algorithm {type(self).__name__}: its learner is {type(learner).__name__}, which is no module with "
                "clone() and adapt(loss)"
            )
        own = {id(value): name for name, value in _tensors(network).items()}
        return learner, {name: own.get(id(value), name) for name, value in _tensors(learner).items()}

    def _with(self, values: Params) -> Any:
        """A copy of the learner with these parameters, as leaves of autograd, and these buffers."""
        like = next(value for value in values.values() if value.is_floating_point())
        learner = copy.deepcopy(self.made).to(like.device, like.dtype)
        with torch.no_grad():
            for theirs, value in _tensors(learner).items():
                if self.names[theirs] in values:
                    value.copy_(values[self.names[theirs]])
        return learner

    def _state(self, clone: Any) -> Params:
        """The parameters and buffers of a clone as they are now."""
        found = _tensors(clone)
        if unknown := sorted(set(found) - set(self.names)):
            raise UserError(
                f"algorithm {type(self).__name__}: clone() gives a module with '{unknown[0]}', which the learner that "
                f"was cloned does not have; it has: {', '.join(self.names)}"
            )
        return {self.names[name]: value.detach().clone() for name, value in found.items()}


class Theirs(Learner):
    """A learner that learn2learn has itself. Raises UserError where learn2learn is not installed."""

    inner_lr: PositiveFloat = Field(default=0.01, description="step size of the inner loop")
    first_order: bool = Field(default=False, description="take the inner gradients as constants of the outer loop")

    def model_post_init(self, _: Any) -> None:
        """Say at once what is missing."""
        if importlib.util.find_spec("learn2learn") is None:
            raise UserError(
                f"algorithm {type(self).__name__} of learn2learn: learn2learn is not installed; install the extra: "
                "pip install 'metagap[learn2learn]'"
            )


class MAML(Theirs):
    """MAML by learn2learn, in its own loop: a second opinion on `maml`, and with first_order on `fomaml`.

    The same algorithm as ours by other people's code (Finn et al. 2017), one task at a time and therefore slower.
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation, ICML"

    def learner(self, network: nn.Module) -> nn.Module:
        """learn2learn.algorithms.MAML."""
        maml = learn2learn().algorithms.MAML
        return maml(network, lr=self.inner_lr, first_order=self.first_order, allow_nograd=_has_frozen(network))


class MetaSGD(Theirs):
    """Meta-SGD by learn2learn, in its own loop: a second opinion on `meta-sgd`.

    The same algorithm as ours by other people's code (Li et al. 2017), but that all step sizes start alike. They are
    the meta-parameters `lrs.0`, `lrs.1`, ..., one for each tensor of weights and of its shape.
    """

    paper: ClassVar[str] = "Li, Zhou, Chen, Li (2017), Meta-SGD: Learning to Learn Quickly for Few-Shot Learning"

    inner_lr: PositiveFloat = Field(default=0.05, description="what the step sizes start from")

    def check_network(self) -> None:
        """Raises UserError where parameters are frozen, which learn2learn's Meta-SGD cannot follow."""
        super().check_network()
        if _has_frozen(self.network):
            raise UserError(
                "algorithm MetaSGD of learn2learn differentiates all parameters, and some of model "
                f"{type(self.network).__name__} are frozen (requires_grad is False); metagap's own is meta-sgd"
            )

    def learner(self, network: nn.Module) -> nn.Module:
        """learn2learn.algorithms.MetaSGD."""
        return learn2learn().algorithms.MetaSGD(network, lr=self.inner_lr, first_order=self.first_order)


class GBML(Theirs):
    """MAML whose inner gradients go through a transform that is meta-learned, by learn2learn.

    With transform = "kronecker" it is a linear map in Kronecker factors for every tensor of weights (Arnold et al.
    2019), with "meta-curvature" a map for each of its modes (Park and Oliva 2019). For another transform write a
    function that makes a GBML of a network, as path/to/file.py:function.
    """

    paper: ClassVar[str] = (
        "Arnold, Iqbal, Sha (2019), When MAML Can Adapt Fast and How to Assist When It Cannot; "
        "Park, Oliva (2019), Meta-Curvature, NeurIPS"
    )

    transform: Literal["kronecker", "meta-curvature"] = Field(
        default="kronecker", description="what gradients go through"
    )
    adapt_transform: bool = Field(
        default=False, description="adapt the transform to each task too, by gradient descent"
    )

    def learner(self, network: nn.Module) -> nn.Module:
        """learn2learn.algorithms.GBML."""
        l2l = learn2learn()
        transforms = {
            "kronecker": l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear),
            "meta-curvature": l2l.optim.MetaCurvatureTransform,
        }
        return l2l.algorithms.GBML(
            network,
            transform=transforms[self.transform],
            lr=self.inner_lr,
            adapt_transform=self.adapt_transform,
            first_order=self.first_order,
            allow_nograd=_has_frozen(network),
        )


def learn2learn() -> Any:
    """The library, imported without the advice that one of its dependencies prints."""
    with contextlib.redirect_stderr(io.StringIO()):
        import learn2learn

        return learn2learn


class Brought(Learner):
    """A learner that a user brings; its keyword arguments are the hyper-parameters."""

    maker: ClassVar[Callable[..., Any]]
    arguments: ClassVar[tuple[str, ...]]

    def learner(self, network: nn.Module) -> nn.Module:
        """What the user's class or function makes of the network."""
        return type(self).maker(network, **{name: getattr(self, name) for name in self.arguments})


PLAIN = (type(None), bool, int, float, str, list, tuple, dict)
"""What can be written in a suite file; an argument with another default keeps it, and is no hyper-parameter."""


@cache
def bridged(found: Any) -> Any:
    """The algorithm that runs a class of learners, or what a function makes of a network; anything else unchanged.

    Raises UserError where an argument has a name that the contract of an algorithm needs.
    """
    if not (_is_learner(found) if inspect.isclass(found) else _makes_of_one(found)):
        return found
    fields: dict[str, Any] = {}
    for name, (annotation, default) in registry.options(found, given=1).items():
        if default is not ... and not isinstance(default, PLAIN):
            continue
        if hasattr(Learner, name) or name in {*Learner.model_fields, *Learner.__class_vars__}:
            raise UserError(f"'{found.__name__}' has an argument '{name}', which means something else for an algorithm")
        fields[name] = (_allowed(annotation), Field(default=default, description=f"argument of {found.__name__}"))
    made = create_model(found.__name__, __base__=Brought, __module__=found.__module__, **fields)
    made.__doc__ = inspect.getdoc(found)
    made.maker, made.arguments = found, tuple(fields)
    return made


def _allowed(annotation: Any) -> Any:
    """A type that values of a suite file can be checked against."""
    try:
        TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return Any
    return annotation


def _is_learner(found: Any) -> bool:
    return all(callable(getattr(found, name, None)) for name in ("clone", "adapt"))


def _makes_of_one(found: Any) -> bool:
    """Whether it is a function that can be called with the network alone."""
    if not inspect.isfunction(found):
        return False
    try:
        inspect.signature(found).bind("network")
    except TypeError:
        return False
    return True


def _has_frozen(network: nn.Module) -> bool:
    return not all(value.requires_grad for value in network.parameters())


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
