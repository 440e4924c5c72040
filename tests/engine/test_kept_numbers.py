"""What an outer loop came to before the engine was taken apart is what it comes to now, by every strategy."""

from __future__ import annotations

import pytest
import torch

from metagap.algorithms.maml import MAML
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

BEFORE = {
    "adam": [
        *(-0.70914681548, -0.023045551742, 1.205586423771, -1.289080242228, -0.023107414569),
        *(1.205572102198, -0.716867007513, -0.022896661627, 1.205709974146, -1.296062707576),
    ],
    "sgd": [
        *(-0.993216514549, 0.184313417774, 1.105880506644, -1.003266746649, 0.218604890874),
        *(1.311629345246, -0.996872448179, 0.148666117893, 0.891996707358, -1.132768146859),
    ],
}
"""All weights after three outer steps, at commit 5b7d174 with torch 2.15."""
TRAINING = {"adam": {"lr": 0.1}, "sgd": {"lr": 0.01, "schedule": "cosine"}}


@pytest.mark.parametrize("optimizer", BEFORE)
@pytest.mark.parametrize("words", ["loop", "vmap", "loop traced recompute", "vmap traced chunk=3"])
def test_numbers_are_those_of_before(optimizer, words):
    network = MLP((1,), 1, [3]).double()
    x = torch.linspace(-3, 3, 32, dtype=torch.float64).view(8, 4).t().reshape(4, 8, 1)
    y = (x + torch.arange(4.0).view(4, 1, 1)).sin()
    episodes = Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], torch.empty(4, 0, dtype=torch.long))
    algorithm = MAML(inner_lr=0.01, inner_steps=2).bind(network, TaskSpec("regression", 1, 4, 4))
    meta = {
        name: torch.linspace(-1, 1.5, value.numel(), dtype=torch.float64).view(value.shape)
        for name, value in network.named_parameters()
    }
    training = Training(iterations=3, optimizer=optimizer, **TRAINING[optimizer])
    outer = OuterLoop(algorithm, meta, training, parse(words, Strategy()))
    for _ in range(3):
        outer.step(episodes)
    found = torch.cat([value.flatten() for value in meta.values()])
    torch.testing.assert_close(found, torch.tensor(BEFORE[optimizer], dtype=torch.float64), rtol=1e-9, atol=1e-11)
