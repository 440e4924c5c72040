"""Metrics of regression: of outputs (n, 1) and targets (n, 1)."""

from __future__ import annotations

import math

from metagap.metrics.metric import Margin, Metric

KINDS = ("regression",)
TENTH = Margin(0.1, relative=True)

MSE = Metric(
    name="mse",
    label="MSE",
    about="The mean squared error over the queries of an episode.",
    kinds=KINDS,
    function="metagap.metrics.functions:mean_squared_error",
    higher_is_better=False,
    bounds=(0, math.inf),
    statistic="iqm",
    axis="log",
    margin=TENTH,
)
RMSE = Metric(
    name="rmse",
    label="RMSE",
    about="The root of the mean squared error of an episode, in the unit of the targets; the root is taken before the "
    "mean over episodes.",
    kinds=KINDS,
    function="metagap.metrics.functions:root_mean_squared_error",
    higher_is_better=False,
    bounds=(0, math.inf),
    statistic="iqm",
    axis="log",
    margin=TENTH,
)
MAE = Metric(
    name="mae",
    label="MAE",
    about="The mean absolute error over the queries of an episode, in the unit of the targets.",
    kinds=KINDS,
    function="metagap.metrics.functions:mean_absolute_error",
    higher_is_better=False,
    bounds=(0, math.inf),
    statistic="iqm",
    axis="log",
    margin=TENTH,
)
