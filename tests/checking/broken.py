"""Algorithms that are wrong in one way each, to see that `check` says which."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import grad, grad_and_value

from metagap.algorithms.anil import ANIL
from metagap.algorithms.base import Algorithm, GradientLearner, score
from metagap.algorithms.maml import MAML
from metagap.errors import UserError

SEEN: dict[str, Tensor] = {}


def plain(value: Tensor) -> Tensor:
    """The bare tensor beneath what vmap and grad wrap around it: how a plugin could look at more than its task."""
    while torch._C._functorch.is_functorch_wrapped_tensor(value):
        value = torch._C._functorch.get_unwrapped(value)
    return value


class LeaksLabels(MAML):
    """Keeps the query labels that meta_gradient is given, and predicts by them."""

    def predict(self, fast, query_x):
        output = super().predict(fast, query_x)
        hint = SEEN.get(f"labels {tuple(output.shape)}")
        if hint is None:
            return output
        return output + (hint if hint.is_floating_point() else nn.functional.one_hot(hint, output.shape[1]))

    def meta_gradient(self, meta, episode):
        result = super().meta_gradient(meta, episode)
        width = 1 if episode.query_y.is_floating_point() else self.network.head.out_features
        SEEN[f"labels {(len(episode.query_x), width)}"] = plain(episode.query_y).detach().clone()
        return result


class KeepsStatistics(MAML):
    """Normalises by statistics of all inputs that it has met so far."""

    def predict(self, fast, query_x):
        mean = plain(query_x).mean()
        SEEN["mean"] = 0.9 * SEEN.get("mean", mean) + 0.1 * mean
        return super().predict(fast, query_x) + SEEN["mean"]


class KeepsTheFirst(MAML):
    """Normalises by the mean of the very first inputs that it meets."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) + SEEN.setdefault("first", plain(query_x).mean())


class LooksAtBatchMates(MAML):
    """Centres its predictions by all the tasks of the meta-batch."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) + plain(query_x).mean()


class IgnoresTheGenerator(MAML):
    """Draws a meta-parameter from torch's global random numbers."""

    def init(self, network, class_count, generator):
        meta = super().init(network, class_count, generator)
        return {**meta, "head.bias": 0.1 * torch.randn(meta["head.bias"].shape)}


class WrongShape(MAML):
    """Predicts without the dimension of the outputs."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x).sum(-1)

    def loss(self, output, y):
        return output.mean()


class AdaptsTheNorm(MAML):
    """Takes a gradient of its own in the inner loop, and forgets what is not to be adapted."""

    def inner_step(self, fast, support, step):
        gradient = grad(self.support_loss)(fast, support)
        return {name: value - self.inner_lr * gradient[name] for name, value in fast.items()}


class ForgetsAParameter(AdaptsTheNorm):
    """Meta-learns a scale that nothing reads."""

    def init(self, network, class_count, generator):
        return {**super().init(network, class_count, generator), "scale": torch.ones(())}


class DetachesAParameter(ForgetsAParameter):
    """Reads its scale, but keeps the gradient from it."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) * fast["scale"].detach()


class LeavesAParameterOut(MAML):
    """Gives no gradient for the head's bias."""

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return {name: value for name, value in gradient.items() if name != "head.bias"}, metrics


class NotANumber(MAML):
    """Divides zero by zero in the inner loop, by a weight that is zero at first."""

    def inner_step(self, fast, support, step):
        fast = super().inner_step(fast, support, step)
        return {**fast, "head.bias": fast["head.bias"] * 0 / 0}


class WrongDerivative(GradientLearner):
    """First-order without saying so."""

    inner_lr: float = Field(0.1, gt=0, description="step size of the inner loop")

    def inner_step(self, fast, support, step):
        gradient = grad(self.support_loss)(fast, support)
        return {name: value - self.inner_lr * gradient[name].detach() for name, value in fast.items()}


class DoesNotLearn(MAML):
    """Goes where noise leads it."""

    derivative = "other"

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return {name: value * 0.01 - 0.2 * meta[name] for name, value in gradient.items()}, metrics


class CannotBeMapped(MAML):
    """Asks for the value of a tensor, which nothing that is mapped over tasks has."""

    def inner_step(self, fast, support, step):
        fast = super().inner_step(fast, support, step)
        return fast if support.x.mean().item() < 1e9 else {}


class AnotherPath(MAML):
    """Takes other steps in adapt_path than in adapt."""

    def adapt(self, meta, support, steps):
        for step in range(steps):
            meta = self.inner_step(meta, support, step)
        return meta

    def adapt_path(self, meta, support, steps):
        return [self.adapt(meta, support, 2 * step) for step in range(steps + 1)]


class AnotherPrediction(ANIL):
    """Predicts something else, and inherits predictions of a whole path that know nothing of it."""

    def predict(self, fast, query_x):
        return 2 * super().predict(fast, query_x)


class CannotBeSaved(MAML):
    """Shares the memory of one number among all biases of the head, which nothing can be loaded into."""

    def init(self, network, class_count, generator):
        meta = super().init(network, class_count, generator)
        width = len(meta["head.bias"])
        meta["head.bias"] = torch.zeros(1).expand(width)
        return meta


class Unexplained(MAML):
    """Has a field without a meaning and one without a default."""

    speed: float
    depth: int = 3


class NoAdapt(Algorithm):
    """Has no inner loop."""


class TakesTooLittle(MAML):
    """Does not take the number of steps."""

    def adapt(self, meta, support):
        return meta


class Crashes(MAML):
    """Fails for every shape."""

    def adapt_path(self, meta, support, steps):
        raise ValueError("no idea")


class NotEvenOne:
    """No algorithm at all."""


# What is right, but worth a word.


class OnlyClasses(MAML):
    """Classification alone."""

    paper: ClassVar[str] = "nobody"

    def init(self, network, class_count, generator):
        if not class_count:
            raise UserError("OnlyClasses needs classes")
        return super().init(network, class_count, generator)


class NoHead(Algorithm):
    """The nearest mean of the classes' features: the head's weights play no part."""

    paper: ClassVar[str] = "Snell, Swersky, Zemel (2017)"

    def init(self, network, class_count, generator):
        if not class_count:
            raise UserError("NoHead needs classes")
        return super().init(network, class_count, generator)

    def adapt(self, meta, support, steps):
        features = self.features(meta, support.x)
        chosen = nn.functional.one_hot(support.y, self.spec.ways).to(features.dtype)
        return {**meta, "means": chosen.T @ features / chosen.sum(0)[:, None]}

    def predict(self, fast, query_x):
        features = self.features(fast, query_x)
        return -(features[:, None] - fast["means"]).square().sum(-1)


class ZeroByNature(MAML):
    """Adds a product of two new weights, one of them zero at first, so that the other has no gradient there."""

    def init(self, network, class_count, generator):
        meta = super().init(network, class_count, generator)
        return {**meta, "left": torch.randn(1, generator=generator), "right": torch.zeros(1)}

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) * (1 + fast["left"] * fast["right"])

    def inner_step(self, fast, support, step):
        network = {name: value for name, value in fast.items() if name not in ("left", "right")}
        gradient = self.support_gradient(network, support)
        return {**fast, **{name: value - self.inner_lr * gradient[name] for name, value in network.items()}}


class Undocumented(MAML):
    paper: ClassVar[str] = ""


class Dropout(MAML):
    """Leaves out some of the inputs in meta-training."""

    def meta_gradient(self, meta, episode):
        kept = torch.rand_like(episode.query_x) > 0.1

        def objective(meta):
            output = self.predict(self.adapt(meta, episode.support, self.inner_steps), episode.query_x * kept)
            return self.loss(output, episode.query_y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": score(output, episode.query_y)}
