"""Where the variance of a gap lies: in the suite, the algorithm, the domain, the training run, or in the episodes.

The scaled gap of suite s, algorithm a, domain d of the suite and seed k is modelled as

    gap = mean + suite_s + algorithm_a + (suite x algorithm)_sa + domain_sd + (algorithm x domain)_sad
        + seed_sak + (seed x domain)_sadk

Suites and algorithms are crossed, so that the components are those of a mixed model fitted by REML (statsmodels'
`MixedLM`) to the means over the seeds; the two of the seeds are those of the analysis of variance, and are taken out of
those means. Where nothing is missing and none is negative all of them are the ANOVA's.

Episodes are a known part of each component, by the covariances of the scores over the episodes. All algorithms and
seeds of a suite meet the same ones: luck that algorithms share looks like suite and domain, luck that only seeds of an
algorithm share like their products with the algorithm, and the rest like seeds. It is taken out and stands by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from metagap.analysis.associations.rows import GAPS, Rows, per_seed
from metagap.analysis.gaps import GapKind
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import Array, Term

SUITE, ALGORITHM, BOTH = "suite", "algorithm", "suite × algorithm"
DOMAIN, DOMAIN_ALGORITHM = "domain", "algorithm × domain"
SEED, SEED_DOMAIN = "seed", "seed × domain"
EPISODES = "episodes"
COMPONENTS: tuple[str, ...] = (SUITE, ALGORITHM, BOTH, DOMAIN, DOMAIN_ALGORITHM, SEED, SEED_DOMAIN)
HOME, AWAY = (SUITE, BOTH, SEED), (DOMAIN, DOMAIN_ALGORITHM, SEED_DOMAIN)
"""Where the luck of episodes is found: that which algorithms share, that which seeds share, and the rest."""
COLUMNS = ["gap", "component", "variance", "of_episodes", "share"]
LEAST_SUITES = 3


def variance_of_gaps(rows: Rows, found: Mapping[str, Grids]) -> tuple[pd.DataFrame, list[str]]:
    """A row per gap and component, and sentences on gaps that have none.

    Columns: variance (of the scaled gap, squared; without the episodes, 0 where the estimate is negative), of_episodes
    (what the luck of the episodes adds to it), share (of the sum). The component `EPISODES` sums up `of_episodes`.
    """
    tables, notes = [], []
    for kind in GAPS:
        gaps = rows.gaps[rows.gaps["gap"] == kind.name]
        gaps = gaps[np.isfinite(gaps["scaled"])]
        if gaps["suite"].nunique() < LEAST_SUITES or gaps["algorithm"].nunique() < 2:
            notes.append(
                f"The variance of the {kind.name} is not taken apart: that needs {LEAST_SUITES} suites and two "
                "algorithms with finite values."
            )
            continue
        parts = components(gaps)
        if parts is None:
            notes.append(f"The variance of the {kind.name} is not taken apart: the mixed model does not converge.")
            continue
        luck = _luck(kind, {name: found[name] for name in gaps["suite"].unique()}, rows)
        tables.append(_table(kind, parts, luck))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS), notes


def _table(kind: GapKind, parts: dict[str, float], luck: dict[str, float]) -> pd.DataFrame:
    of_episodes = {name: min(max(luck.get(name, 0.0), 0.0), parts[name]) for name in parts}
    rows = [(kind.name, name, parts[name] - of_episodes[name], of_episodes[name]) for name in parts]
    rows.append((kind.name, EPISODES, sum(of_episodes.values()), sum(of_episodes.values())))
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    total = table["variance"].sum()
    return table.assign(share=table["variance"] / total if total > 0 else np.nan)


def components(gaps: pd.DataFrame) -> dict[str, float] | None:
    """The components that can be told apart, episodes included, 0 where an estimate is negative.

    gaps: suite, algorithm, seed, split, scaled. With one split in each suite what would be of domains is in the suites;
    with one seed what would be of seeds is in the products with the algorithm. None where the fit does not converge.
    """
    means = gaps.groupby(["suite", "algorithm", "split"], observed=True)["scaled"].agg(["mean", "size"]).reset_index()
    several = means.groupby("suite")["split"].nunique().max() > 1
    names = [SUITE, ALGORITHM, *([BOTH, DOMAIN] if several else [])]
    fitted = _fitted(means, names)
    if fitted is None:
        return None
    parts, rest = fitted
    parts[DOMAIN_ALGORITHM if several else BOTH] = rest
    run, run_by_domain = _of_seeds(gaps)
    if not np.isnan(run):
        share = float((1 / means["size"]).mean())
        parts[BOTH] -= share * run
        parts[SEED] = run
        if several:
            parts[DOMAIN_ALGORITHM] -= share * run_by_domain
            parts[SEED_DOMAIN] = run_by_domain
    return {name: max(parts[name], 0.0) for name in COMPONENTS if name in parts}


def _fitted(means: pd.DataFrame, names: list[str]) -> tuple[dict[str, float], float] | None:
    """The crossed components of the means over the seeds by REML, and what is left."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    keys = {
        SUITE: means["suite"],
        ALGORITHM: means["algorithm"],
        BOTH: means["suite"] + "\0" + means["algorithm"],
        DOMAIN: means["suite"] + "\0" + means["split"],
    }
    designs = [pd.get_dummies(keys[name]).to_numpy(dtype=float) for name in names]
    spec = VCSpec(names, [[[str(i) for i in range(d.shape[1])]] for d in designs], [[d] for d in designs])
    scale = means["mean"].std()
    if not scale > 0:
        return dict.fromkeys(names, 0.0), 0.0
    one = np.ones((len(means), 1))
    with warnings.catch_warnings():  # a component at zero is a finding, not a fault
        warnings.simplefilter("ignore")
        try:
            model = MixedLM(means["mean"] / scale, one, one[:, 0], exog_vc=spec)
            fit = model.fit(reml=True, method=["lbfgs", "powell"])  # the second where a component goes to zero
        except (np.linalg.LinAlgError, ValueError):
            return None
    if not fit.converged or not np.isfinite([*fit.vcomp, fit.scale]).all():
        return None
    return dict(zip(names, (float(v) * scale**2 for v in fit.vcomp), strict=True)), float(fit.scale) * scale**2


def _of_seeds(gaps: pd.DataFrame) -> tuple[float, float]:
    """Variance between training runs, and of runs on a domain beyond it, by the ANOVA; NaN with one seed."""
    runs, products, splits = [], [], []
    for _, rows in gaps.groupby(["suite", "algorithm"], observed=True):
        grid = rows.pivot(index="seed", columns="split", values="scaled").dropna()
        if len(grid) < 2:
            continue
        values = grid.to_numpy()
        runs.append(values.mean(axis=1).var(ddof=1))
        splits.append(values.shape[1])
        if values.shape[1] > 1:
            rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
            products.append((rest**2).sum() / ((values.shape[0] - 1) * (values.shape[1] - 1)))
    if not runs:
        return np.nan, np.nan
    product = float(np.mean(products)) if products else 0.0
    return max(float(np.mean(runs)) - product * float(np.mean(1 / np.array(splits))), 0.0), product


def _luck(kind: GapKind, found: Mapping[str, Grids], rows: Rows) -> dict[str, float]:
    """What the episodes add to each component, averaged over suites and domains, of the scaled gap."""
    several = rows.gaps[rows.gaps["gap"] == kind.name].groupby("suite")["split"].nunique().max() > 1
    places = dict(zip(AWAY, AWAY if several else HOME, strict=True)) | {name: name for name in HOME}
    sums: dict[str, list[float]] = {}
    for name, grids in found.items():
        span = rows.spans[name][0]
        by_split: dict[str, list[list[Term]]] = {}
        for algorithm in grids.algorithms:
            for contrast, _, _ in per_seed(grids, kind, algorithm):
                by_split.setdefault(contrast.split, []).append(contrast.terms)
        per_split: dict[str, list[float]] = {}
        for contrasts in by_split.values():
            for side, components in ((0, HOME), (1, AWAY)):
                shares = _shared([terms[side] for terms in contrasts], grids.metric.statistic)
                for component, share in zip(components, shares, strict=True):
                    per_split.setdefault(component, []).append(share / span**2)
        for component, values in per_split.items():
            sums.setdefault(component, []).append(float(np.mean(values)))
    luck = dict.fromkeys(COMPONENTS, 0.0)
    for component, values in sums.items():
        luck[places[component]] += float(np.nan_to_num(np.mean(values)))
    return luck


def _shared(terms: list[Term], statistic: str) -> tuple[float, float, float]:
    """Of the variance by the episodes of one split: what algorithms share, what only seeds share, and the rest."""
    if len({term.n_episodes for term in terms}) > 1:
        return 0.0, 0.0, 0.0  # not the same episodes: nothing is known to be shared
    of = np.repeat(np.arange(len(terms)), [len(term.values) for term in terms])
    values = np.concatenate([term.values for term in terms])
    minus = None if terms[0].minus is None else np.concatenate([_minus(term) for term in terms])
    covariance = Term(values, minus, terms[0].weight).episode_covariance(statistic)
    alike = of[:, None] == of[None, :]
    own = ~np.eye(len(of), dtype=bool)
    total = float(np.mean(np.diag(covariance)))
    seeds = float(covariance[alike & own].mean()) if (alike & own).any() else total
    algorithms = float(covariance[~alike].mean()) if (~alike).any() else seeds
    return algorithms, seeds - algorithms, total - seeds


def _minus(term: Term) -> Array:
    return term.values if term.minus is None else term.minus
