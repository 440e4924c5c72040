"""What changes along meta-training: scores, gaps, the cost of selecting an iteration, and recorded quantities.

All of it rests on checkpoints: results that were scored at some iterations of meta-training, the untrained start and
the end among them, on the same test episodes each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from metagap.analysis.along.curves import Checkpoints, checkpoints_of, gap_curves, score_curves
from metagap.analysis.along.openings import openings
from metagap.analysis.along.quantities import final_quantities, quantity_curves
from metagap.analysis.along.selection import selected_iterations, selection_costs

if TYPE_CHECKING:
    from metagap.results import Results

__all__ = [
    "Along",
    "Checkpoints",
    "along_training",
    "checkpoints_of",
    "final_quantities",
    "gap_curves",
    "openings",
    "quantity_curves",
    "score_curves",
    "selected_iterations",
    "selection_costs",
]


class Along(NamedTuple):
    """The tables of one suite, each of them empty where nothing was recorded; see the functions of the same names."""

    scores: pd.DataFrame
    gaps: pd.DataFrame
    openings: pd.DataFrame
    costs: pd.DataFrame
    selected: pd.DataFrame
    quantities: pd.DataFrame
    measured: pd.DataFrame
    """The quantities at the end."""

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Those that have rows, by the name that they have as files."""
        return {f"along-{name}": table for name, table in self._asdict().items() if len(table)}


def along_training(results: Results) -> Along:
    """All that the results say about the way through meta-training."""
    checkpoints = checkpoints_of(results)
    gaps = gap_curves(checkpoints)
    return Along(
        scores=score_curves(checkpoints),
        gaps=gaps,
        openings=openings(gaps),
        costs=selection_costs(checkpoints),
        selected=selected_iterations(results, checkpoints),
        quantities=quantity_curves(results),
        measured=final_quantities(results),
    )
