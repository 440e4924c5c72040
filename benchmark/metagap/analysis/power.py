"""How large a difference of two algorithms can be found, and what more seeds or more episodes would buy.

The power is that of the test of `metagap.analysis.comparisons`: the paired difference, studentized with the crossed
estimate of its variance and referred to a mixture of t, from three seeds on. For S seeds and M_k episodes of each of K
splits, with normal effects and variance components A (seeds), B_k (episodes) and E_k (rest), everything that the test
looks at has a known distribution:

    mean      ~ N(difference, A / S + sum_k (B_k + E_k / S) / M_k)
    seeds     ~ (A + sum_k E_k / M_k) / S * chi2(S - 1) / (S - 1)
    episodes  ~ sum_k max(0, (E_k + S B_k) * chi2(M_k - 1) / (M_k - 1) - E_k * chi2(n_k) / n_k) / (S M_k),
                n_k = (S - 1) (M_k - 1)

all independent, `seeds` and `episodes` being the two parts of the estimated variance. The power given both is two
normal tails; it is averaged over `DRAWS` pairs of them, scrambled Sobol points with a fixed seed, so that the same
question has the same answer. Its numerical error is below 0.1 percentage points.

The components are estimated from the stored results, negative ones taken as zero. That of the seeds is hardly known
from three of them: whatever depends on it is also given for its 5% and 95% bounds, (S - 1) s^2 / chi2(S - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import chdtri, ndtr, ndtri, stdtr, stdtrit

from metagap.analysis.comparisons import all_pairs, paired
from metagap.analysis.grids import AVERAGE, Grids
from metagap.analysis.intervals import CLAIMS_FROM, LEVEL, Array, Term
from metagap.analysis.variance import Crossed, crossed_components
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.results import Results

POWER = 0.8
PERCENTAGE_POINTS = 2.0
"""The difference that is asked for by default, where scores are percentages."""
DRAWS = 512
MANY_DEGREES = 30
"""From here on chi2 is approximated by the cube of a normal value (Wilson and Hilferty 1931)."""
MOST_SEEDS = 1000
MOST_EPISODES = 1_000_000
SEEDS = (3, 5, 8, 10, 20, 30)
EPISODES = (200, 600, 1000, 2000, 5000)
BUYS = ("nothing", "seeds", "episodes", "either", "both")
"""What is missing for the power that is asked for."""
ENDS = ("", "_low", "_high")
PAIR_COLUMNS = [
    "a", "b", "split", "statistic", "seeds", "n_episodes", "difference",
    "seed_sd", "seed_sd_low", "seed_sd_high", "episode_sd", "rest_sd",
    "alpha", "alpha_holm", "family", "detectable", "detectable_holm", "asked", "target",
    *(f"{name}{end}" for name in ("power", "power_holm") for end in ENDS),
    *(f"{name}{level}{end}" for level in ("", "_holm") for name in ("seeds_needed", "episodes_needed") for end in ENDS),
    "buy", "buy_holm",
]  # fmt: skip
GRID_COLUMNS = ["seeds", "n_episodes", *(f"{name}{end}" for name in ("power", "power_holm") for end in ENDS)]


Counts = NDArray[np.intp]
"""Numbers of episodes, one for each split."""


class Power(NamedTuple):
    """What `power` found. All values are in scores (accuracies from 0 to 1), as in the other tables.

    Attributes:
        pairs: a row per pair of algorithms, the smallest detectable difference first.

            - seeds, n_episodes that both have; difference: a - b; seed_sd, episode_sd, rest_sd: the standard deviations
              behind it, of one seed, one episode and one value; of an average, of the weighted sum over its splits.
            - alpha: the level of a test alone; alpha_holm: that of the first step of Holm's correction over the
              `family` hypotheses of a page, the worst case.
            - detectable: the difference that is found with a probability of `target`; with `_holm` at alpha_holm.
            - power: the probability that a difference of `asked` is found.
            - seeds_needed with these episodes, episodes_needed with these seeds, for that difference to be found with a
              probability of `target`; inf where no number is enough.
            - `_low`, `_high`: the ends of what seed variances within the 5% and 95% bounds give.
            - buy: "nothing", "seeds", "episodes", "either" or "both" is what is missing.
            - With two seeds nothing can be claimed: power is 0 and detectable nan. Where differences are not finite, or
              do not vary at all, everything is nan.
        grid: of a single pair: the power with other numbers of seeds and episodes.
    """

    pairs: pd.DataFrame
    grid: pd.DataFrame


class Plan(NamedTuple):
    """The variance components of a paired difference, all at least zero; `episode` and `rest` for each split, (K,)."""

    seed: float
    episode: Array
    rest: Array

    def with_seeds(self, variance: float, episodes: Counts) -> Plan:
        """The plan if the variance between the per-seed values on these episodes were another one."""
        return self._replace(seed=max(0.0, variance - float(np.sum(self.rest / episodes))))


class Sampled(NamedTuple):
    """The sampling distribution of a test: the sd of the mean, and draws of the parts of its estimated variance.

    Attributes:
        sd: of the mean difference.
        of_seeds: (draws,), with `seeds` - 1 degrees of freedom.
        of_episodes: (draws,), with `episodes` - 1.
    """

    sd: float
    of_seeds: Array
    of_episodes: Array
    seeds: int
    episodes: int

    def half_widths(self, alpha: float) -> Array:
        """From which mean difference on the test at level alpha rejects, for every draw."""
        variance = self.of_seeds + self.of_episodes
        share = np.divide(self.of_seeds, variance, out=np.ones_like(variance), where=variance > 0)
        shares, quantiles = _critical(self.seeds - 1, self.episodes - 1, alpha)
        return np.interp(share, shares, quantiles) * np.sqrt(variance)

    def power(self, difference: float, alpha: float) -> float:
        """The probability that the test at level alpha finds a difference."""
        return self._power(difference, self.half_widths(alpha))

    def detectable(self, power: float, alpha: float) -> float:
        """The difference that is found with this probability, above alpha."""
        widths = self.half_widths(alpha)
        most = self.sd
        while self._power(most, widths) < power:
            most *= 2
        return float(root_scalar(lambda d: self._power(d, widths) - power, bracket=(0, most), method="brentq").root)

    def _power(self, difference: float, widths: Array) -> float:
        return float(np.mean(ndtr((difference - widths) / self.sd) + ndtr((-difference - widths) / self.sd)))


def sampled(plan: Plan, seeds: int, episodes: int | Counts) -> Sampled:
    """The test with S seeds and M episodes of every split, or (K,) numbers of them. At least two of each."""
    counts = np.broadcast_to(np.asarray(episodes), plan.rest.shape)
    noise = plan.rest / counts
    normal = _normal_points(1 + 2 * len(counts))
    of_seeds = (plan.seed + noise.sum()) / seeds * _chi2_per_df(normal[0], seeds - 1)
    of_episodes = np.zeros(DRAWS)
    for k, count in enumerate(counts):
        between = (noise[k] + seeds * plan.episode[k] / count) * _chi2_per_df(normal[1 + 2 * k], count - 1)
        within = noise[k] * _chi2_per_df(normal[2 + 2 * k], (seeds - 1) * (count - 1))
        of_episodes += np.maximum(0, between - within) / seeds
    variance = (plan.seed + noise.sum()) / seeds + np.sum(plan.episode / counts)
    return Sampled(float(np.sqrt(variance)), of_seeds, of_episodes, seeds, int(counts.min()))


def power(
    results: Results | Grids,
    a: str | None = None,
    b: str | None = None,
    difference: float | None = None,
    target: float = POWER,
    on: str | None = None,
    level: float = LEVEL,
) -> Power:
    """Which differences can be found, and what seeds or episodes would buy, of two algorithms or of all pairs.

    Args:
        results: of one suite.
        a, b: two algorithms; all pairs without them.
        difference: that is to be found, in printed units (percentage points); 2 where scores are percentages.
        target: the probability with which it is to be found.
        on: a split, or "average", the mean over the cross-domain splits; by default that, or the cross-domain split, or
            the in-distribution one where there is none.
        level: 1 - the level of a test alone.

    Raises:
        UserError: for unknown algorithms and splits, numbers out of range, and fewer than two seeds.
    """
    grids = Grids.of(results)
    split = _split(grids, on)
    asked = _asked(grids, difference)
    if not 1 - level < target < 1:
        raise UserError(f"power: a power of {target:g} is not above {1 - level:g} and below 1")
    if (a is None) != (b is None) or (a is not None and a == b):
        raise UserError(f"power: name two algorithms, A and B, or none for all pairs; found {a} and {b}")
    for name in (a, b):
        if name is not None and name not in grids.algorithms:
            raise UserError(f"power: unknown algorithm '{name}'; these results have {', '.join(grids.algorithms)}")
    compared = all_pairs(grids, level)
    statistic = grids.metric.statistic
    family = max(1, sum(int((frame["statistic"] == statistic).sum()) for frame in compared))
    alphas = {"": 1 - level, "_holm": (1 - level) / family}
    pairs = [(a, b)] if a is not None and b is not None else list(combinations(grids.algorithms, 2))
    terms = {pair: found for pair in pairs if (found := paired(grids, *pair, split))}
    most = max((len(found[0].values) for found in terms.values()), default=0)
    if most < 2:
        shared = f"'{a}' and '{b}' share {most} seed{'s' * (most != 1)}" if a else "no two algorithms share two seeds"
        raise UserError(
            f"power: {shared} on '{split}'; how much training runs differ is known from two shared seeds on, and "
            "better from more: metagap run SUITE --seed 0 --seed 1 --seed 2"
        )
    rows = []
    for (first, second), found in terms.items():
        if len(found[0].values) > 1:
            about = {"a": first, "b": second, "split": split, "statistic": statistic, "family": family}
            rows.append(about | _row(found, statistic, alphas, asked, target))
    frame = pd.DataFrame(rows, columns=PAIR_COLUMNS).sort_values("detectable", kind="stable", ignore_index=True)
    grid = _grid(next(iter(terms.values())), statistic, alphas, asked) if a is not None else []
    return Power(frame, pd.DataFrame(grid, columns=GRID_COLUMNS))


def _row(terms: Sequence[Term], statistic: str, alphas: dict[str, float], asked: float, target: float) -> dict:
    found = crossed_components(terms, statistic)
    seeds, counts = len(terms[0].values), found.episodes
    row = {
        "seeds": seeds,
        "n_episodes": int(counts.min()),
        "difference": float(np.sum([term.per_seed(statistic).mean() for term in terms])),
        "alpha": alphas[""],
        "alpha_holm": alphas["_holm"],
        "asked": asked,
        "target": target,
    }
    plans = plans_of(found, seeds)
    if plans is None:
        return row
    row |= {f"seed_sd{end}": np.sqrt(plan.seed) for end, plan in zip(ENDS, plans, strict=True)}
    row |= {"episode_sd": np.sqrt(plans[0].episode.sum()), "rest_sd": np.sqrt(plans[0].rest.sum())}
    for name, alpha in alphas.items():
        now = [sampled(plan, seeds, counts).power(asked, alpha) if seeds >= CLAIMS_FROM else 0.0 for plan in plans]
        row |= _ends(f"power{name}", now)
        if seeds >= CLAIMS_FROM:
            row[f"detectable{name}"] = sampled(plans[0], seeds, counts).detectable(target, alpha)
        more_seeds = [seeds_needed(plan, counts, asked, target, alpha) for plan in plans]
        more_episodes = [episodes_needed(plan, seeds, asked, target, alpha) for plan in plans]
        row |= _ends(f"seeds_needed{name}", more_seeds) | _ends(f"episodes_needed{name}", more_episodes)
        ways = (np.isfinite(more_seeds[0]), np.isfinite(more_episodes[0]))
        enough = now[0] >= target
        row[f"buy{name}"] = BUYS[0] if enough else BUYS[{(1, 0): 1, (0, 1): 2, (1, 1): 3, (0, 0): 4}[ways]]
    return row


def _grid(terms: Sequence[Term], statistic: str, alphas: dict[str, float], asked: float) -> list[dict]:
    """The power with other numbers of seeds and episodes; nothing where no variance is known."""
    found = crossed_components(terms, statistic)
    seeds, episodes = len(terms[0].values), int(found.episodes.min())
    plans = plans_of(found, seeds) or ()
    rows = []
    for s in sorted({*SEEDS, max(seeds, CLAIMS_FROM)}) if plans else ():
        for m in sorted({*EPISODES, episodes}):
            tests = [sampled(plan, s, m) for plan in plans]
            row = {"seeds": s, "n_episodes": m}
            for name, alpha in alphas.items():
                row |= _ends(f"power{name}", [test.power(asked, alpha) for test in tests])
            rows.append(row)
    return rows


def plans_of(found: Crossed, seeds: int) -> tuple[Plan, Plan, Plan] | None:
    """The estimated components, and those with the seed variance at its bounds; None where there is no variance."""
    values = np.array([found.seed, *found.episode, *found.rest])
    if not np.isfinite(values).all() or not (values > 0).any():
        return None
    plan = Plan(max(found.seed, 0.0), np.maximum(found.episode, 0), np.maximum(found.rest, 0))
    seen = max(0.0, found.seed + float(np.sum(found.rest / found.episodes)))  # the variance of the per-seed values
    low, high = (plan.with_seeds(seen * (seeds - 1) / chdtri(seeds - 1, p), found.episodes) for p in (0.05, 0.95))
    return plan, low, high


def seeds_needed(plan: Plan, episodes: int | Counts, difference: float, target: float, alpha: float) -> float:
    """The fewest seeds, from three on, with which the power reaches the target; inf for more than `MOST_SEEDS`."""
    return _fewest(lambda n: sampled(plan, n, episodes).power(difference, alpha) >= target, CLAIMS_FROM, MOST_SEEDS)


def episodes_needed(plan: Plan, seeds: int, difference: float, target: float, alpha: float) -> float:
    """The fewest episodes of each split, from ten on, the same way; inf for more than `MOST_EPISODES`."""
    if seeds < CLAIMS_FROM:
        return np.inf
    return _fewest(lambda n: sampled(plan, seeds, n).power(difference, alpha) >= target, 10, MOST_EPISODES)


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> float:
    """The least whole number that is enough, for `enough` that stays true; to three digits, for nobody needs more."""
    if not enough(most):
        return np.inf
    below, above = least - 1, least
    while not enough(above):
        below, above = above, min(2 * above, most)
    while above - below > max(1, above // 1000):
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return float(above)


def _ends(name: str, values: Sequence[float]) -> dict[str, float]:
    """A value at the estimate, and the ends of it and its values at the bounds of the seed variance."""
    return {name: values[0], f"{name}_low": min(values), f"{name}_high": max(values)}


@lru_cache(maxsize=16)
def _normal_points(dimensions: int) -> Array:
    """Standard normal values that fill the space evenly, (dimensions, DRAWS)."""
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, rng=np.random.default_rng(0)).random(DRAWS)
    return ndtri(np.clip(points, 1e-12, 1 - 1e-12)).T


def _chi2_per_df(normal: Array, df: int) -> Array:
    """Draws of chi2(df) / df from standard normal ones."""
    if df < MANY_DEGREES:
        return chdtri(df, ndtr(-normal)) / df
    return (1 - 2 / (9 * df) + normal * np.sqrt(2 / (9 * df))) ** 3


@lru_cache(maxsize=1024)
def _critical(seeds_df: int, episodes_df: int, alpha: float) -> tuple[Array, Array]:
    """Critical values of the mixture of two t, with the share of the first at which each is the right one.

    The share has a closed form in the critical value t: share * tail_1(t) + (1 - share) * tail_2(t) = alpha.
    """
    ends = [float(stdtrit(df, 1 - alpha / 2)) for df in (episodes_df, seeds_df)]
    if abs(ends[0] - ends[1]) < 1e-9:
        return np.array([0.0, 1.0]), np.array(ends)
    quantiles = np.geomspace(ends[0], ends[1], 500)
    tails = [2 * stdtr(df, -quantiles) for df in (seeds_df, episodes_df)]
    shares = (alpha - tails[1]) / (tails[0] - tails[1])
    order = np.argsort(shares, kind="stable")
    return shares[order], quantiles[order]


def _split(grids: Grids, on: str | None) -> str:
    """What the difference is taken on."""
    domains, home = grids.domains, grids.home("in-distribution")
    known = [*map(str, grids.splits.index), *([AVERAGE] if len(domains) > 1 else [])]
    if on is not None:
        if on not in known:
            raise UserError(f"power: unknown split '{on}'; these results have {', '.join(known)}")
        return on
    if not domains and not home:
        raise UserError(f"power: there is no split of new tasks; name one with --on: {', '.join(known)}")
    return AVERAGE if len(domains) > 1 else [*domains, *home][0]


def _asked(grids: Grids, difference: float | None) -> float:
    """The difference to be found, as a difference of scores."""
    metric = grids.metric
    if difference is None:
        if metric.unit != "%":
            raise UserError(f"power: say the difference to be found, in {metric.gap_unit}: --difference X")
        difference = PERCENTAGE_POINTS
    if not 0 < difference < np.inf:
        raise UserError(f"power: a difference of {difference:g} {metric.gap_unit} cannot be looked for; it must be > 0")
    return difference / metric.gap_scale
