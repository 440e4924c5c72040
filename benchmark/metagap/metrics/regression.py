"""Metrics of regression: of outputs (n, 1) and targets (n, 1)."""

from __future__ import annotations

import math
from functools import partial

from metagap.metrics.metric import Margin, Metric

KINDS = ("regression",)

_error = partial(
    Metric,
    kinds=KINDS,
    higher_is_better=False,
    bounds=(0, math.inf),
    statistic="iqm",
    axis="log",
    margin=Margin(0.1, relative=True),
)

MSE = _error(
    name="mse",
    label="MSE",
    about="The mean squared error over the queries of an episode.",
    function="metagap.metrics.functions:mean_squared_error",
)
RMSE = _error(
    name="rmse",
    label="RMSE",
    about="The root of the mean squared error of an episode, in the unit of the targets; the root is taken before the "
    "mean over episodes.",
    function="metagap.metrics.functions:root_mean_squared_error",
)
MAE = _error(
    name="mae",
    label="MAE",
    about="The mean absolute error over the queries of an episode, in the unit of the targets.",
    function="metagap.metrics.functions:mean_absolute_error",
)
