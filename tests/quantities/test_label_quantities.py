"""What labels are to a learner: quantities against the same ones by going through everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from watching import POINTS, Plain, tasks_of, watched

from metagap.algorithms.maml import MAML
from metagap.algorithms.protonet import ProtoNet
from metagap.engine.evaluate import shuffled_support
from metagap.quantities.memorization import MEMORIZATION
from metagap.quantities.permutation_spread import MOST, PERMUTATION_SPREAD, permutations
from metagap.tasks.episode import Episode, TaskSpec

MANY = TaskSpec("classification", 3, 1, 20)


def accuracy(plain: Plain, x, y) -> float:
    return float((plain.network(x).argmax(1) == y).double().mean())


def test_permutation_spread_is_over_all_orders():
    seen = watched(MAML(inner_lr=0.1), MANY)
    plain, expected = Plain(seen), []
    for task in tasks_of(seen):
        scores = []
        for order in map(torch.tensor, itertools.permutations(range(3))):
            moved = plain.adapted(task.support_x, order[task.support_y])
            scores.append(accuracy(moved, task.query_x, order[task.query_y]))
        expected.append(np.std(scores))
    assert max(expected) > 0.01
    np.testing.assert_allclose(PERMUTATION_SPREAD.measure(seen), expected, rtol=1e-9)


def test_permutation_spread_of_prototypes_is_zero():
    np.testing.assert_allclose(PERMUTATION_SPREAD.measure(watched(ProtoNet(), MANY)), 0, atol=1e-12)


@pytest.mark.parametrize(("ways", "count"), [(2, 2), (4, 24), (5, MOST), (20, MOST)])
def test_permutations_are_different_ones(ways, count):
    found = permutations(ways, torch.Generator().manual_seed(0))
    assert len(found.unique(dim=0)) == len(found) == count
    assert (found.sort(1).values == torch.arange(ways)).all()


def test_memorization_is_what_shuffled_labels_cost():
    seen = watched(MAML(inner_lr=0.3), MANY)
    plain, expected = Plain(seen), []
    shuffled = shuffled_support(seen.target(seen.episodes), seen.generator("shuffled labels"))
    for i, task in enumerate(tasks_of(seen)):
        pair = (plain.adapted(task.support_x, y) for y in (task.support_y, shuffled.support_y[i]))
        true, wrong = (accuracy(moved, task.query_x, task.query_y) for moved in pair)
        expected.append(true - wrong)
    assert max(np.abs(expected)) > 0.01
    np.testing.assert_allclose(MEMORIZATION.measure(seen), expected, rtol=1e-9)


def test_memorization_of_waves_is_what_adaptation_gains():
    seen = watched(MAML(inner_lr=0.02), POINTS)
    plain, expected = Plain(seen), []
    for task in tasks_of(seen):
        before, after = (
            float((at.network(task.query_x) - task.query_y).square().mean().detach())
            for at in (plain, plain.adapted(*task.support))
        )
        expected.append(before - after)
    np.testing.assert_allclose(MEMORIZATION.measure(seen), expected, rtol=1e-9)
    assert "evaluation.steps is 0" in MEMORIZATION.applies(watched(MAML(), POINTS, steps=0))


def test_who_ignores_the_labels_has_memorized():
    seen = watched(MAML(inner_lr=1e-12), MANY)
    assert (MEMORIZATION.measure(seen) == 0).all()
    assert isinstance(tasks_of(seen)[0], Episode)
