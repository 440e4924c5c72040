"""Whether adaptation changes the features of a network or only its head: rapid learning or feature reuse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from metagap.algorithms.base import Params
from metagap.quantities.inner_loop import InnerLoop, dot, no_adaptation, no_gradients, probes
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode

RAGHU = "Raghu, Raghu, Bengio, Vinyals (2020), Rapid Learning or Feature Reuse? Towards Understanding MAML, ICLR"


def _change(watched: Watched, *, head: bool) -> Tensor:
    """|change| / |weights before| of all trained weights of the head, or of all others, (episodes,)."""
    loop, names = InnerLoop.of(watched), _weights(watched, head=head)

    def of_one(meta: Params, task: Episode) -> Tensor:
        start, end = loop.start(meta, task), loop.end(meta, task)
        before = {name: start[name] for name in names}
        moved = {name: end[name] - start[name] for name in names}
        return (dot(moved, moved) / dot(before, before)).sqrt()

    return watched.each(of_one, watched.target(watched.episodes))


def _similarity(watched: Watched) -> Tensor:
    """Linear CKA between the query features before and after adaptation, (episodes,)."""
    loop = InnerLoop.of(watched)

    def of_one(meta: Params, task: Episode) -> Tensor:
        return linear_cka(
            *(_features(loop, point, task.query_x) for point in (loop.start(meta, task), loop.end(meta, task)))
        )

    return watched.each(of_one, watched.target(watched.episodes))


def linear_cka(a: Tensor, b: Tensor) -> Tensor:
    """Centred kernel alignment of features (n, width) and (n, width) with linear kernels; Kornblith et al. (2019)."""
    first, second = (_centred_gram(z.double()) for z in (a, b))
    return (first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()


def _centred_gram(z: Tensor) -> Tensor:
    z = z - z.mean(0)
    return z @ z.T


def _features(loop: InnerLoop, point: Params, x: Tensor) -> Tensor:
    """What the network's features are when it predicts for x, whatever the algorithm does to its layers: (n, width)."""
    seen: list[Tensor] = []

    def see(_module: nn.Module, _inputs: Any, found: Tensor) -> None:
        seen.append(found)

    hook = loop.algorithm.part("features").register_forward_hook(see)
    try:
        loop.output(point, x)
    finally:
        hook.remove()
    return seen[-1].flatten(1)


def _weights(watched: Watched, *, head: bool) -> list[str]:
    """The trained weights of the network's head, or all others, by their names."""
    start = watched.algorithm.adapt(watched.meta, probes(watched)[0].support, 0)
    trained = [name for name, _ in watched.algorithm.network.named_parameters() if name in start]
    return [name for name in trained if name.startswith("head.") == head]


def _no_parts(watched: Watched) -> str:
    network = watched.algorithm.network
    if not all(isinstance(getattr(network, part, None), nn.Module) for part in ("features", "head")):
        return f"model {type(network).__name__} is not in two parts, `features` and `head`"
    return ""


def _no_change(watched: Watched, *, head: bool) -> str:
    if fault := _no_parts(watched) or no_adaptation(watched):
        return fault
    algorithm = watched.algorithm
    name, part = type(algorithm).__name__, "head" if head else "body"
    if not {*_weights(watched, head=False), *_weights(watched, head=True)} & {*InnerLoop.of(watched).names}:
        return f"{name} adapts none of the network's own weights"
    names = _weights(watched, head=head)
    start = algorithm.adapt(watched.meta, probes(watched)[0].support, 0)
    if not any(torch.count_nonzero(start[name]) for name in names):
        return f"the {part} is zero where {name} starts to adapt, so that there is no relative change"
    return ""


BODY_CHANGE = Quantity(
    name="body-change",
    about="Change of the weights below the head by adaptation, relative to their size; large where features are "
    "learned anew for each task, near 0 where they are reused.",
    citation=RAGHU,
    cost="1 adaptation per episode",
    measure=lambda watched: _change(watched, head=False),
    applies=lambda watched: _no_change(watched, head=False),
)
HEAD_CHANGE = Quantity(
    name="head-change",
    about="Change of the head's weights by adaptation, relative to their size; large where the head is learned "
    "anew for each task.",
    citation=RAGHU,
    cost="1 adaptation per episode",
    measure=lambda watched: _change(watched, head=True),
    applies=lambda watched: _no_change(watched, head=True),
)
FEATURE_SIMILARITY = Quantity(
    name="feature-similarity",
    about="Linear CKA between the features of the queries before and after adaptation; near 1 where features are "
    "reused, small where adaptation changes what they represent.",
    citation=f"{RAGHU}; CKA: Kornblith, Norouzi, Lee, Hinton (2019), ICML",
    cost="1 adaptation and 2 predictions per episode",
    measure=_similarity,
    applies=lambda watched: _no_parts(watched) or no_gradients(watched),
)
