"""The Bayes optimum of Bernoulli bandits, by dynamic programming over what is known of the arms.

What is known of independent arms of one Beta prior is how often each of them paid and how often it did not. Arms of
which the same is known are alike, and so are two states that differ by the order of arms: a state is a sorted tuple of
(paid, failed).
"""

from __future__ import annotations

from functools import cache

State = tuple[tuple[int, int], ...]

MOST_STATES = 100_000
"""What takes about a second. Games with more count as too large."""


def value(arms: int, horizon: int, alpha: float, beta: float) -> float | None:
    """The greatest expected return of `horizon` pulls, over the prior; None where the game is too large."""
    values = table(arms, horizon, alpha, beta)
    return None if values is None else values[start(arms)]


def start(arms: int) -> State:
    """Nothing is known."""
    return ((0, 0),) * arms


@cache
def table(arms: int, horizon: int, alpha: float, beta: float) -> dict[State, float] | None:
    """The greatest expected return to come of every state that a game of `horizon` pulls can be in before a pull.

    None where there are too many.
    """
    if states(arms, horizon) > MOST_STATES:
        return None
    levels: list[dict[State, float]] = [{start(arms): 0.0}]
    for _ in range(horizon - 1):
        levels.append({after: 0.0 for state in levels[-1] for arm in set(state) for after in outcomes(state, arm)})
    found: dict[State, float] = {}
    for level in reversed(levels):
        for state in level:
            found[state] = max(worth(state, arm, found, alpha, beta) for arm in set(state))
    return found


def worth(state: State, arm: tuple[int, int], values: dict[State, float], alpha: float, beta: float) -> float:
    """What pulling an arm of which this is known is worth, if everything later is optimal and after the end nothing."""
    paid, failed = outcomes(state, arm)
    p = (alpha + arm[0]) / (alpha + beta + sum(arm))
    return p * (1 + values.get(paid, 0.0)) + (1 - p) * values.get(failed, 0.0)


def outcomes(state: State, arm: tuple[int, int]) -> tuple[State, State]:
    """The state after such an arm paid, and after it did not."""
    others = list(state)
    others.remove(arm)
    paid, failed = arm
    return tuple(sorted([*others, (paid + 1, failed)])), tuple(sorted([*others, (paid, failed + 1)]))


def states(arms: int, horizon: int) -> int:
    """In how many states a game of `horizon` pulls can be before a pull; of a large one, a smaller but large number.

    They are the multisets of at most `arms` arms that were pulled; one that was pulled k times is in one of k + 1.
    """
    # Of two arms and 50 pulls there are too many already, and more of either are more.
    arms, horizon = min(arms, 50), min(horizon, 50)
    # counts[used][pulls]: multisets of `used` arms with so many pulls in all, built up arm state by arm state.
    counts = [[0] * horizon for _ in range(arms + 1)]
    counts[0][0] = 1
    for pulls in range(1, horizon):
        for _ in range(pulls + 1):
            for used in range(1, arms + 1):
                for total in range(pulls, horizon):
                    counts[used][total] += counts[used - 1][total - pulls]
    return sum(map(sum, counts))
