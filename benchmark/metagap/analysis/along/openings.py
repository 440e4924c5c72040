"""From which iteration on a gap is there to stay.

A gap opens by iteration N if its interval excludes zero at N and at every later checkpoint, on the same side. This is
said twice:

- *Tested from the end back*: with the interval of each checkpoint by itself. As the last one is tested first, and each
  only if all later ones excluded zero, one level serves for all (a fixed sequence of tests, Maurer et al. 1995): with a
  probability of at most 1 - level an iteration is named at which the gap was zero. A gap that is open at the end by the
  gap table opens somewhere.
- *Together*: with simultaneous intervals (Bonferroni), which also hold at all checkpoints at once. They are much wider
  with few seeds, and the iteration is the same or a later one.

A grid of checkpoints bounds an opening from above only: the gap may have opened earlier, between two checkpoints or
where the intervals were too wide to show it, and that it is not shown within the budget does not mean that it is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from metagap.analysis.intervals import CLAIMS_FROM

OPENS = "opens by"
REVERSED = "is negative from"
NEVER = "not shown within the budget"
TOO_FEW = f"fewer than {CLAIMS_FROM} seeds"
CURVE = ["algorithm", "gap", "split", "statistic"]
AT_THE_END = ["value", "low", "high", "interval", "checkpoints", "seeds", "n_episodes"]
COLUMNS = [*CURVE, "verdict", "opens", "before", "opens_together", "last", *AT_THE_END]


def openings(gaps: pd.DataFrame) -> pd.DataFrame:
    """One row per curve of at least two checkpoints; `gaps` is a table of `gap_curves`.

    - verdict: "opens by", "is negative from" (nothing is lost, but gained), "not shown within the budget", or that
      there are too few seeds for a claim; tested from the end back.
    - opens: the iteration, NaN where nothing is claimed. before: the checkpoint before it, NaN where it is the first.
    - opens_together: the same by simultaneous intervals.
    - last: the last iteration; value, low, high, interval: of the gap there, as in `gaps`.
    """
    rows: list[dict[str, Any]] = []
    for names, curve in gaps.groupby(CURVE, sort=False):
        last = curve.iloc[-1]
        if last["checkpoints"] < 2:
            continue
        iterations = curve["iteration"].tolist()
        side, opened = _opening(curve["low"], curve["high"])
        _, together = _opening(curve["all_low"], curve["all_high"])
        is_claimed = last["seeds"] >= CLAIMS_FROM
        rows.append(
            dict(zip(CURVE, names, strict=True))
            | {name: last[name] for name in AT_THE_END}
            | {
                "verdict": {1: OPENS, -1: REVERSED, 0: NEVER}[side] if is_claimed else TOO_FEW,
                "opens": iterations[opened] if is_claimed and side else np.nan,
                "before": iterations[opened - 1] if is_claimed and side and opened else np.nan,
                "opens_together": iterations[together] if is_claimed and together < len(curve) else np.nan,
                "last": iterations[-1],
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _opening(low: pd.Series, high: pd.Series) -> tuple[int, int]:
    """The side of zero on which the last interval lies, 0 for none, and the place from which on all lie there."""
    sides = np.where(low > 0, 1, np.where(high < 0, -1, 0))
    last = int(sides[-1])
    others = np.flatnonzero(sides != last)
    return last, (int(others[-1]) + 1 if len(others) else 0) if last else len(sides)
