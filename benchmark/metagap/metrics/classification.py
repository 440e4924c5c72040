"""Metrics of classification: of logits (n, ways) and class indices (n,)."""

from __future__ import annotations

import math
from functools import partial

from metagap.metrics.metric import Margin, Metric

KINDS = ("classification",)


def one_of(ways: int) -> float:
    """What guessing uniformly gets right."""
    return 1 / ways


_share = partial(Metric, kinds=KINDS, bounds=(0, 1), unit="%", scale=100, margin=Margin(0.01))
_right_share = partial(_share, higher_is_better=True, chance=one_of)

ACCURACY = _right_share(
    name="accuracy",
    label="accuracy",
    about="The share of queries whose class has the greatest logit.",
    function="metagap.metrics.functions:accuracy",
)
BALANCED_ACCURACY = _right_share(
    name="balanced-accuracy",
    label="balanced accuracy",
    about="The mean over classes of the share of their queries that are right (Brodersen et al. 2010); it is the "
    "accuracy where every class has as many queries.",
    function="metagap.metrics.functions:balanced_accuracy",
)
MACRO_F1 = _right_share(
    name="macro-f1",
    label="macro F1",
    about="The mean over classes of 2 TP / (2 TP + FP + FN); classes that are neither there nor predicted do not count "
    "(Opitz and Burst 2019 on its two definitions; this is the mean of the F1 scores).",
    function="metagap.metrics.functions:macro_f1",
)
ECE = _share(
    name="ece",
    label="expected calibration error",
    about="How far confidence is from accuracy, in 15 bins of equal width of the greatest probability (Guo et al. "
    "2017, equation 3); of each episode by itself, so that few queries lift even calibrated predictions above zero.",
    function="metagap.metrics.functions:expected_calibration_error",
    higher_is_better=False,
)
NLL = Metric(
    name="nll",
    label="negative log-likelihood",
    about="Minus the log-probability of the right class, in nats, averaged over queries: the cross-entropy.",
    kinds=KINDS,
    function="metagap.metrics.functions:cross_entropy",
    higher_is_better=False,
    bounds=(0, math.inf),
    chance=math.log,
    margin=Margin(0.1, relative=True),
)
