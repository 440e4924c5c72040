"""Making a network from a suite's table, and making one that a user brings fit for meta-learning.

A network here is a pure function of weights and inputs: it is mapped over tasks, differentiated twice and computed with
weights from outside. Most modules are that as they are. What is not is settled here once, with a note, or refused.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from metagap import registry
from metagap.errors import UserError
from metagap.models.layers_in_use import last_layer

POWER_ITERATIONS = 15
"""Of spectral norm, in every pass: each starts from the same vectors, for nothing is kept between them."""
EXAMPLES = 4
"""In the first pass of a network that a user brings."""


PACKAGE = Path(__file__).parents[1]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LONGEST = 200
"""Characters of somebody else's error message."""


class Made(NamedTuple):
    """A network, and a sentence on everything in which it differs from what its author wrote."""

    network: nn.Module
    notes: list[str]


def make_model(table: Mapping[str, Any], x_shape: tuple[int, ...], outputs: int) -> Made:
    """The freshly initialised network of a resolved table, for inputs of this shape and this number of outputs.

    Raises UserError where it cannot be made or does not compute (n, outputs) from (n, *x_shape).
    """
    name = str(table["name"])
    options = {key: value for key, value in table.items() if key != "name"}
    make = registry.load("model", name)
    try:
        network = make(x_shape, outputs, **options)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"model '{name}' cannot be made for inputs of shape {tuple(x_shape)} and {outputs} outputs: "
            f"{error_line(error)}; its constructor is called with (x_shape, outputs) and the other keys of [model]"
        ) from error
    if registry.fingerprint("model", name) is None:
        return Made(network, [])
    return fit(network, name, x_shape, outputs)


def fit(network: nn.Module, name: str, x_shape: tuple[int, ...], outputs: int) -> Made:
    """A network that a user brings, made a pure function. Raises UserError where it cannot be."""
    x = torch.rand(EXAMPLES, *x_shape, generator=torch.Generator().manual_seed(0))
    _refuse(network, name)
    if any(is_lazy(value) for value in [*network.parameters(), *network.buffers()]):
        _first_pass(network, name, x, outputs)  # gives them their shapes
    notes = [*_in_one_type(network), *_without_running_statistics(network)]
    _settle(network)
    try:
        copied(network)
    except Exception as error:
        raise UserError(f"model '{name}' cannot be copied by copy.deepcopy: {error_line(error)}") from error
    with torch.random.fork_rng(devices=[]):
        changed = _first_pass(network, name, x, outputs, on_copy=True)
    if changed:
        notes.append(
            f"its buffers {_listed(changed)} change in a forward pass; every pass starts from what the constructor "
            "left in them, since tasks know nothing of each other"
        )
    return Made(network, [f"Model {name}: {note}" for note in notes])


def for_test(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode: without dropout and whatever else differs there."""
    network = copied(network)
    network.eval()
    for module in network.modules():
        if next(_spectral_norms(module), None) is not None:  # its vectors are found in training mode only
            module.training = True
    return network


def copied(network: nn.Module) -> nn.Module:
    """A copy, without the intermediate results that a forward pass may have left as attributes."""
    for module in network.modules():
        for key, value in list(vars(module).items()):
            if isinstance(value, Tensor) and _is_result(value):
                delattr(module, key)
    return copy.deepcopy(network)


def error_line(error: BaseException) -> str:
    """An error in one line, with the line of the user's code where there is one."""
    first = (str(error).strip() or "no message").partition("\n")[0].rstrip(".;")
    first = first if len(first) <= LONGEST else f"{first[:LONGEST]}..."
    place = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "site-packages" not in frame.filename and not Path(frame.filename).is_relative_to(PACKAGE):
            place = f" ({frame.filename}, line {frame.lineno})"
            break
    return f"{type(error).__name__}: {first}{place}"


def _refuse(network: nn.Module, name: str) -> None:
    parameters = dict(network.named_parameters())
    for key, value in parameters.items():
        if value.is_meta:
            raise UserError(f"model '{name}': parameter '{key}' is on the device 'meta', without values; allowed: cpu")
        if value.is_complex():
            raise UserError(
                f"model '{name}': parameter '{key}' is complex; allowed: real ones, of which torch.view_as_complex "
                "makes a complex tensor in forward"
            )
    if not parameters:
        raise UserError(f"model '{name}' has no parameters, so that there is nothing to learn")
    if "progress" in parameters:
        raise UserError(f"model '{name}': a parameter cannot be called 'progress'; rename it")


def _first_pass(network: nn.Module, name: str, x: Tensor, outputs: int, *, on_copy: bool = False) -> list[str]:
    """Compute the network once as its author would, or a copy of it; the names of the buffers that changed there."""
    twin = copied(network) if on_copy else network
    before = {key: value.clone() for key, value in twin.named_buffers()} if on_copy else {}
    given = f"an input of shape {tuple(x.shape)}"
    with torch.no_grad(), last_layer(twin) as layer:
        try:
            output = twin(x)
        except Exception as error:
            raise UserError(f"model '{name}' fails at {given}{layer.where()}: {error_line(error)}") from error
    if not isinstance(output, Tensor):
        raise UserError(f"model '{name}' gives {type(output).__name__} for {given}; allowed: a tensor")
    if tuple(output.shape) != (len(x), outputs):
        raise UserError(
            f"model '{name}' gives a tensor of shape {tuple(output.shape)} for {given}; needed: {(len(x), outputs)}"
        )
    if not output.is_floating_point():
        raise UserError(f"model '{name}' gives values of type {output.dtype}; needed: real numbers, such as float32")
    if on_copy and not bool(output.isfinite().all()):
        raise UserError(f"model '{name}' gives values that are not finite for {given}, before any training")
    after = dict(twin.named_buffers())
    return [key for key, value in before.items() if key in after and not _equal(value, after[key])]


def _in_one_type(network: nn.Module) -> Iterator[str]:
    """Weights and buffers in float32, which the engine turns into the suite's precision."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    others = [key for key, value in tensors if value.is_floating_point() and value.dtype != torch.float32]
    if others:
        yield f"{_listed(others)} not in float32; all is computed in the type that training.precision names"
        network.float()


def _without_running_statistics(network: nn.Module) -> Iterator[str]:
    """Batch and instance norm with the statistics of what they are given, always: tasks share nothing."""
    found = {
        key: module
        for key, module in network.named_modules()
        if isinstance(module, _NormBase) and module.track_running_stats and module.training
    }
    for module in found.values():
        module.track_running_stats = False
        module.running_mean = module.running_var = module.num_batches_tracked = None
    if found:
        yield (
            f"normalisation with running statistics ({_listed([*found])}) uses the statistics of its batch instead, in "
            "training and at test, as with track_running_stats=False"
        )


def _settle(network: nn.Module) -> None:
    """What changes no result: attributes become buffers, and kernels are those that have a second derivative."""
    for module in network.modules():
        for key, value in list(vars(module).items()):
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                delattr(module, key)
                module.register_buffer(key, value.detach(), persistent=False)
        if isinstance(module, BATCH_NORMS) and type(module) in BATCH_NORMS and module.weight is None:
            del module.weight  # torch has no second derivative of batch norm without one
            module.register_buffer("weight", torch.ones(module.num_features), persistent=False)
        for norm in _spectral_norms(module):
            norm.n_power_iterations = max(POWER_ITERATIONS, norm.n_power_iterations)
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False  # only a way to hand over the same gradient
        if isinstance(module, nn.RNNBase):
            kind = type(module)
            module.__class__ = type(kind.__name__, (_WithoutCudnn, kind), {})


class _WithoutCudnn:
    """A recurrent layer by torch's own kernels: cuDNN's have no second derivative."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with torch.backends.cudnn.flags(enabled=False):
            return super().forward(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]  # of nn.RNNBase, the class beside it


def _spectral_norms(module: nn.Module) -> Iterator[Any]:
    """Spectral norm of a module's weight, in the forms of both of torch's functions."""
    if isinstance(module, _SpectralNorm):
        yield module
    yield from (hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SpectralNorm))


def _is_result(value: Tensor) -> bool:
    return value.grad_fn is not None or is_functorch_wrapped_tensor(value)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
