"""How the numbers of the tables were computed, in sentences: they unfold below a table."""

from __future__ import annotations

import math

import pandas as pd

from metagap.analysis.comparisons import MEANINGFUL
from metagap.analysis.intervals import CROSSED
from metagap.report.frames import STATISTICS, Frames, seed_words

FAMILY = (
    "The family of hypotheses is every pair of algorithms on every in-distribution and cross-domain split and on the "
    "average over the domains, and every pair's task gap and average domain gap."
)
PAIRED = (
    "The difference is taken episode by episode and run by run, for both algorithms met the same episodes with the "
    "same seeds."
)
P_VALUE = "The p-value is two-sided, of the same standard error and distribution as the interval."
IMPROVEMENT = (
    "P(first > second) is Φ(mean / standard deviation) of the paired differences of the runs, and its interval the "
    "exact one of a noncentral t with S − 1 degrees of freedom (Bouthillier et al. 2021). Where it cannot exceed "
    f"{MEANINGFUL:g}, a significant difference counts as not meaningful."
)
DOMAINS = (
    "Over domains: the domains are taken as a sample of domains like them; their variance / D has D − 1 degrees of "
    "freedom, and what they share (runs, in-distribution episodes) is added."
)


def joined(*sentences: str) -> str:
    """Those that say something, as one text."""
    return " ".join(sentence for sentence in sentences if sentence)


def statistic_words(frames: Frames) -> str:
    """What summarises the episodes and the runs."""
    return (
        f"Value: the {STATISTICS[frames.metric.statistic]} over the episodes of each run, then the mean over the runs."
    )


def interval_computed(rows: pd.DataFrame, of: str = "the value") -> str:
    """What the headline interval of these rows resamples, and its formula in words."""
    is_crossed = rows["interval"] == CROSSED
    said = []
    if is_crossed.any():
        several = " of each split involved" if "gap" in rows else ""
        said.append(
            f"95% interval, crossed: it covers {of} of new training runs on new episodes. Its squared standard error "
            "is the variance between the S runs / S, with S − 1 degrees of freedom, and what two runs have in common "
            f"on the same M episodes{several}: their covariance / M, with M − 1. Its quantile is that of the mixture "
            f"of these t distributions, weighted with the variances. Here: {seed_words(rows.loc[is_crossed, 'seeds'])}"
            f"{_episodes(rows)}."
        )
    if not is_crossed.all():
        said.append(
            "95% interval where there is one run: t over its M episodes, with M − 1 degrees of "
            f"freedom{_episodes(rows, 1)}. It says nothing about new training runs."
        )
    return " ".join(said)


def _episodes(rows: pd.DataFrame, runs: int = 0) -> str:
    if "n_episodes" not in rows:
        return ""
    least, most = int(rows["n_episodes"].min()), int(rows["n_episodes"].max())
    count = f"{least:,} to {most:,}" if least < most else f"{most:,}"
    return f" (here {count})" if runs else f", {count} episodes"


def bounds_words(frames: Frames) -> str:
    """What bounds of the scores do to their interval."""
    metric = frames.metric
    low, high = metric.bounds
    if math.isfinite(low) and math.isfinite(high):
        ends = f"{low * metric.scale:g} and {high * metric.scale:g}{metric.unit}"
        return (
            f"As {metric.label} lies between {ends}, the interval of a score is computed on the logit scale and is not "
            "symmetric; where no episode differs (all perfect), it is Clopper and Pearson's."
        )
    if math.isfinite(low) or math.isfinite(high):
        return f"The interval of a score is cut at {(low if math.isfinite(low) else high) * metric.scale:g}."
    return ""
