"""Leave one domain out: scores on the held-out domains, what is lost on the way to them, and rules of selection.

Held out are all domains in turn, so that a mean over them is over trainings on other domains each time. It is computed
seed by seed; its interval is the crossed one, over new training runs and new episodes, of these domains. The interval
over domains is also of new ones like these.

Four rules choose an iteration for each run, as those of Gulrajani and Lopez-Paz (2021) choose hyper-parameters: the
last one; the best on validation classes of the training domains; the best, on average over the other domains, on a
domain that was left out as well; the best on the held-out domain itself, cross-fitted, which nobody can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.along.curves import Checkpoints, checkpoints_of, untrained
from metagap.analysis.along.selection import COSTS, NO_COST, Met, best, cross_fitted, met, taken
from metagap.analysis.comparisons import holm
from metagap.analysis.gaps import DOMAIN_GAP
from metagap.analysis.grids import AVERAGE, Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    DOMAINS,
    LEVEL,
    Array,
    Term,
    domains_estimate,
    headline,
    headline_estimate,
    headline_kind,
    summarise,
)

if TYPE_CHECKING:
    from metagap.metrics import Metric
    from metagap.results import SweepResults

LAST, TRAINING, LEFT_OUT, ORACLE = "last", "training-domain", "leave-one-domain-out", "oracle"
RULES = (LAST, TRAINING, LEFT_OUT, ORACLE)
SCORE = "score"
SCORE_COLUMNS = [
    "algorithm", "what", "held_out", "value", "low", "high", "interval", "domains_low", "domains_high", "seeds",
    "n_episodes",
]  # fmt: skip
RULE_COLUMNS = [
    "algorithm", "rule", "score", "low", "high", "interval", "cost", "cost_low", "cost_high", "p", "p_holm",
    "family", "verdict", "iteration", "least_iteration", "greatest_iteration", "domains", "seeds", "n_episodes",
]  # fmt: skip
SELECTED_COLUMNS = ["algorithm", "rule", "held_out", "seed", "iteration", "score"]


@dataclass(frozen=True)
class Domains:
    """The numbers of a suite that leaves one domain out.

    Attributes:
        results: what they are made of.
        domains: the names of those that were held out and have results.
        algorithms: that have results, in the order of the suite.
        scores: a row per algorithm, measure and held-out domain: `what` is "score", on this domain, or "domain gap",
            the score on unseen tasks of the training domains minus that; value, low, high: with the crossed interval.
            held_out "average": the mean over all domains, where all have results; domains_low, domains_high: its
            interval over new domains, too.
        rules: a row per algorithm that trains and rule of selection: the score on the held-out domain at the selected
            iteration, averaged over the domains; cost: the oracle's score minus this one, paired; p: of "it costs
            nothing", two-sided; p_holm, family: corrected by Holm over all costs, nan below three seeds; verdict:
            "costs" if p_holm < 0.05 and the cost is positive, else "cannot tell", empty for the oracle; iteration: the
            median over domains and runs, with the least and the greatest, but for the oracle, which has one for each
            half of the episodes. Empty where training was not followed.
        selected: a row per algorithm, rule, held-out domain and seed: which iteration was selected.
        metric: of the scores.
        notes: sentences that a reader of the numbers should know.
    """

    results: SweepResults
    domains: list[str]
    algorithms: list[str]
    scores: pd.DataFrame
    rules: pd.DataFrame
    selected: pd.DataFrame
    metric: Metric
    notes: list[str]


def domains(found: SweepResults, level: float = LEVEL) -> Domains:
    """The numbers of all members of a suite that leaves one domain out."""
    single = {values[0]: Grids(results) for values, results in found.members.items() if len(values) == 1}
    first = next(iter(single.values()), None) or Grids(next(iter(found.members.values())))
    suite, notes = found.suite, list(found.notes)
    algorithms = [name for name in suite.algorithms if any(name in grids.algorithms for grids in single.values())]
    rows = [row for name in algorithms for row in _scores(single, name, first.metric, level)]
    along = {frozenset(values): checkpoints_of(results) for values, results in found.members.items()}
    rules: list[dict[str, Any]] = []
    selected: list[dict[str, Any]] = []
    for name in algorithms:
        chosen = _chosen(along, name, [*single], first.metric.statistic, notes)
        rules += _rules(chosen, name, [*single], first.metric, level)
        selected += _selected(chosen, name, first.metric.statistic)
    return Domains(
        found,
        [*single],
        algorithms,
        pd.DataFrame(rows, columns=SCORE_COLUMNS),
        _judged(pd.DataFrame(rules, columns=RULE_COLUMNS), level),
        pd.DataFrame(selected, columns=SELECTED_COLUMNS),
        first.metric,
        list(dict.fromkeys(notes)),
    )


def _scores(single: Mapping[str, Grids], algorithm: str, metric: Metric, level: float) -> Iterator[dict[str, Any]]:
    """The score and the domain gap of every held-out domain, and their averages."""
    measured: dict[str, dict[str, tuple[list[Term], pd.Index]]] = {SCORE: {}, DOMAIN_GAP.name: {}}
    for name, grids in single.items():
        if algorithm not in grids.algorithms or (grid := grids.get(algorithm, name)) is None:
            continue
        measured[SCORE][name] = [Term(grid.to_numpy(float), of=name)], grid.index
        for split, terms, _ in DOMAIN_GAP.compute(grids, algorithm):
            if split == name and len(terms[0].values) == len(grid):
                measured[DOMAIN_GAP.name][name] = list(terms), grid.index
    for what, of_domains in measured.items():
        about = {"algorithm": algorithm, "what": what}
        for name, (terms, _) in of_domains.items():
            yield about | {"held_out": name} | _value(terms, metric, level)
        if len(of_domains) == len(single) > 1:
            yield about | {"held_out": AVERAGE} | _average(what, [*of_domains.values()], metric, level)


def _average(
    what: str, of_domains: Sequence[tuple[list[Term], pd.Index]], metric: Metric, level: float
) -> dict[str, Any]:
    """The mean over the domains, on the seeds that all have."""
    seeds = reduce(pd.Index.intersection, [index for _, index in of_domains])
    share = 1 / len(of_domains)
    cut = [[_cut(term, index.get_indexer(seeds), share) for term in terms] for terms, index in of_domains]
    row = _value([term for terms in cut for term in terms], metric, level)
    if what == SCORE:
        bounds = metric.score_bounds
        estimate = domains_estimate([terms[0] for terms in cut], len(cut), metric.statistic, bounds)
        interval = estimate.interval(DOMAINS, len(cut), level)
        row |= {"domains_low": interval.low, "domains_high": interval.high}
    return row


def _cut(term: Term, rows: np.ndarray, share: float) -> Term:
    minus = None if term.minus is None else term.minus[rows]
    return term._replace(values=term.values[rows], minus=minus, weight=share * term.weight)


def _value(terms: Sequence[Term], metric: Metric, level: float) -> dict[str, Any]:
    interval = headline(terms, metric.statistic, level, metric.score_bounds)
    row = {"value": interval.center, "low": interval.low, "high": interval.high, "interval": interval.kind}
    return row | {"seeds": len(terms[0].values), "n_episodes": min(term.n_episodes for term in terms)}


class Choice(NamedTuple):
    """What a rule chose for the runs without a domain."""

    scores: Array
    """(S, M) on the held-out domain, at the iterations that were chosen."""
    iterations: list[int] | None
    """(S,); None for the oracle, which has one for each half of the episodes."""
    seeds: list[int]


def _chosen(
    along: Mapping[frozenset[str], Checkpoints], algorithm: str, names: Sequence[str], statistic: str, notes: list[str]
) -> dict[str, dict[str, Choice]]:
    """Rule -> held-out domain -> what it chose. A rule is there where it can be followed for all domains."""
    runs: dict[str, tuple[Met, list[tuple[Array, list[int]]]]] = {}
    validated: dict[str, Met] = {}
    for name in names:
        checkpoints = along[frozenset([name])]
        if not checkpoints or algorithm in untrained(checkpoints):
            return {}
        found = met(checkpoints, algorithm, [name])
        if found is None:
            return {}
        pairs = [_of_pair(along, algorithm, name, other, found) for other in names if other != name]
        runs[name] = found, [one for one in pairs if one is not None]
        validation = next(iter(checkpoints.values())).home("meta-val")[:1]
        both = met(checkpoints, algorithm, [name, *validation]) if validation else None
        if both is not None:
            validated[name] = both
    seeds = sorted(reduce(set.intersection, [set(one.seeds) for one, _ in runs.values()]))
    rules: dict[str, dict[str, Choice]] = {rule: {} for rule in RULES}
    for name, (found, pairs) in runs.items():
        scores = _of_seeds(found.scores[0], found.seeds, seeds)
        rules[LAST][name] = _choice(scores, np.full(len(seeds), len(scores) - 1), found, seeds)
        if name in validated and validated[name].iterations == found.iterations:
            own = validated[name]
            if {*seeds} <= {*own.seeds}:
                rules[TRAINING][name] = _choice(
                    scores, best(_of_seeds(own.scores[1], own.seeds, seeds), statistic), found, seeds
                )
        if len(pairs) == len(names) - 1 and all({*seeds} <= {*of} for _, of in pairs):
            there = [_of_seeds(values, of, seeds) for values, of in pairs]
            rules[LEFT_OUT][name] = _choice(scores, best_on_average(there, statistic), found, seeds)
        rules[ORACLE][name] = Choice(cross_fitted(scores, statistic), None, seeds)
    followed = {rule: of_domains for rule, of_domains in rules.items() if len(of_domains) == len(names)}
    if missing := [rule for rule in RULES if rule not in followed]:
        notes.append(f"{algorithm}: no results for the selection by {' and '.join(missing)}.")
    return followed


def _of_pair(
    along: Mapping[frozenset[str], Checkpoints], algorithm: str, name: str, other: str, single: Met
) -> tuple[Array, list[int]] | None:
    """The scores on `other` of the runs without both, and their seeds."""
    checkpoints = along.get(frozenset([name, other]))
    found = met(checkpoints, algorithm, [other]) if checkpoints else None
    if found is None or found.iterations != single.iterations:
        return None
    return found.scores[0], found.seeds


def _of_seeds(scores: Array, there: Sequence[int], wanted: Sequence[int]) -> Array:
    """The runs of these seeds: (K, S, M) -> (K, wanted, M)."""
    return scores[:, [list(there).index(seed) for seed in wanted]]


def _choice(scores: Array, places: np.ndarray, found: Met, seeds: list[int]) -> Choice:
    return Choice(taken(scores, places), [found.iterations[place] for place in places], seeds)


def best_on_average(scores: Sequence[Array], statistic: str = "mean") -> np.ndarray:
    """Which checkpoint is best on average over several domains, for each run: a (K, S, M) for each -> (S,)."""
    return best(np.mean([summarise(of_one, statistic) for of_one in scores], axis=0)[..., None])


def _rules(
    chosen: Mapping[str, Mapping[str, Choice]], algorithm: str, names: Sequence[str], metric: Metric, level: float
) -> Iterator[dict[str, Any]]:
    """The scores of each rule, averaged over the domains, and what they lack to the oracle's."""
    share, bounds = 1 / len(names), metric.score_bounds
    for rule, of_domains in chosen.items():
        terms = [Term(one.scores, weight=share, of=name) for name, one in of_domains.items()]
        value = _value(terms, metric, level)
        row = {"algorithm": algorithm, "rule": rule, "score": value.pop("value"), **value, "domains": len(names)}
        if rule != ORACLE:
            oracle = chosen[ORACLE]
            costs = [Term(oracle[name].scores, one.scores, share, name) for name, one in of_domains.items()]
            estimate = headline_estimate(costs, metric.statistic, bounds)
            cost = estimate.interval(*headline_kind(costs), level)
            row |= {"cost": cost.center, "cost_low": cost.low, "cost_high": cost.high, "p": estimate.p_value()}
            iterations = [iteration for one in of_domains.values() for iteration in one.iterations or ()]
            row |= {"iteration": float(np.median(iterations))}
            row |= {"least_iteration": min(iterations), "greatest_iteration": max(iterations)}
        yield row


def _judged(rules: pd.DataFrame, level: float) -> pd.DataFrame:
    """The rules with what is claimed of their costs."""
    costs = rules[(rules["seeds"] >= CLAIMS_FROM) & (rules["rule"] != ORACLE)].index
    p_holm = pd.Series(np.nan, rules.index)
    p_holm[costs] = holm(rules.loc[costs, "p"].to_numpy(float))
    is_cost = (p_holm < 1 - level) & (rules["cost"] > 0)
    verdict = np.where(rules["rule"] == ORACLE, "", np.where(is_cost, COSTS, NO_COST))
    return rules.assign(p_holm=p_holm, family=len(costs), verdict=verdict)


def _selected(chosen: Mapping[str, Mapping[str, Choice]], algorithm: str, statistic: str) -> Iterator[dict[str, Any]]:
    for rule, of_domains in chosen.items():
        for name, one in of_domains.items():
            scores = summarise(one.scores, statistic)
            for seed, iteration, score in zip(one.seeds, one.iterations or [None] * len(scores), scores, strict=True):
                about = {"algorithm": algorithm, "rule": rule, "held_out": name, "seed": seed}
                yield about | {"iteration": iteration, "score": float(score)}
