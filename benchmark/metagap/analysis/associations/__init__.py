"""What goes with the gap: over suites, algorithms, seeds and domains, which recorded quantities rank as the gaps do.

Nothing here says why: two things can go together for any reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap.analysis.across_suites import check_labels, dependent, read_all
from metagap.analysis.associations.prediction import predictions
from metagap.analysis.associations.ranks import OVERALL, SCOPES, Association, associate
from metagap.analysis.associations.rows import GAPS, Rows, rows_of
from metagap.analysis.associations.variance import variance_of_gaps
from metagap.analysis.comparisons import CANNOT_TELL, holm
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import LEVEL, Array
from metagap.analysis.ranks import LEAST_SUITES
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import Results
    from metagap.suite import Suite

UP, DOWN = "goes up with the gap", "goes down with the gap"
TOO_FEW, CONSTANT, WIDE = "too few suites and algorithms", "does not vary", "the interval holds 0"
COLUMNS = [
    "quantity", "gap", "scope", "value", "low", "high", "p", "p_holm", "least_p",
    "suites", "algorithms", "pairs", "verdict", "why",
]  # fmt: skip


@dataclass(frozen=True)
class Associations:
    """What several suites say of quantities and gaps.

    Attributes:
        suites: by name, in the order in which they were given.
        metrics: the headline metric of each.
        spans: suite -> by what its gaps are divided, in scores, and what that is in words.
        rows: one row per suite x algorithm x seed x split: the scaled gaps about this split, and the quantities.
        correlations: one row per quantity, gap and scope: rank correlation with its interval for new suites and
            algorithms; p of "no association", p_holm (over all of the table with one), least_p (p cannot be below);
            verdict, and why it is "cannot tell" where that does not lie in weak evidence alone.
        predictions: see `metagap.analysis.associations.prediction`.
        variance: see `metagap.analysis.associations.variance`.
        notes: sentences that a reader of the numbers should know.
    """

    suites: dict[str, Suite]
    metrics: dict[str, Metric]
    spans: dict[str, tuple[float, str]]
    rows: pd.DataFrame
    correlations: pd.DataFrame
    predictions: pd.DataFrame
    variance: pd.DataFrame
    notes: list[str]

    @property
    def quantities(self) -> list[str]:
        """In the order in which they were met."""
        return list(dict.fromkeys(self.correlations["quantity"]))

    @property
    def gaps(self) -> list[str]:
        """Those that some suite has."""
        return list(dict.fromkeys(self.correlations["gap"]))

    @property
    def algorithms(self) -> list[str]:
        """All that some suite has."""
        return list(dict.fromkeys(self.rows["algorithm"]))

    @property
    def family(self) -> int:
        """How many hypotheses are corrected together."""
        return int(self.correlations["p"].notna().sum())


def read_associations(names: Sequence[str], results: Path = Path("results")) -> Associations:
    """What goes with the gap in the suites of these names, or files, by what the store has of each as its file says.

    results: the folder of the store. Raises UserError as `associations` does, for a suite that is named twice, and for
    suites without results, all of them at once.
    """
    return associations(read_all(names, results))


def associations(found: Mapping[str, Results], level: float = LEVEL) -> Associations:
    """What goes with the gap in these suites, by name.

    level: of intervals, and 1 - the probability of any false claim.

    Raises UserError for fewer than two suites, suites without quantities or without any gap, and a label that is not
    the same algorithm everywhere.
    """
    if len(found) < LEAST_SUITES:
        raise UserError(f"what goes with the gap needs at least {LEAST_SUITES} suites; given: {', '.join(found)}")
    suites = {name: results.suite for name, results in found.items()}
    check_labels(list(dict.fromkeys(label for suite in suites.values() for label in suite.algorithms)), suites)
    grids = {name: Grids(results) for name, results in found.items()}
    rows = rows_of(grids)
    correlations = correlate(rows, level)
    table = rows.table()
    gaps, quantities = ([*dict.fromkeys(correlations[column])] for column in ("gap", "quantity"))
    means = table.groupby(["suite", "algorithm", "split"], sort=False, observed=True)[[*gaps, *quantities]].mean()
    variance, unknown = variance_of_gaps(rows, grids)
    return Associations(
        suites=suites,
        metrics={name: one.metric for name, one in grids.items()},
        spans=rows.spans,
        rows=table,
        correlations=correlations,
        predictions=predictions(means.reset_index(), gaps, quantities),
        variance=variance,
        notes=[*dependent(found), *unknown, *rows.notes],
    )


def correlate(rows: Rows, level: float = LEVEL) -> pd.DataFrame:
    """The correlations of every quantity with every gap, of means over the seeds."""
    found = []
    quantities = list(dict.fromkeys(rows.quantities["quantity"]))
    for kind in GAPS:
        gaps = rows.gaps[rows.gaps["gap"] == kind.name]
        if gaps.empty:
            continue
        places = _places(gaps)
        by_scope = {scope: _array(gaps, "scaled" if scope == OVERALL else "value", places) for scope in SCOPES}
        for name in quantities:
            x = _array(rows.quantities[rows.quantities["quantity"] == name], "value", places)
            for scope in SCOPES:
                one = associate(x, by_scope[scope], scope, level)
                found.append({"quantity": name, "gap": kind.name, "scope": scope} | one._asdict())
    table = pd.DataFrame(found)
    table["p_holm"] = np.nan
    told = table["p"].notna()
    table.loc[told, "p_holm"] = holm(table.loc[told, "p"].to_numpy())
    judged = [_judged(row, int(told.sum()), level) for row in table.to_dict("records")]
    return table.assign(verdict=[verdict for verdict, _ in judged], why=[why for _, why in judged])[COLUMNS]


def _judged(row: dict, family: int, level: float) -> tuple[str, str]:
    """The verdict, and why it cannot be told where that is not for weak evidence alone."""
    one = Association(**{name: row[name] for name in Association._fields})
    if np.isnan(one.value):
        return CANNOT_TELL, CONSTANT
    if one.suites < LEAST_SUITES or not one.least_p * family < 1 - level:
        return CANNOT_TELL, TOO_FEW
    if not row["p_holm"] < 1 - level:
        return CANNOT_TELL, ""
    if not one.low > 0 and not one.high < 0:
        return CANNOT_TELL, WIDE
    return (UP if one.value > 0 else DOWN), ""


def _places(gaps: pd.DataFrame) -> pd.DataFrame:
    """Suite, algorithm and split -> where it stands in an array (suites, algorithms, splits of a suite)."""
    places = gaps[["suite", "algorithm", "split"]].drop_duplicates()
    split = places.groupby("suite", sort=False)["split"].transform(lambda names: pd.factorize(names)[0])
    return places.assign(
        s=pd.factorize(places["suite"])[0], a=pd.factorize(places["algorithm"])[0], d=split.astype(int)
    )


def _array(table: pd.DataFrame, column: str, places: pd.DataFrame) -> Array:
    """The mean over the seeds of one column as (suites, algorithms, splits), NaN where there is no value."""
    means = table.groupby(["suite", "algorithm", "split"], observed=True)[column].mean().reset_index()
    found = places.merge(means, on=["suite", "algorithm", "split"], how="left")
    array = np.full(places[["s", "a", "d"]].max().to_numpy() + 1, np.nan)
    array[tuple(found[["s", "a", "d"]].to_numpy().T)] = found[column]
    return array
