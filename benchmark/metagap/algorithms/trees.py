"""Gradient-boosted trees of scikit-learn, fitted to each task by itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.metric import SUPPORT_X, SUPPORT_Y
from metagap.algorithms.reference import Reference
from metagap.tasks.episode import Support


class BoostedTrees(Reference):
    """Gradient-boosted trees on the inputs, by scikit-learn: the usual choice for tables, without meta-learning.

    They run on the CPU, a task at a time. It is scikit-learn's GradientBoosting, with splits between any two examples:
    the faster HistGradientBoosting wants 20 examples in a leaf and learns nothing of few shots; allowed one, it is
    slower with few examples of many features. Logits are logarithms of probabilities.
    """

    paper: ClassVar[str] = "Friedman (2001), Greedy Function Approximation: A Gradient Boosting Machine, Ann. Stat."
    mappable: ClassVar[bool] = False

    trees: PositiveInt = Field(default=50, description="boosting steps, of one tree for each class or target")
    learning_rate: PositiveFloat = Field(default=0.1, description="what each tree is multiplied by")
    depth: PositiveInt = Field(default=2, description="splits from the root of a tree to a leaf, at most")

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The support set; trees are no tensors, and grow where they are asked."""
        return {**meta, SUPPORT_X: support.x.flatten(1), SUPPORT_Y: support.y}

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """Logits (n, ways), or targets (n, targets)."""
        x, y = (fast[name].cpu().numpy() for name in (SUPPORT_X, SUPPORT_Y))
        order = sorted(range(len(x)), key=lambda i: (x[i].tobytes(), y[i].tobytes()))  # decides between equal splits
        x, y = x[order], y[order]
        asked = query_x.flatten(1).cpu().numpy()
        if not self.spec.kind.has_ways:
            found = np.stack([self._grown("GradientBoostingRegressor", x, one).predict(asked) for one in y.T], 1)
            return torch.from_numpy(found).to(query_x)
        found, there = np.full((len(asked), self.spec.ways), TINY), np.unique(y)
        if len(there) == 1:
            found[:, there] = 1.0
        else:
            found[:, there] = self._grown("GradientBoostingClassifier", x, y).predict_proba(asked).clip(TINY)
        return torch.from_numpy(np.log(found)).to(query_x)

    def _grown(self, which: str, x: np.ndarray, y: np.ndarray) -> Any:
        """What is fitted to inputs x (K, features) and targets y (K,)."""
        options = (("n_estimators", self.trees), ("learning_rate", self.learning_rate), ("max_depth", self.depth))
        return _fitted(which, options, *((one.tobytes(), one.shape, one.dtype.str) for one in (x, y)))


TINY = 1e-12
"""The least probability, so that losses are finite."""


Array = tuple[bytes, tuple[int, ...], str]
"""An array as bytes, shape and type, by which it can be remembered."""


@lru_cache(maxsize=16)  # the queries of a task may come one by one, and its support set is predicted too
def _fitted(which: str, options: tuple[tuple[str, Any], ...], *arrays: Array) -> Any:
    """An estimator that is fitted to arrays x and y."""
    from sklearn import ensemble  # takes half a second, and nobody else needs it

    x, y = (np.frombuffer(data, kind).reshape(shape) for data, shape, kind in arrays)
    return getattr(ensemble, which)(**dict(options), random_state=0).fit(x, y)
