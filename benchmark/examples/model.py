"""A model: two convolutions and a linear head."""

import math

from torch import nn


class Net(nn.Module):
    """Two convolutions with batch norm, each of which halves the image, and a linear head."""

    def __init__(self, x_shape: tuple[int, ...], outputs: int, filters: int = 16):
        super().__init__()
        channels, height, width = x_shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride=2, padding=1),
            nn.BatchNorm2d(filters, track_running_stats=False),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, stride=2, padding=1),
            nn.BatchNorm2d(filters, track_running_stats=False),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.head = nn.Linear(filters * math.ceil(height / 4) * math.ceil(width / 4), outputs)

    def forward(self, x):
        return self.head(self.features(x))


if __name__ == "__main__":
    from metagap.cli import app

    app(["run", "quickstart", "--set", f"model.name={__file__}:Net", "-a", "maml", "-s", "0", "--iterations", "50"])
