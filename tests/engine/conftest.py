from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.algorithms.maml import MAML
from metagap.tasks.episode import Episode, TaskSpec


@pytest.fixture
def images():
    """MAML with one inner step on a convolution with batch norm, its meta-parameters and five tasks, in float64."""
    torch.manual_seed(0)
    spec = TaskSpec("classification", 3, 1, 2)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    ).double()
    x, y = torch.randn(5, 9, 2, 6, 6, dtype=torch.float64), torch.arange(3).repeat(5, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(5, 3, dtype=torch.long))
    algorithm = MAML(inner_lr=0.3).bind(network, spec)
    return algorithm, algorithm.init(network, 0, torch.Generator()), episodes
