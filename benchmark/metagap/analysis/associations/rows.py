"""The gaps and the quantities of several suites side by side: one row per suite, algorithm, seed and split.

A gap is about a split: the task gap about the in-distribution split, a domain gap about its domain. A quantity that is
measured on every split stands beside the gaps with its value on that split; one of the whole cell beside all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.across_suites import scale_of
from metagap.analysis.gaps import DOMAIN_GAP, TASK_GAP, Contrast, GapKind
from metagap.analysis.gaps.adjusted import ADJUSTED_DOMAIN_GAP
from metagap.analysis.grids import Grids
from metagap.errors import UserError
from metagap.metrics.regression import MSE

if TYPE_CHECKING:
    from metagap.results import Results

GAPS = (TASK_GAP, DOMAIN_GAP, ADJUSTED_DOMAIN_GAP)
KEYS = ["suite", "algorithm", "seed", "split"]
COLUMNS = [*KEYS, "gap", "value", "scaled"]
WHOLE = ""
"""The split of a quantity of the whole cell."""


class Rows(NamedTuple):
    """What goes into the analysis.

    Attributes:
        gaps: suite, algorithm, seed, split, gap, value (in scores), scaled (of the span from guessing to the best
            score; NaN where the metric has no such span).
        quantities: suite, algorithm, seed, split, quantity, value (mean over episodes); the splits are those of `gaps`.
        spans: suite -> the span, and what its ends are, in words.
        notes: sentences that a reader of the numbers should know.
    """

    gaps: pd.DataFrame
    quantities: pd.DataFrame
    spans: dict[str, tuple[float, str]]
    notes: list[str]

    def table(self) -> pd.DataFrame:
        """One row per suite x algorithm x seed x split: a column for each scaled gap and for each quantity."""
        gaps = self.gaps.pivot(index=KEYS, columns="gap", values="scaled")
        names = [kind.name for kind in GAPS if kind.name in gaps]
        quantities = self.quantities.pivot(index=KEYS, columns="quantity", values="value")
        return gaps[names].join(quantities, how="left").reset_index().rename_axis(columns=None)


def rows_of(grids: Mapping[str, Grids]) -> Rows:
    """The rows of these suites. Raises UserError for suites without quantities, and where no suite has a gap."""
    if lacking := [name for name, one in grids.items() if not len(one.results.quantities)]:
        raise UserError(
            f"no quantities are recorded in {', '.join(lacking)}: run with evaluation.quantities = [...], such as "
            f"metagap run {lacking[0]} --set 'evaluation.quantities=[\"adaptation-norm\"]' "
            "(metagap list quantities names them)"
        )
    gaps, quantities, spans, notes = [], [], {}, []
    for name, one in grids.items():
        spans[name] = span_of(one)
        here = pd.DataFrame(_gaps(one), columns=COLUMNS[1:-1])
        gaps.append(here.assign(suite=name, scaled=here["value"] / spans[name][0])[COLUMNS])
        quantities.append(_quantities(one.results, gaps[-1]).assign(suite=name))
        # What a suite's own page says of quantities that do not apply is said below, once for all suites.
        notes += [f"{name}: {note}" for note in one.results.notes if not note.startswith("Quantity '")]
    together = pd.concat(gaps, ignore_index=True)
    if together["value"].isna().all():
        raise UserError(
            f"no gap can be computed in {', '.join(grids)}: that needs an in-distribution split, and a meta-train or "
            "cross-domain one with the ways and shots of the suite"
        )
    measured = pd.concat(quantities, ignore_index=True)[[*KEYS, "quantity", "value"]]
    return Rows(together, measured, spans, [*_remarks(together, measured, spans), *notes])


def span_of(grids: Grids) -> tuple[float, str]:
    """From guessing to the best score, in scores, and what that is in words; NaN where the metric has no such span.

    An error without a value of guessing has the trivial predictor's: its mean squared error on the in-distribution
    split.
    """
    home = grids.home("in-distribution")[:1]
    if not home:
        return math.nan, "no in-distribution split"
    zero, one = scale_of(grids.metric, grids.ways(home[0]))
    if math.isfinite(one - zero):
        return one - zero, f"from guessing to the best {grids.metric.label}"
    if grids.metric.name == MSE.name:
        return grids.results.columns.null_loss[home[0]], "the MSE of answering zero on the in-distribution split"
    return math.nan, f"none: {grids.metric.label} has neither a value of guessing nor a worst one"


def per_seed(grids: Grids, kind: GapKind, algorithm: str) -> Iterator[tuple[Contrast, list[int], np.ndarray]]:
    """The gap of every seed on each split that it is about, not on averages: contrast, seeds (S,), values (S,)."""
    for contrast in kind.compute(grids, algorithm):
        if contrast.domains:
            continue
        with np.errstate(invalid="ignore"):  # a score of -inf at home and away
            values = np.sum([term.per_seed(grids.metric.statistic) for term in contrast.terms], axis=0)
        yield contrast, _seeds(grids, kind, algorithm, contrast.split), values


def _gaps(grids: Grids) -> Iterator[tuple]:
    for kind in GAPS:
        for algorithm in grids.algorithms:
            for contrast, seeds, values in per_seed(grids, kind, algorithm):
                for seed, value in zip(seeds, values, strict=True):
                    yield algorithm, seed, contrast.split, kind.name, value


def _seeds(grids: Grids, kind: GapKind, algorithm: str, split: str) -> list[int]:
    """The seeds that a gap is of: those that all of its grids have."""
    home = grids.home("meta-train" if kind is TASK_GAP else "in-distribution")[0]
    labels = [algorithm, *([str(grids.suite.reference_label)] if kind is ADJUSTED_DOMAIN_GAP else [])]
    held = [grids.get(label, name) for label in labels for name in (home, split)]
    return sorted(set.intersection(*(set(map(int, grid.index)) for grid in held if grid is not None)))


def _quantities(results: Results, gaps: pd.DataFrame) -> pd.DataFrame:
    """The quantities at the end of training, averaged over episodes, on the splits that gaps are about."""
    table = results.quantities
    last = table.groupby(["algorithm", "seed"])["iteration"].transform("max")
    means = (
        table[table["iteration"] == last]
        .assign(split=table["split"].fillna(WHOLE).astype(str))
        .groupby(["algorithm", "seed", "quantity", "split"], observed=True)["value"]
        .agg(lambda values: values.mean(skipna=False))
        .reset_index()
    )
    whole = means[means["split"] == WHOLE].drop(columns="split")
    places = gaps[["algorithm", "seed", "split"]].drop_duplicates()
    joined = [places.merge(whole, on=["algorithm", "seed"]), places.merge(means, on=["algorithm", "seed", "split"])]
    return pd.concat(joined, ignore_index=True).astype({"value": float})


def _remarks(gaps: pd.DataFrame, quantities: pd.DataFrame, spans: Mapping[str, tuple[float, str]]) -> Iterator[str]:
    without = [name for name, (span, _) in spans.items() if math.isnan(span)]
    if without:
        yield (
            f"Overall correlations leave out {_listed(without)}: the metric has neither a value of guessing nor a "
            "worst one. Correlations within suites have all suites."
        )
    missing = gaps[gaps["value"].isna()]
    if len(missing):
        where = _listed_by(missing, "suite")
        yield f"{len(missing)} gaps are left out, for scores on both sides are not finite: {where}."
    empty = quantities[quantities["value"].isna()]
    places: dict[str, list[str]] = {}
    for name, rows in empty.groupby("quantity", sort=False):
        places.setdefault(f"{_listed_by(rows, 'algorithm')} in {_listed_by(rows, 'suite')}", []).append(str(name))
    for place, names in places.items():
        yield f"{_listed(names)} {'has' if len(names) == 1 else 'have'} no value for {place}."


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _listed_by(rows: pd.DataFrame, column: str) -> str:
    return _listed(dict.fromkeys(rows[column]))
