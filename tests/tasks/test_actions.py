"""Spaces of actions against the distributions of torch."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from metagap.tasks.actions import Categorical, Gaussian

SPACES = [Gaussian(3), Categorical(4)]


def theirs(space, distribution):
    if isinstance(space, Categorical):
        return TorchCategorical(logits=distribution)
    mean, log_std = distribution.chunk(2, -1)
    return Independent(Normal(mean, log_std.exp()), 1)


def drawn(space, seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, space.parameters, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_log_probabilities_divergences_and_entropies_are_those_of_torch(space):
    p, q = drawn(space, 0, 5, 2), drawn(space, 1, 5, 2)
    noise = torch.randn(5, 2, space.size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    action = space.sample(p, noise)
    assert action.shape == (5, 2, space.size)
    given = action.argmax(-1) if isinstance(space, Categorical) else action
    torch.testing.assert_close(space.log_prob(q, action), theirs(space, q).log_prob(given))
    torch.testing.assert_close(space.kl(p, q), kl_divergence(theirs(space, p), theirs(space, q)))
    torch.testing.assert_close(space.entropy(p), theirs(space, p).entropy())
    assert space.kl(p, p).abs().max() < 1e-12


def test_choices_are_as_frequent_as_they_are_probable():
    logits, count = torch.tensor([1.0, -2.0, 0.5, 0.0]), 100_000
    noise = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    actions = Categorical(4).sample(logits.expand(count, 4), noise)
    assert (actions.sum(-1) == 1).all()
    p = logits.softmax(-1)
    # Pearson's statistic, of 3 degrees of freedom: 16.3 is exceeded by chance once in a thousand.
    assert float(count * ((actions.mean(0) - p).square() / p).sum()) < 16.3


def test_normal_actions_have_their_means_and_deviations():
    distribution, count = torch.tensor([1.0, -2.0, 0.5, 2.0]).log1p().nan_to_num(-0.5), 100_000
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    actions = Gaussian(2).sample(distribution.expand(count, 4), noise)
    mean, log_std = distribution.chunk(2)
    assert ((actions.mean(0) - mean).abs() < 4.5 * log_std.exp() / count**0.5).all()
    assert ((actions.std(0) / log_std.exp() - 1).abs() < 0.01).all()


def test_an_impossible_choice_is_never_made_and_costs_nothing():
    logits = torch.tensor([0.0, -torch.inf, 1.0]).expand(1000, 3)
    actions = Categorical(3).sample(logits, torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)))
    assert float(actions[:, 1].sum()) == 0
    assert Categorical(3).log_prob(logits, actions).isfinite().all()


def test_who_knows_nothing_acts_evenly():
    assert torch.equal(Categorical(3).random().softmax(-1), torch.full((3,), 1 / 3))
    assert torch.equal(Gaussian(2).random(), torch.zeros(4))
