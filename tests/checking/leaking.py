"""Algorithms that leak labels, claim what they are not, or are not pure; and some that look so and are sound."""

from __future__ import annotations

import random
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, grad_and_value

from metagap.algorithms.base import Algorithm, GradientLearner, Params, score
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.protonet import ProtoNet

# By the places of the queries.


def hint(output: Tensor, guess: Tensor) -> Tensor:
    return output + 3 * nn.functional.one_hot(guess.clamp(max=output.shape[1] - 1), output.shape[1]).to(output.dtype)


class InTurn(MAML):
    """Classes in turn."""

    def predict(self, fast, query_x):
        return hint(super().predict(fast, query_x), torch.arange(len(query_x)) % self.spec.ways)


class InBlocks(MAML):
    """Class by class."""

    def predict(self, fast, query_x):
        n = len(query_x)
        return hint(super().predict(fast, query_x), torch.arange(n) * self.spec.ways // n)


class ByPlace(MAML):
    """Adds a little that grows from query to query."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) + 1e-4 * torch.arange(len(query_x)).to(query_x.dtype).tanh()[:, None]


class LastIsSpecial(MAML):
    """Another temperature for the last query, where there are many."""

    def predict(self, fast, query_x):
        n = len(query_x)
        return super().predict(fast, query_x) * (1 + (torch.arange(n) == n - 1) * (n > 20))[:, None]


class HiddenByNoise(InTurn):
    """Adapts to noisy examples, too."""

    def adapt(self, meta, support, steps):
        return super().adapt(meta, support._replace(x=support.x + 0.01 * torch.randn_like(support.x)), steps)


class RandomPredictions(MAML):
    """Noise on every prediction."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) + 0.01 * torch.randn(len(query_x), 1, dtype=query_x.dtype)


# By the other queries.


class Recentres(MAML):
    """Takes the mean of all queries away."""

    def predict(self, fast, query_x):
        output = super().predict(fast, query_x)
        return output - output.mean(0)


class Standardises(MAML):
    """Divides by the spread over the queries, which a single one does not have."""

    def predict(self, fast, query_x):
        output = super().predict(fast, query_x)
        return output / (output.std(0) + 1)


class SharesOut(MAML):
    """A softmax over the queries."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x).log_softmax(0)


class Balances(MAML):
    """Sinkhorn's iterations: every class gets as many queries."""

    def predict(self, fast, query_x):
        share = super().predict(fast, query_x)
        for _ in range(5):
            share = share.log_softmax(1).log_softmax(0)
        return share


class Competes(MAML):
    """Relative to the best of all queries."""

    def predict(self, fast, query_x):
        output = super().predict(fast, query_x)
        return output - output.amax(0)


class ManyAtOnce(MAML):
    """Recentres only where queries are many."""

    def predict(self, fast, query_x):
        output = super().predict(fast, query_x)
        return output - output.mean(0) * (len(query_x) > 20)


class SaysTransductive(Recentres):
    """Says so."""

    transductive = True


class OnlySaysTransductive(MAML):
    """Says so without being it."""

    transductive: ClassVar[bool] = True


# Queries in adaptation.


class QueriesInTheSupport(MAML):
    """Adapts to support and queries in meta-training."""

    def meta_gradient(self, meta, episode):
        x, y = torch.cat([episode.support_x, episode.query_x]), torch.cat([episode.support_y, episode.query_y])
        return super().meta_gradient(meta, episode._replace(support_x=x, support_y=y))


class HeadOfTheQueries(ProtoNet):
    """Prototypes of the queries in meta-training, by hand."""

    def meta_gradient(self, meta, episode):
        def objective(meta):
            output = self.predict(
                self.adapt(meta, type(episode.support)(episode.query_x, episode.query_y), 0), episode.query_x
            )
            return self.loss(output, episode.query_y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": score(output, episode.query_y)}


class LabelsBehindTheBack(MAML):
    """Hands the labels to predict on itself."""

    def predict(self, fast, query_x):
        y = self.__dict__.get("labels")
        output = super().predict(fast, query_x)
        return output if y is None or y.is_floating_point() else hint(output, y)

    def meta_gradient(self, meta, episode):
        self.__dict__["labels"] = episode.query_y
        try:
            return super().meta_gradient(meta, episode)
        finally:
            del self.__dict__["labels"]


class CentredByTheQueries(MAML):
    """Moves the support set onto the queries in meta-training."""

    def meta_gradient(self, meta, episode):
        x = episode.support_x - episode.support_x.mean(0) + episode.query_x.mean(0)
        return super().meta_gradient(meta, episode._replace(support_x=x))


class PlacesOfTheSupport(Algorithm):
    """Prototypes of the examples at the places of a class."""

    paper: ClassVar[str] = "none"

    def adapt(self, meta, support, steps):
        features = self.features(meta, support.x)
        return {**meta, "means": features.view(-1, self.spec.ways, features.shape[1]).mean(0)}

    def predict(self, fast, query_x):
        return -(self.features(fast, query_x)[:, None] - fast["means"]).square().sum(-1)


class PlacesToo(PlacesOfTheSupport):
    """Prototypes by labels, moved a little by places."""

    def adapt(self, meta, support, steps):
        features, places = self.features(meta, support.x), super().adapt(meta, support, steps)
        if support.y.is_floating_point():
            return places
        chosen = nn.functional.one_hot(support.y, self.spec.ways).to(features.dtype)
        return {**meta, "means": chosen.T @ features / chosen.sum(0)[:, None] + 0.05 * places["means"]}


class NoLabels(PlacesOfTheSupport):
    """One mean of all, and a head."""

    def adapt(self, meta, support, steps):
        return {**meta, "means": self.features(meta, support.x).mean(0)}

    def predict(self, fast, query_x):
        return self.head(fast, self.features(fast, query_x) - fast["means"])


# The order of the derivative.


class FirstOrderInSecret(GradientLearner):
    """The query gradient at the adapted parameters."""

    def meta_gradient(self, meta, episode):
        fast = self.adapt(meta, episode.support, self.inner_steps)

        def objective(fast):
            output = self.predict(fast, episode.query_x)
            return self.loss(output, episode.query_y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(fast)
        return gradient, {"loss": loss, "score": score(output, episode.query_y)}


class SaysFirstOrder(FirstOrderInSecret):
    """Says so."""

    derivative = "first-order"


class SecondOrderInSecret(MAML):
    """Says first order and is not."""

    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "first-order"


class Uphill(MAML):
    """Climbs where it ought to descend, and says that this is another objective."""

    derivative = "other"

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return {name: -value for name, value in gradient.items()}, metrics


class OfTheNetworkItself(Algorithm):
    """Forgets that weights come from outside."""

    def adapt(self, meta, support, steps):
        return meta

    def predict(self, fast, query_x):
        weights = {name: value.to(query_x.dtype) for name, value in self.network.named_parameters()}
        return self.forward(weights, query_x)


class HalfTheGradient(MAML):
    """Half the gradient for the head."""

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return {name: value / 2 if name.startswith("head") else value for name, value in gradient.items()}, metrics


class AnotherObjective(HalfTheGradient):
    """Says so."""

    derivative = "other"


# Inner steps.


class Stepping(GradientLearner):
    """Inner steps of whatever length."""

    def lengths(self, name: str, value: Tensor, step: int) -> Tensor | float:
        return self.inner_lr

    def inner_step(self, fast, support, step):
        gradient = grad(self.support_loss)(fast, support)
        return {name: v - self.lengths(name, v, step) * gradient[name] for name, v in fast.items()}


class ClimbsInTheHead(Stepping):
    """A wrong sign for the head's bias."""

    def lengths(self, name, value, step):
        return -self.inner_lr if name == "head.bias" else self.inner_lr


class ClimbsLater(Stepping):
    """A wrong sign in every second step."""

    def lengths(self, name, value, step):
        return -self.inner_lr if step % 2 else self.inner_lr


class ClimbsInPart(Stepping):
    """A wrong sign for some of the head's inputs."""

    def lengths(self, name, value, step):
        return self.inner_lr * (1 - 2 * (torch.arange(value.shape[-1]) < 2)) if name == "head.weight" else self.inner_lr


class ClimbsBySign(GradientLearner):
    """Steps of equal length, the wrong way in the head."""

    def inner_step(self, fast, support, step):
        gradient = grad(self.support_loss)(fast, support)
        sign = {name: -1 if name == "head.weight" else 1 for name in fast}
        return {name: value - sign[name] * self.inner_lr * gradient[name].sign() for name, value in fast.items()}


class Preconditioned(GradientLearner):
    """Gradients of matrices mixed along their rows, which turns single values round."""

    def inner_step(self, fast, support, step):
        gradient = grad(self.support_loss)(fast, support)

        def mixed(value: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(value.shape[-1] if value.ndim else 0)
            root = torch.randn(value.shape[-1], value.shape[-1], generator=generator, dtype=value.dtype)
            return value @ (root @ root.T / len(root) + 0.1 * torch.eye(len(root), dtype=value.dtype))

        return {n: v - self.inner_lr * (mixed(gradient[n]) if v.ndim else gradient[n]) for n, v in fast.items()}


# Metrics.


class Recording(MAML):
    """Records what it likes."""

    def record(self, meta: Params, episode, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
        return metrics

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return gradient, self.record(meta, episode, metrics)


class ErrorForScore(Recording):
    """The share of errors."""

    def record(self, meta, episode, metrics):
        return {
            **metrics,
            "score": 1 - metrics["score"] if not episode.query_y.is_floating_point() else metrics["loss"],
        }


class AlwaysRight(Recording):
    """Never wrong."""

    def record(self, meta, episode, metrics):
        return {**metrics, "score": torch.zeros_like(metrics["score"])}


class SupportScore(Recording):
    """The score on the support set."""

    def record(self, meta, episode, metrics):
        fast = self.adapt(meta, episode.support, self.inner_steps)
        return {**metrics, "score": score(self.predict(fast, episode.support_x), episode.support_y)}


class InPercent(Recording):
    """Of a hundred."""

    def record(self, meta, episode, metrics):
        return metrics if episode.query_y.is_floating_point() else {**metrics, "score": 100 * metrics["score"]}


class AnotherLoss(Recording):
    """The loss with something added."""

    def record(self, meta, episode, metrics):
        return {**metrics, "loss": metrics["loss"] + 1}


# Random numbers.


class SameForAllSeeds(MAML):
    """The same weights for everybody."""

    def init(self, network, class_count, generator):
        own = torch.Generator().manual_seed(0)
        named = super().init(network, class_count, generator)
        return {name: torch.randn(value.shape, generator=own) * 0.1 for name, value in named.items()}


class WeightsOfItsOwn(MAML):
    """The same head for everybody, of random numbers that are put back afterwards."""

    def init(self, network, class_count, generator):
        meta = super().init(network, class_count, generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return {**meta, "head.weight": torch.randn(meta["head.weight"].shape)}


class GeneratorOfItsOwn(MAML):
    """A random scale from a generator of its own."""

    def init(self, network, class_count, generator):
        own = torch.Generator().manual_seed(7)
        return {**super().init(network, class_count, generator), "scale": torch.rand(4, generator=own)}

    def inner_step(self, fast, support, step):
        weights = {name: value for name, value in fast.items() if name != "scale"}
        return {**super().inner_step(weights, support, step), "scale": fast["scale"]}

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) * fast["scale"].sum()


class SeedsNumPy(GeneratorOfItsOwn):
    """A random scale of NumPy's, from a seed of its own."""

    def init(self, network, class_count, generator):
        np.random.seed(0)  # noqa: NPY002
        return {**MAML.init(self, network, class_count, generator), "scale": torch.from_numpy(np.random.rand(3))}  # noqa: NPY002


class StartsFromIdentity(GeneratorOfItsOwn):
    """A matrix that is the identity at first, for every seed."""

    def init(self, network, class_count, generator):
        return {**MAML.init(self, network, class_count, generator), "scale": torch.eye(3)}


class SetsTheSeed(MAML):
    """Leaves out inputs, always the same ones."""

    def adapt(self, meta, support, steps):
        torch.manual_seed(0)
        return super().adapt(meta, support._replace(x=support.x * (torch.rand_like(support.x) > 0.1)), steps)


class DrawsInPython(MAML):
    """A random temperature of Python's."""

    def predict(self, fast, query_x):
        return super().predict(fast, query_x) * (1 + random.random())


# Gradients, inputs, memory.


class ZerosInPart(FOMAML):
    """No gradient for half of the head."""

    derivative = "other"

    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        head = gradient["head.weight"]
        return {**gradient, "head.weight": head * (torch.arange(head.shape[-1]) % 2)}, metrics


class ChangesMeta(MAML):
    """Descends in place."""

    def adapt(self, meta, support, steps):
        fast = super().adapt(meta, support, steps)
        meta["head.bias"].copy_(fast["head.bias"])
        return fast


class ChangesExamples(MAML):
    """Centres in place."""

    def adapt(self, meta, support, steps):
        support.x.sub_(support.x.mean(0))
        return super().adapt(meta, support, steps)


class ChangesLabels(MAML):
    """Uses the labels up."""

    def meta_gradient(self, meta, episode):
        result = super().meta_gradient(meta, episode)
        episode.query_y.zero_()
        return result


class AddsToMeta(MAML):
    """Leaves a word."""

    def adapt(self, meta, support, steps):
        fast = super().adapt({name: value for name, value in meta.items() if name != "seen"}, support, steps)
        meta["seen"] = support.x.mean()
        return fast


class KeepsOnItself(MAML):
    """A running mean on itself."""

    def predict(self, fast, query_x):
        mean = query_x.detach().mean()
        self.__dict__["mean"] = 0.9 * self.__dict__.get("mean", mean) + 0.1 * mean
        return super().predict(fast, query_x) + self.__dict__["mean"]


class CountsCalls(MAML):
    """Warms up over the first tasks."""

    def adapt(self, meta, support, steps):
        self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
        fast = super().adapt(meta, support, steps)
        return {name: value * min(1.0, self.__dict__["calls"] / 4) for name, value in fast.items()}
