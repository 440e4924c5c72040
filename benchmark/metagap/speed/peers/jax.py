"""JAX: the same networks and loops as pure functions, compiled by XLA."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leave some of the GPU to torch

# It is an extra, which need not be installed where types are checked.
import jax  # pyright: ignore[reportMissingImports]
from jax import lax  # pyright: ignore[reportMissingImports]
from jax import numpy as jnp  # pyright: ignore[reportMissingImports]

from metagap.errors import UserError
from metagap.speed.peers.base import Peer
from metagap.speed.timing import Way
from metagap.speed.workloads import Problem, flat

jax.config.update("jax_enable_x64", True)  # for the answers; everything that is timed is float32 all the same


class Jax(Peer):
    """jit of the whole step: value_and_grad of a task's query loss, over the tasks by vmap or by lax.map, and Adam."""

    name = "jax"
    algorithms = ("maml", "fomaml")
    uses_torch = False

    def ways(self, problem: Problem, cores: int) -> list[Way]:
        """By lax.map, which is a loop, and by vmap; both on the threads that XLA takes."""
        return [Way(how, _iteration(problem, how), cores) for how in ("map", "vmap")]

    def answer(self, problem: Problem) -> Tensor:
        """The mean meta-gradient, or the query losses."""
        found = jax.jit(_answer(problem, "map"))(_weights(problem), _episodes(problem))
        if problem.workload.evaluates:
            return torch.from_numpy(np.array(found))
        return flat({name: torch.from_numpy(np.array(value)) for name, value in found.items()})


def _iteration(problem: Problem, how: str) -> Callable[[], Any]:
    answer, episodes = _answer(problem, how), _episodes(problem)
    if problem.workload.evaluates:
        weights, scored = _weights(problem), jax.jit(answer)
        return lambda: np.asarray(scored(weights, episodes))

    @jax.jit
    def step(episodes: Any, weights: Any, first: Any, second: Any, count: Any) -> Any:
        """Adam at 0.001."""
        gradient, count = answer(weights, episodes), count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        scale = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        moved = jax.tree.map(lambda w, m, v: w - scale * m / (jnp.sqrt(v) + 1e-8), weights, first, second)
        return moved, first, second, count

    weights = _weights(problem)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, zeros, jnp.zeros((), jnp.float32))

    def iteration() -> None:
        nonlocal state
        state = jax.block_until_ready(step(episodes, *state))

    return iteration


def _answer(problem: Problem, how: str) -> Callable[..., Any]:
    """(weights, episodes) to the mean meta-gradient, or to the query losses (tasks,)."""
    forward, workload = _forward(problem.network), problem.workload
    loss = _cross_entropy if workload.spec.kind.has_ways else _squared_error

    def query_loss(weights: Any, episode: Any) -> Any:
        support_x, support_y, query_x, query_y = episode
        inner = jax.grad(lambda fast: loss(forward(fast, support_x), support_y))
        fast = weights
        for _ in range(workload.steps):
            gradient = inner(fast)
            gradient = lax.stop_gradient(gradient) if problem.first_order else gradient
            fast = jax.tree.map(lambda w, g: w - workload.inner_lr * g, fast, gradient)
        return loss(forward(fast, query_x), query_y)

    def over_tasks(function: Callable[..., Any], weights: Any, episodes: Any) -> Any:
        if how == "vmap":
            return jax.vmap(function, (None, 0))(weights, episodes)
        return lax.map(lambda episode: function(weights, episode), episodes)

    if workload.evaluates:
        return lambda weights, episodes: over_tasks(query_loss, weights, episodes)

    def meta_gradient(weights: Any, episodes: Any) -> Any:
        gradients = over_tasks(jax.grad(query_loss), weights, episodes)
        return jax.tree.map(lambda gradient: gradient.mean(0), gradients)

    return meta_gradient


def _forward(network: nn.Module) -> Callable[[Any, Any], Any]:
    """The network as a function of its weights by name and an input; images are (n, C, H, W) as in torch."""
    layers = [_layer(name, module) for name, module in network.named_modules() if not list(module.children())]

    def forward(weights: Any, x: Any) -> Any:
        for layer in layers:
            x = layer(weights, x)
        return x

    return forward


def _layer(name: str, module: nn.Module) -> Callable[[Any, Any], Any]:
    match module:
        case nn.Linear():
            return lambda w, x: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
        case nn.Conv2d():
            padding = [(p, p) for p in module.padding]
            return lambda w, x: lax.conv_general_dilated(
                x, w[f"{name}.weight"], module.stride, padding, dimension_numbers=("NCHW", "OIHW", "NCHW")
            )
        case nn.BatchNorm2d():
            return lambda w, x: _batch_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], module.eps)
        case nn.MaxPool2d():
            return lambda w, x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        case nn.AdaptiveAvgPool2d():
            return lambda w, x: x.mean((2, 3), keepdims=True)
        case nn.ReLU():
            return lambda w, x: jax.nn.relu(x)
        case nn.Flatten():
            return lambda w, x: x.reshape(len(x), -1)
    raise UserError(f"--against jax: it has no layer {type(module).__name__}")


def _batch_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    mean = x.mean((0, 2, 3), keepdims=True)
    variance = jnp.square(x - mean).mean((0, 2, 3), keepdims=True)
    return (x - mean) * lax.rsqrt(variance + eps) * weight[:, None, None] + bias[:, None, None]


def _cross_entropy(output: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], 1).mean()


def _squared_error(output: Any, y: Any) -> Any:
    return jnp.square(output - y).mean()


def _weights(problem: Problem) -> Any:
    return {name: _array(problem, value.detach()) for name, value in problem.network.named_parameters()}


def _episodes(problem: Problem) -> Any:
    return tuple(_array(problem, field) for field in problem.episodes[:4])


def _array(problem: Problem, tensor: Tensor) -> Any:
    """The same values on the same kind of device."""
    kind = "gpu" if problem.device.type == "cuda" else "cpu"
    try:
        return jax.device_put(tensor.cpu().numpy(), jax.devices(kind)[0])
    except RuntimeError as error:
        raise UserError(f"--against jax: it finds no device '{kind}' here: {error}") from error
