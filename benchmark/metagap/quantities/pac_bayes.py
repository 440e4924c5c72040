"""A PAC-Bayes bound on the error on new tasks, for meta-parameters and adapted weights with Gaussian noise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from metagap.algorithms.base import CARRIED, PROGRESS, Params
from metagap.metrics.functions import accuracy
from metagap.quantities.examples import task_inputs
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode

CONFIDENCE = 0.05
"""The bound fails for at most this share of draws of the tasks."""
SCALES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Standard deviations of the noise that are tried, as shares of the root mean square of the weights before training."""
DRAWS = 3
"""Of the noise, for each scale."""


class Bound(NamedTuple):
    """What the expected error of a new task is at most the sum of."""

    error: float
    """Of the tasks that were looked at."""
    gap: float

    @property
    def risk(self) -> float:
        """The bound on the error of a new task."""
        return self.error + self.gap


def complexity(meta_divergence: float, task_divergence: float, tasks: int, examples: int, confidence: float) -> float:
    """Amit and Meir (2018), theorem 2: what the error on new tasks may exceed that on `tasks` seen ones by.

    The divergences are of the hyper-posterior from the hyper-prior, and the mean over the tasks of that of the
    posterior from the prior; the mean is taken inside the root, which makes the bound no smaller.
    """
    within = meta_divergence + task_divergence + math.log(2 * tasks * examples / confidence)
    across = meta_divergence + math.log(2 * tasks / confidence)
    return math.sqrt(within / (2 * (examples - 1))) + math.sqrt(across / (2 * (tasks - 1)))


def bound(watched: Watched) -> Bound:
    """The least bound over the scales of the noise; they share the confidence.

    With s the scale, the hyper-prior is N(initial, s^2), the hyper-posterior N(learned, s^2), a task's prior
    N(theta, s^2) for a theta of the hyper-posterior, and its posterior N(adapted theta, s^2). Expectations over these
    are means over draws.
    """
    names = _names(watched)
    x, _ = task_inputs(watched.source(watched.episodes))
    tasks, examples = x.shape[:2]
    size = sum(watched.initial[name].square().sum() for name in names) / sum(watched.initial[n].numel() for n in names)
    moved = sum(float((watched.meta[name] - watched.initial[name]).double().square().sum()) for name in names)
    found = []
    for share in SCALES:
        scale = share * float(size) ** 0.5
        errors, distances = _drawn(watched, names, scale)
        gap = complexity(moved / (2 * scale**2), distances / (2 * scale**2), tasks, examples, CONFIDENCE / len(SCALES))
        found.append(Bound(errors, gap))
    return min(found, key=lambda one: one.risk)


def _drawn(watched: Watched, names: list[str], scale: float) -> tuple[float, float]:
    """Mean error on all examples of the tasks, and mean squared distance that adaptation goes, over draws of noise."""
    generator, episodes = watched.generator("noise"), watched.source(watched.episodes)
    most = _clip(watched)
    found = []
    for _ in range(DRAWS):
        before, after = (_noise(watched.meta, names, scale, generator) for _ in range(2))
        noisy = {**watched.meta, **{name: watched.meta[name] + before[name] for name in names}}

        def one_task(meta: Params, task: Episode, after: Params = after) -> tuple[Tensor, Tensor]:
            fast = watched.algorithm.adapt(meta, task.support, watched.steps)
            distance = torch.stack([(fast[name] - meta[name]).square().sum() for name in names]).sum()
            fast = {**fast, **{name: fast[name] + after[name] for name in names}}
            x, y = torch.cat([task.support_x, task.query_x]), torch.cat([task.support_y, task.query_y])
            output = watched.algorithm.predict(fast, x)[:, watched.spec.columns]
            return _loss(output, y, most), distance

        losses, distances = replace(watched, meta=noisy).each(one_task, episodes)
        found.append((float(losses.double().mean()), float(distances.double().mean())))
    return sum(e for e, _ in found) / DRAWS, sum(d for _, d in found) / DRAWS


def _loss(output: Tensor, y: Tensor, most: float) -> Tensor:
    """In [0, 1]: the share of wrong answers, or the mean of squared errors clipped at `most`, over `most`."""
    if not y.is_floating_point():
        return 1 - accuracy(output, y)
    return ((output - y).square().nan_to_num(nan=most, posinf=most).clamp(max=most) / most).mean()


def _clip(watched: Watched) -> float:
    """The mean square of the test targets, which the training tasks have no say in; 1 for classification."""
    y = watched.target(watched.episodes).query_y
    return float(y.double().square().mean()) if y.is_floating_point() else 1.0


def _noise(meta: Params, names: list[str], scale: float, generator: Generator) -> Params:
    return {
        n: scale * torch.randn(meta[n].shape, generator=generator, dtype=meta[n].dtype).to(meta[n].device)
        for n in names
    }


def _names(watched: Watched) -> list[str]:
    return [name for name in watched.meta if name != PROGRESS]


def _fault(watched: Watched) -> str:
    name, meta = type(watched.algorithm).__name__, watched.meta
    if any(key.startswith(CARRIED) for key in meta):
        return f"{name} carries statistics from task to task, which are no meta-parameters with a prior"
    if watched.episodes < 2 or watched.spec.ways * (watched.spec.shots + watched.spec.queries) < 2:
        return "it takes 2 tasks of 2 examples"
    task = Episode(*(field[0] for field in watched.source(1)))
    fast = watched.algorithm.adapt(meta, task.support, watched.steps)
    if {key: value.shape for key, value in fast.items()} != {key: value.shape for key, value in meta.items()}:
        return f"{name} adapts to other parameters than its meta-parameters, so that these are no prior of them"
    return ""


AMIT = "Amit, Meir (2018), Meta-Learning by Adjusting Priors Based on Extended PAC-Bayes Theory, ICML"
COST = f"{len(SCALES) * DRAWS} adaptations per episode"

RISK = Quantity(
    name="pac-bayes-risk",
    about="PAC-Bayes bound on the error of the learner with noise on its weights, on new tasks of the training "
    "distribution, at 95% confidence; small where it learned little beyond its initialisation and still errs little, 1 "
    "or more says nothing.",
    citation=AMIT,
    cost=COST,
    of="cell",
    measure=lambda watched: bound(watched).risk,
    applies=_fault,
)
GAP = Quantity(
    name="pac-bayes-gap",
    about="The part of the PAC-Bayes bound that the error on new tasks may exceed that on seen ones by; large where "
    "meta-training and adaptation move the weights far from where they were.",
    citation=AMIT,
    cost=COST,
    of="cell",
    measure=lambda watched: bound(watched).gap,
    applies=_fault,
)
