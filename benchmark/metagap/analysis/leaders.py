"""The leader table: each algorithm at home, away and on the way, and which of them differ significantly."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap.analysis.gaps import weighted
from metagap.analysis.grids import AVERAGE, Grids
from metagap.analysis.intervals import LEVEL, headline

if TYPE_CHECKING:
    from metagap.results import Results

SIDES = ("home", "away", "gap")
COLUMNS = ["algorithm", "statistic", *(f"{s}{e}" for s in SIDES for e in ("", "_low", "_high")), "group"]


def leader_table(results: Results | Grids, pairs: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm and statistic, the best first.

    Args:
        results: of one suite.
        pairs: the scores of its `metagap.analysis.comparisons.all_pairs`.
        level: of the intervals.

    Returns:
        Columns:

        - home: the score on the first in-distribution split, away: the mean over the cross-domain splits of the suite's
          ways and shots, gap: home - away, each with its headline interval (`_low`, `_high`); NaN where a split lacks.
        - group: letters. Two algorithms without a letter in common are significantly different, by the comparison in
          `pairs` of what the table is sorted by: away, or home in a suite without cross-domain splits.
    """
    grids = Grids.of(results)
    home, domains = grids.home("in-distribution")[:1], grids.domains
    key = "away" if domains else "home"
    split = AVERAGE if len(domains) > 1 else next(iter(domains or home), None)
    rows = []
    for statistic in grids.statistics:
        part = [
            {"algorithm": name, "statistic": statistic} | _sides(grids, name, home, domains, statistic, level)
            for name in grids.algorithms
        ]
        part.sort(key=lambda row: np.nan_to_num(row[key], nan=-np.inf), reverse=True)  # stable: the suite's order
        ranked = [row["algorithm"] for row in part if not np.isnan(row[key])]
        here = pairs[(pairs["split"] == split) & (pairs["statistic"] == statistic)]
        better = here[here["verdict"].astype(str).str.contains("better")]
        is_tested = len(ranked) > 1 and len(here) > 0 and here["family"].max() > 0
        groups = letters(ranked, zip(better["a"], better["b"], strict=True)) if is_tested else {}
        rows += [row | {"group": groups.get(row["algorithm"], "")} for row in part]
    return pd.DataFrame(rows, columns=COLUMNS)


def letters(ranked: list[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A compact letter display: two names share a letter exactly if they are not a pair of `different`.

    Insert and absorb (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons"):
    everything begins in one group; each different pair splits the groups that hold both, and a group within another
    is dropped. The letters follow the best name of each group in `ranked`.
    """
    place = {name: position for position, name in enumerate(ranked)}
    groups = [frozenset(ranked)]
    for a, b in different:
        split = [group - {name} if {a, b} <= group else group for group in groups for name in (a, b)]
        unique = list(dict.fromkeys(split))
        groups = [group for group in unique if not any(group < other for other in unique)]
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {name: "".join(_letter(i) for i, group in enumerate(groups) if name in group) for name in ranked}


def _letter(number: int) -> str:
    """a to z, then a2 to z2 and so on."""
    again, index = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[index] + (str(again + 1) if again else "")


def _sides(grids: Grids, algorithm: str, home: list[str], domains: list[str], statistic: str, level: float) -> dict:
    weights = {
        "home": dict.fromkeys(home, 1.0),
        "away": dict.fromkeys(domains, 1 / max(len(domains), 1)),
        "gap": dict.fromkeys(home, 1.0) | dict.fromkeys(domains, -1 / max(len(domains), 1)),
    }
    row = {}
    for side, parts in weights.items():
        there = side != "gap" or (home and domains)
        terms = weighted(partial(grids.get, algorithm), parts) if there else []
        bounds = grids.metric.score_bounds
        interval = headline(terms, statistic, level, bounds) if terms and len(terms[0].values) else None
        for end, value in zip(("", "_low", "_high"), interval or (np.nan,) * 3, strict=False):
            row[side + end] = value
    return row
