"""Metrics of classification: of logits (n, ways) and class indices (n,)."""

from __future__ import annotations

import math

from metagap.metrics.metric import Margin, Metric

KINDS = ("classification",)


def one_of(ways: int) -> float:
    """What guessing uniformly gets right."""
    return 1 / ways


ACCURACY = Metric(
    name="accuracy",
    label="accuracy",
    about="The share of queries whose class has the greatest logit.",
    kinds=KINDS,
    function="metagap.metrics.functions:accuracy",
    higher_is_better=True,
    bounds=(0, 1),
    chance=one_of,
    unit="%",
    scale=100,
    margin=Margin(0.01),
)
BALANCED_ACCURACY = Metric(
    name="balanced-accuracy",
    label="balanced accuracy",
    about="The mean over classes of the share of their queries that are right (Brodersen et al. 2010); it is the "
    "accuracy where every class has as many queries.",
    kinds=KINDS,
    function="metagap.metrics.functions:balanced_accuracy",
    higher_is_better=True,
    bounds=(0, 1),
    chance=one_of,
    unit="%",
    scale=100,
    margin=Margin(0.01),
)
MACRO_F1 = Metric(
    name="macro-f1",
    label="macro F1",
    about="The mean over classes of 2 TP / (2 TP + FP + FN); classes that are neither there nor predicted do not count "
    "(Opitz and Burst 2019 on its two definitions; this is the mean of the F1 scores).",
    kinds=KINDS,
    function="metagap.metrics.functions:macro_f1",
    higher_is_better=True,
    bounds=(0, 1),
    chance=one_of,
    unit="%",
    scale=100,
    margin=Margin(0.01),
)
ECE = Metric(
    name="ece",
    label="expected calibration error",
    about="How far confidence is from accuracy, in 15 bins of equal width of the greatest probability (Guo et al. "
    "2017, equation 3); of each episode by itself, so that few queries lift even calibrated predictions above zero.",
    kinds=KINDS,
    function="metagap.metrics.functions:expected_calibration_error",
    higher_is_better=False,
    bounds=(0, 1),
    unit="%",
    scale=100,
    margin=Margin(0.01),
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
