"""Metrics of control: of returns (n, 1), and of those (n, 2) of random and of the best actions."""

from __future__ import annotations

from functools import partial

from metagap.metrics.metric import Margin, Metric


def of_random_actions(ways: int) -> float:
    """The normalised return of random actions, by definition."""
    return 0.0


_of_return = partial(Metric, kinds=("control",))

RETURN = _of_return(
    name="return",
    label="return",
    about="The mean over rollouts of the undiscounted sum of rewards.",
    function="metagap.metrics.functions:mean_return",
    higher_is_better=True,
    accumulates=True,
    margin=Margin(0.05, relative=True),
)
NORMALISED_RETURN = _of_return(
    name="normalised-return",
    label="normalised return",
    about="The return as a share of the way from that of random actions, 0, to the best, 1; of a task, before the mean "
    "over tasks.",
    function="metagap.metrics.functions:normalised_return",
    higher_is_better=True,
    chance=of_random_actions,
    margin=Margin(0.05),
)
REGRET = _of_return(
    name="regret",
    label="regret",
    about="What the return lacks to the best expected one; below zero only by chance.",
    function="metagap.metrics.functions:regret",
    higher_is_better=False,
    accumulates=True,
    margin=Margin(0.1, relative=True),
)
