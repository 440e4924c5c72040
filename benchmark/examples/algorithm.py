"""An algorithm: MAML whose inner gradients are scaled to length one."""

from metagap.algorithms.base import GradientLearner
from pydantic import Field


class Mine(GradientLearner):
    """MAML whose inner gradients are scaled to length one."""

    clip: float = Field(1.0, gt=0, description="length of an inner step's gradient")

    def inner_step(self, fast, support, step):
        gradient = self.support_gradient(fast, support)
        length = (sum(g.square().sum() for g in gradient.values()) + 1e-16) ** 0.5
        return {name: w - self.inner_lr * self.clip * gradient[name] / length for name, w in fast.items()}


if __name__ == "__main__":
    from metagap.cli import app

    app(["run", "quickstart", "-a", f"{__file__}:Mine", "-a", "maml", "-s", "0", "--iterations", "50"])
