"""Published values next to ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metagap.analysis.equivalence import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    NOT_JUDGED,
    NOT_PUBLISHED,
    NOT_RUN,
    UNDECIDED,
    Component,
    Spread,
    Variance,
    compare,
    needed,
)
from metagap.analysis.grids import STANDARD, Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    EPISODES,
    SEEDS,
    Term,
    headline_estimate,
    over_episodes,
    over_seeds,
    summarise,
)

if TYPE_CHECKING:
    from metagap.metrics import Margin, Metric
    from metagap.results import Results

COLUMNS = [
    "algorithm", "split", "step", "published", "published_interval", "kind", "source", "mark",
    "ours", "ours_interval", "ours_kind", "median", "iqm", "diverged",
    "difference", "low", "high", "margin", "p", "assumed_sd", "seeds", "n_episodes", "verdict", "remark",
]  # fmt: skip
RECALLED = "R"
"""The mark of a published value that nobody has looked up."""
DEFAULT = Spread("95% CI", None, EPISODES)
"""What ours is shown with where the published kind is not known, or is one that ours cannot have: the convention."""


def published_table(results: Results | Grids, metric: Metric | None = None) -> pd.DataFrame:
    """One row per entry of the suite's `published` list that is of the metric, see `against_published`.

    metric: default: the headline metric.
    """
    grids = Grids.of(results, metric)
    suite, name = results.suite, grids.metric.name
    values = [value.model_dump() for value in suite.published if value.metric_name(suite.kind) == name]
    return against_published(values, grids, grids.metric.margin)


def against_published(published: Iterable[Mapping[str, Any]], grids: Grids | None, margin: Margin) -> pd.DataFrame:
    """One row per published value, in the order given, with our value of the same quantity and what they come to.

    Values are natural ones: accuracies are fractions, errors are positive, unlike the scores elsewhere. An entry
    whose algorithm, split or step was not run is kept, with NaN; so is one whose value is NaN, for none was printed.

    - published_interval, kind: the published ± and what it is.
    - ours, median, iqm: over the episodes of each seed, averaged over seeds.
    - ours_interval, ours_kind: ours with the same kind of ± (NaN over a single seed); with a 95% interval over episodes
      where the published kind is not known.
    - difference: ours - published, with its 95% interval; both may vary with new seeds and new episodes, as if they
      were run again.
    - assumed_sd: the standard deviation of a training run that the test assumes of the published value, because the
      paper gives none over runs: that of our seeds. The verdict is provisional then. NaN where nothing is assumed.
    - p: of "the true difference is `margin` or more"; verdict and remark: see `metagap.analysis.equivalence`. A mean
      that diverged episodes leave undecided has the verdict "cannot tell": their number is no sample size to plan with.
      So it is below three seeds, for our run variance is unknown.
      A value that is recalled and has yet to be looked up (mark R) has no p, and the verdict "not judged".
    """
    rows = [entry | _ours(grids, entry, margin) for entry in map(_entry, published)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _entry(published: Mapping[str, Any]) -> dict:
    interval = published.get("interval")
    half = np.nan if interval is None else float(interval)
    return {
        "algorithm": published["algorithm"],
        "split": published["split"],
        "step": published.get("step"),
        "published": float(published["value"]),
        "published_interval": half,
        "kind": published.get("kind"),
        "source": published.get("source"),
        "mark": published.get("mark"),
    }


def published_variance(kind: str | None, half: float) -> list[Variance]:
    """What is known of the variance of a published value."""
    spread = Spread.of(kind)
    known = None if spread is None or np.isnan(half) else spread.variance(half)
    return [] if known is None else [known]


def _ours(grids: Grids | None, entry: dict, margin: Margin) -> dict:
    algorithm, split, step = entry["algorithm"], entry["split"], entry["step"]
    size = margin.around(entry["published"])
    grid = flags = None
    if grids is not None and algorithm in grids.algorithms:
        grid, flags = (grids.get(algorithm, split, STANDARD, step, column) for column in ("query_score", "diverged"))
    if grids is None or grid is None or flags is None:
        blank = {name: np.nan for name in COLUMNS[COLUMNS.index("ours") : COLUMNS.index("seeds")]}
        return blank | {"ours_kind": None, "margin": size, "seeds": 0, "n_episodes": 0} | _verdict(NOT_RUN, "")
    values = grid.to_numpy() * grids.metric.sign  # as it was published
    diverged = flags.to_numpy().mean()
    center, components = components_of(values)
    spread, theirs = Spread.of(entry["kind"]), published_variance(entry["kind"], entry["published_interval"])
    known = bool(theirs) and spread is not None and spread.is_over_runs
    alike = not known and len(values) > 1
    found = compare(center, components, entry["published"], theirs, size, alike, grids.metric.bounds)
    verdict, remark, p = found.verdict, found.remark, found.p
    with np.errstate(invalid="ignore"):
        assumed = np.nan if known or len(values) < 2 else summarise(values, "mean").std(ddof=1)
    if np.isnan(entry["published"]):
        verdict, remark = NOT_PUBLISHED, ""
    elif entry["mark"] == RECALLED:
        verdict, remark, p = NOT_JUDGED, "only recalled", np.nan
    elif len(values) < CLAIMS_FROM:
        seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
        verdict, remark, p = CANNOT_TELL, f"our run variance is unknown ({seeds})", np.nan
    elif math.isinf(grids.metric.worst_score) and diverged > 0 and verdict in (UNDECIDED, CANNOT_TELL):
        verdict, remark = CANNOT_TELL, "diverged episodes decide the mean"
    elif verdict == UNDECIDED:
        remark = needed(components, theirs, size, alike)
    if verdict not in (AGREES, DIFFERS, UNDECIDED):
        assumed = np.nan
    half, kind = _same_kind(values, Spread.of(entry["kind"]))
    return {
        "step": grids.headline[algorithm] if step is None else step,
        "ours": center,
        "ours_interval": half,
        "ours_kind": str(kind),
        "median": summarise(values, "median").mean(),
        "iqm": summarise(values, "iqm").mean(),
        "diverged": diverged,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "margin": size,
        "p": p,
        "assumed_sd": assumed,
        "seeds": values.shape[0],
        "n_episodes": values.shape[1],
    } | _verdict(verdict, remark)


def _verdict(verdict: str, remark: str) -> dict:
    return {"verdict": verdict, "remark": remark}


def components_of(values: np.ndarray) -> tuple[float, list[Component]]:
    """Our mean, and what its variance comes from, the seeds first where there are several; `values` is (S, M)."""
    n_seeds, n_episodes = values.shape
    estimate = headline_estimate([Term(values)])
    units = [(SEEDS, n_seeds)] if n_seeds > 1 else []
    units.append((EPISODES, n_episodes))
    components = [Component(name, n, part[0]) for (name, n), part in zip(units, estimate.parts, strict=True)]
    return estimate.center, components


def _same_kind(values: np.ndarray, spread: Spread | None) -> tuple[float, Spread]:
    """Half the width of ours, measured as the published one was, or by default; `values` is (S, M)."""
    spread = spread if spread is not None and spread.units in (EPISODES, SEEDS) else DEFAULT
    by_seed = spread.units == SEEDS
    means = values.mean(axis=1 if by_seed else 0)
    spread = spread._replace(n=len(means))
    if spread.measure == "95% CI":
        return (over_seeds if by_seed else over_episodes)(values).half, spread
    with np.errstate(invalid="ignore"):
        deviation = means.std(ddof=1) if len(means) > 1 else np.nan
    return deviation / (np.sqrt(len(means)) if spread.measure == "standard error" else 1), spread
