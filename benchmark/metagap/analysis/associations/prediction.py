"""How well quantities tell the order of the gaps in a suite that was not used.

Everything is in ranks within suites, (rank - mean rank) / number of values, so that suites of any metric go together
and 0 is the mean. The relation is fitted on all suites but one, and predicts the ranks of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from metagap.analysis.associations.ranks import spearman
from metagap.analysis.intervals import Array

MEAN = "the mean"
BY_ALGORITHM = "the mean of the algorithm in the other suites"
TOGETHER = "all quantities together (ridge)"
PENALTIES = 10.0 ** np.arange(-1, 4)
COLUMNS = ["gap", "predictor", "suites", "order", "order_low", "order_high", "right_way", "error"]


def predictions(rows: pd.DataFrame, gaps: Sequence[str], quantities: Sequence[str]) -> pd.DataFrame:
    """One row per gap and predictor: each quantity by itself, all together, and two that know no quantity.

    Columns: suites (that could be predicted); order (Spearman's correlation of predicted and true order in the suite
    that was left out, mean over suites), order_low, order_high (the worst and the best suite), right_way (suites in
    which it is above 0); error (mean squared error of the predicted ranks over that of the mean: below 1 is better than
    the mean). `rows` has the columns suite, algorithm, split, and one for each gap and quantity, NaN where there is no
    value. Gaps with fewer than two suites have no rows.
    """
    found = [row for gap in gaps for row in _of_gap(rows, gap, quantities)]
    return pd.DataFrame(found, columns=COLUMNS)


def _of_gap(rows: pd.DataFrame, gap: str, quantities: Sequence[str]) -> Iterator[dict]:
    here = rows.dropna(subset=gap)
    truth = _ranks(here, gap)
    suites = here["suite"].to_numpy()
    if len(np.unique(suites)) < 2:
        return
    measured = {name: _ranks(here, name) for name in quantities if name in here and here[name].notna().any()}
    everything = np.stack(list(measured.values()), axis=1) if measured else np.zeros((len(here), 0))
    guesses: dict[str, Array] = {name: np.full(len(here), np.nan) for name in (*measured, TOGETHER, BY_ALGORITHM)}
    for suite in np.unique(suites):
        away = suites == suite
        for name, ranks in measured.items():
            known = ~np.isnan(ranks) & ~away
            power = (ranks[known] ** 2).sum()
            guesses[name][away] = ranks[away] * (ranks[known] @ truth[known]) / power if power > 0 else np.nan
        if measured:
            guesses[TOGETHER][away] = _ridge(np.nan_to_num(everything), truth, suites, away)
        means = pd.Series(truth[~away]).groupby(here["algorithm"].to_numpy()[~away]).mean()
        guesses[BY_ALGORITHM][away] = here["algorithm"][away].map(means).to_numpy(dtype=float)
    yield {"gap": gap, "predictor": MEAN, "suites": len(np.unique(suites)), "error": 1.0}
    for name, guess in guesses.items():
        if (row := _judged(guess, truth, suites)) is not None:
            yield {"gap": gap, "predictor": name} | row


def _ranks(rows: pd.DataFrame, column: str) -> Array:
    """Ranks within suites, centred and scaled to -1/2 .. 1/2; NaN where there is no value."""
    grouped = rows.groupby("suite")[column]
    return ((grouped.rank() - (grouped.transform("count") + 1) / 2) / grouped.transform("count")).to_numpy(dtype=float)


def _ridge(features: Array, truth: Array, suites: np.ndarray, away: np.ndarray) -> Array:
    """Predicted ranks of one suite by the others, whose own left-out suites choose the penalty."""
    inner = np.unique(suites[~away])

    def fitted(train: np.ndarray, test: np.ndarray, penalty: float) -> Array:
        x = features[train]
        return features[test] @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ truth[train])

    def error(penalty: float) -> float:
        parts = [(~away & (suites != one), suites == one) for one in inner]
        return sum(((truth[test] - fitted(train, test, penalty)) ** 2).sum() for train, test in parts)

    best = min(PENALTIES, key=error) if len(inner) > 1 else PENALTIES[-1]
    return fitted(~away, away, best)


def _judged(guess: Array, truth: Array, suites: np.ndarray) -> dict | None:
    """None where no suite could be put into an order."""
    orders, ours, means = [], 0.0, 0.0
    for suite in np.unique(suites):
        here = (suites == suite) & ~np.isnan(guess)
        if here.sum() < 3 or np.ptp(guess[here]) < 1e-12 or np.ptp(truth[here]) == 0:
            continue
        orders.append(float(spearman(guess[here], truth[here], np.ones((1, here.sum())))[0]))
        ours += ((truth[here] - guess[here]) ** 2).mean()
        means += (truth[here] ** 2).mean()
    if not orders:
        return None
    found = np.array(orders)
    row = {"suites": len(found), "order": found.mean(), "order_low": found.min(), "order_high": found.max()}
    return row | {"right_way": int((found > 0).sum()), "error": ours / means}
