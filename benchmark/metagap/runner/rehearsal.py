"""A rehearsal of a cell on one small task, so that a network which cannot be meta-trained is told before training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from metagap import registry
from metagap.algorithms.base import PROGRESS
from metagap.engine.evaluate import Evaluator
from metagap.engine.kernels import differentiable
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import AS_WRITTEN
from metagap.engine.trees import tree_leaves
from metagap.errors import UserError, foreign
from metagap.models.layers_in_use import last_layer
from metagap.models.making import error_line
from metagap.runner.context import Learner, seed_of, spec_of, training_specs
from metagap.suite import Cell
from metagap.tasks.episode import Episode, TaskSpec, formed
from metagap.tasks.imbalance import BALANCED
from metagap.tasks.sampling import Sampler

STEPS = 2
"""Inner steps, at most: all that several have and one has not."""

REMEDIES = (
    ("setup_context", "give its autograd.Function a `setup_context`, as torch's notes on torch.func say"),
    ("saved tensor hooks", "leave out torch.utils.checkpoint"),
    ("mutate a captured", "what it changes in place has to be a buffer, or be made in forward"),
    ("requires_grad_", "replace autograd in forward by torch.func.grad"),
    ("data pointer", "compute with torch alone, not with numpy() or packed sequences"),
    ("double backward", "leave out torch.compile, the engine compiles by itself"),
    ("dynamo", "leave out torch.compile, the engine compiles by itself"),
    ("view size", "use reshape instead of view"),
    (
        "derivative",
        "build it from operations that have a second derivative, or take fomaml, which needs none",
    ),
    ("SparseCPU", "leave out sparse=True"),
)


def rehearse(cell: Cell, tasks: Any) -> None:
    """Adapt and score a task and compute its meta-gradient, on the CPU, where the network is not one of metagap's.

    tasks: the meta-training tasks. Raises UserError that names the layer and what to do about it.
    """
    with torch.random.fork_rng(devices=[]):
        with foreign(f"algorithm '{cell.algorithm}'"):
            learner = Learner.of(cell, tasks)
        if registry.fingerprint("model", cell.suite.model["name"]) is None:
            return
        dtype = torch.float64 if cell.training.precision == "float64" else torch.float32
        learner.to(torch.device("cpu"), dtype)
        train, test = _small(training_specs(cell, tasks)[0]), _small(formed(tasks, spec_of(cell.suite.task), STEPS))
        episodes = Sampler(tasks, train, seed_of("rehearsal", 0)).episodes(2).to("cpu", dtype)
        if learner.algorithm.takes_apart:
            _check_parts(learner, episodes.support_x[0])
        with last_layer(learner.network) as layer:
            try:
                if learner.algorithm.trains:
                    _train(learner, train, episodes)
            except UserError:
                raise
            except Exception as error:
                where = layer.where() or _without_second_derivative(learner.network, episodes.support_x[0])
                raise UserError(_message(cell, "be meta-trained", where, error)) from error
        with last_layer(learner.network_at_test) as layer:
            try:
                episodes = Sampler(tasks, test, seed_of("rehearsal", 0)).episodes(1).to("cpu", dtype)
                bound = learner.algorithm_at_test.bind(learner.network_at_test, test)
                Evaluator(bound, test, min(1, cell.evaluation.steps), AS_WRITTEN)(learner.meta, episodes)
            except UserError:
                raise
            except Exception as error:
                raise UserError(_message(cell, "be tested", layer.where(), error)) from error


def _small(spec: TaskSpec) -> TaskSpec:
    """A form of task with as few examples as it can have."""
    return spec._replace(shots=1, queries=1, imbalance=BALANCED) if spec.kind.has_ways and spec.ways > 1 else spec


def _train(learner: Learner, spec: TaskSpec, episodes: Episode) -> None:
    """Compute a meta-gradient. Raises UserError where frozen parameters leave nothing that it moves."""
    algorithm = learner.algorithm.model_copy(update={"inner_steps": min(STEPS, learner.algorithm.inner_steps)})
    step = TaskMap(algorithm.bind(learner.network, spec).meta_gradient, AS_WRITTEN, mean=True)
    gradient, _ = step(learner.meta, episodes.pooled() if algorithm.pooled else episodes.tasks(0, 1))
    if sparse := [name for name, value in gradient.items() if value.layout is not torch.strided]:
        raise UserError(f"parameter '{sparse[0]}' has a sparse gradient; leave out sparse=True")
    frozen = [name for name, value in learner.network.named_parameters() if not value.requires_grad]
    if frozen and not any(bool(value.any()) for name, value in gradient.items() if name != PROGRESS):
        raise UserError(
            f"algorithm {type(algorithm).__name__} has nothing to train: those parameters of model "
            f"{type(learner.network).__name__} that are not frozen have no part in its loss"
        )


def _check_parts(learner: Learner, x: Tensor) -> None:
    """Raises UserError where the network is not its features and then its head."""
    network = learner.network_at_test  # nothing is random there
    bound = learner.algorithm.bind(network, TaskSpec("classification", 1, 1, 1))
    with torch.no_grad():
        own = {name: value.detach() for name, value in network.named_parameters()}
        apart, whole = bound.head(own, bound.features(own, x)), network(x)
    if apart.shape != whole.shape or not torch.allclose(apart, whole, rtol=1e-3, atol=1e-4):
        raise UserError(
            f"algorithm {type(bound).__name__} needs a network with forward(x) = head(features(x)), and model "
            f"{type(network).__name__} does something else between its features and its head; make it a part of one"
        )


def _message(cell: Cell, what: str, where: str, error: Exception) -> str:
    text = error_line(error)
    remedy = next((remedy for sign, remedy in REMEDIES if sign in str(error)), "")
    return f"model '{cell.suite.model['name']}' cannot {what} by {cell.label}{where}: {text}" + (
        f"; {remedy}" if remedy else ""
    )


def _without_second_derivative(network: nn.Module, x: Tensor) -> str:
    """The innermost layer that cannot be differentiated twice, as a part of a sentence; empty where none is found."""
    given: dict[nn.Module, tuple[Any, Any]] = {}

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        given.setdefault(module, (args, kwargs))

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in network.modules()]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    for name, module in reversed(list(network.named_modules())):
        if name and module in given and not _twice(module, *given[module]):
            return f" in its layer '{name}' ({type(module).__name__})"
    return ""


def _twice(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    def first(inputs: list[Any], weights: dict[str, Tensor]) -> Tensor:
        output = functional_call(module, weights, tuple(inputs), kwargs)
        found = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        return sum((leaf.square().sum() for leaf in found), torch.zeros(()))

    def second(inputs: Any, weights: Any) -> Tensor:
        return sum((leaf.square().sum() for leaf in tree_leaves(grad(first, which)(inputs, weights))), torch.zeros(()))

    inputs = list(args)
    which = (0, 1) if inputs and all(isinstance(v, Tensor) and v.is_floating_point() for v in inputs) else (1,)
    weights = {name: value.detach() for name, value in module.named_parameters()}
    if which == (1,) and not weights:
        return True
    try:
        with torch.no_grad(), differentiable():
            grad(second, which)(inputs, weights)
    except Exception:
        return False
    return True
