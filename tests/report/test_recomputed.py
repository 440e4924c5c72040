"""A report against a second opinion: its numbers computed again from the files of the store by short code.

Nothing here is imported from `metagap.analysis`: pandas reads the records, numpy, scipy and statsmodels compute.
"""

import re
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from synthetic import all_tables

from metagap.machine import Machine
from metagap.report.frames import Frames
from metagap.results import read
from metagap.runner.cell import run_cell
from metagap.suite import expand, load_suite
from tiny_suites import TASKS, write

DOMAINS = ("digits", "inverted")
GAPS = {
    ("task gap", "new"): {"old": 1, "new": -1},
    ("domain gap", "digits"): {"new": 1, "digits": -1},
    ("domain gap", "inverted"): {"new": 1, "inverted": -1},
    ("domain gap", "average"): {"new": 1, "digits": -0.5, "inverted": -0.5},
    ("total gap", "digits"): {"old": 1, "digits": -1},
    ("total gap", "average"): {"old": 1, "digits": -0.5, "inverted": -0.5},
}
"""Gap and split -> the weights of the splits."""
PUBLISHED = {"algorithm": "maml", "split": "new", "value": 0.5, "interval": 0.02, "kind": "95% CI over 600 episodes"}


@dataclass
class Store:
    """The records of a run, read by pandas, and the report that was made of them."""

    folder: object
    episodes: pd.DataFrame
    frames: Frames
    tables: dict

    def grid(self, algorithm, split, column="query_score", condition="standard", step=1):
        """Seeds x episodes."""
        rows = self.episodes.query(
            "algorithm == @algorithm and split == @split and condition == @condition and step == @step"
        )
        return rows.pivot(index="seed", columns="episode", values=column).to_numpy()

    def classes(self, split):
        """Episodes x ways."""
        (file,) = self.folder.glob(f"tiny/maml/0-*/evaluation/{split}-*-classes.npz")
        return np.load(file)["classes"]

    def terms(self, algorithm, weights, column="query_score"):
        return [(weight, self.grid(algorithm, split, column)) for split, weight in weights.items()]

    def differences(self, a, b, weights):
        return [(weight, self.grid(a, split) - self.grid(b, split)) for split, weight in weights.items()]

    def row(self, table, **where):
        """The one row of a printed table."""
        frame = self.tables[table].frame
        for column, value in where.items():
            frame = frame[frame[column.replace("_", " ")] == value]
        assert len(frame) == 1, (table, where)
        return frame.iloc[0]


def run(folder, **changes):
    path = write(folder, **changes)
    cells = expand(load_suite(str(path)))
    for cell in cells:
        run_cell(cell, folder, Machine("cpu", engine="vmap plain eager"))
    files = sorted(folder.glob("tiny/*/*/evaluation/*.parquet"))
    places = [(file.parts[-4], int(file.parts[-3].partition("-")[0])) for file in files]
    episodes = [
        pd.read_parquet(file).assign(algorithm=label, seed=seed)
        for file, (label, seed) in zip(files, places, strict=True)
    ]
    frames = Frames.of(read(folder, "tiny"))
    return Store(folder, pd.concat(episodes, ignore_index=True), frames, all_tables(frames))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    source = TASKS["images"]["source"] | {"instances": 20}  # enough for several tasks that share no image
    splits = [
        *TASKS["images"]["splits"],
        {"name": "inverted", "role": "cross-domain", "source": {**source, "inversion": 1.0}},
    ]
    return run(
        tmp_path_factory.mktemp("images"),
        kind="images",
        source=source,
        seeds=[0, 1, 2],
        training={"iterations": 2, "validations": 1},
        evaluation={"episodes": 20, "diagnostic_episodes": 10, "metrics": ["accuracy", "nll"]},
        splits=splits,
        published=[PUBLISHED | {"source": "nobody", "mark": "V"}],
    )


def changed(made, change):
    """The report of the same records, but with scores that `change` made others in place."""
    results, episodes = read(made.folder, "tiny"), made.episodes.copy()
    change(episodes)
    frames = Frames.of(replace(results, episodes=episodes))
    return Store(made.folder, episodes, frames, all_tables(frames))


@pytest.fixture(scope="module")
def apart(images):
    """Here maml is right far more often, by luck that all runs share: differences are significant."""

    def lift(episodes):
        maml = episodes["algorithm"] == "maml"
        episodes.loc[maml, "query_score"] = 0.6 + 0.1 * episodes["query_score"] + 0.01 * (episodes["episode"] % 7)

    return changed(images, lift)


@pytest.fixture(params=["images", "apart"])
def records(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    return run(tmp_path_factory.mktemp("waves"), seeds=[0, 1, 2], evaluation={"episodes": 20})


# The second opinion.


def crossed_parts(terms):
    """[(variance, degrees of freedom)] of a weighted sum of grids: of the seeds, and of what they share on each."""
    sums = sum(weight * grid.mean(axis=1) for weight, grid in terms)
    parts = [(sums.var(ddof=1) / len(sums), len(sums) - 1)]
    for weight, grid in terms:
        covariance = np.cov(grid)[np.triu_indices(len(grid), 1)].mean()
        parts.append((max(weight**2 * covariance / grid.shape[1], 0), grid.shape[1] - 1))
    return parts


def value(terms):
    return sum(weight * grid.mean() for weight, grid in terms)


def outside(parts, t):
    """P(|T| > t) of the mixture of t distributions."""
    return sum(v * 2 * stats.t.sf(t, df) for v, df in parts) / sum(v for v, _ in parts)


def half(parts):
    quantile = optimize.brentq(lambda t: outside(parts, t) - 0.05, 0.1, 100)
    return quantile * np.sqrt(sum(v for v, _ in parts))


def around(center, parts):
    return center, center - half(parts), center + half(parts)


def on_logit(center, parts):
    step = half(parts) / (center * (1 - center))
    return center, special.expit(special.logit(center) - step), special.expit(special.logit(center) + step)


def crossed(terms):
    return around(value(terms), crossed_parts(terms))


def over_seeds(terms):
    return around(value(terms), crossed_parts(terms)[:1])


def episode_parts(terms):
    return [(weight**2 * grid.mean(axis=0).var(ddof=1) / grid.shape[1], grid.shape[1] - 1) for weight, grid in terms]


def over_episodes(terms):
    return around(value(terms), episode_parts(terms))


def over_domains(terms):
    """The last two terms are a sample of domains."""
    (weight, home), *domains = terms
    values = np.stack([weight * home.mean(axis=1) + 2 * w * grid.mean(axis=1) for w, grid in domains])  # (D, S)
    seeds = values.shape[1]
    parts = [(values.mean(axis=1).var(ddof=1) / 2, 1)]
    parts.append((max(np.cov(values)[0, 1], 0) / seeds, seeds - 1))
    return around(values.mean(), [*parts, crossed_parts([(weight, home)])[1]])


def over_classes(grid, classes):
    """MINQUE(0) of a random effect of the classes that an episode holds, by its matrices."""
    y, m = grid.mean(axis=0), grid.shape[1]
    z = np.stack([(classes == c).sum(axis=1) for c in np.unique(classes)], axis=1).astype(float)
    center = np.eye(m) - 1 / m
    shared = center @ z @ z.T @ center
    equations = np.array([[np.trace(shared @ shared), np.trace(shared)], [np.trace(shared), m - 1]])
    (a, b), (c, d) = np.linalg.inv(equations)
    g, e = (y @ (one * shared + two * center) @ y for one, two in ((a, b), (c, d)))
    weight = np.sum((z.sum(axis=0) / m) ** 2)
    if g <= 0:
        return g, e, weight, [(y.var(ddof=1) / m, m - 1)]
    spread = (a * shared + b * center) @ (g * shared + max(e, 0) * center)
    df = int(np.clip(g**2 / np.trace(spread @ spread), 1, z.shape[1] - 1))
    return g, e, weight, [(weight * g, df), (max(e, 0) / m, m - 1)]


def numbers(text):
    return [float(one.replace("−", "-")) for one in re.findall(r"[+−]?\d+\.?\d*", text)]


def assert_says(text, center, low, high, scale=100.0):
    """The text of a cell is this value and its interval, whether it is written with ± or with both ends."""
    digits = max(len(one.partition(".")[2]) for one in re.findall(r"\d+\.?\d*", text))
    rounding = 0.51 * 10.0**-digits
    said = numbers(text)
    if "±" in text:
        assert abs(said[0] - scale * center) <= rounding
        assert abs(said[1] - scale * max(high - center, center - low)) <= rounding, text
        return
    assert said == pytest.approx([scale * one for one in (center, *sorted((low, high), key=lambda x: scale * x))],
                                 abs=rounding), text  # fmt: skip


def assert_is(row, expected, low="low", high="high", center=None):
    """The numbers of a data frame are these."""
    assert (row[low], row[high]) == pytest.approx(expected[1:], rel=1e-6, abs=1e-9)
    if center:
        assert row[center] == pytest.approx(expected[0], rel=1e-9, abs=1e-12)


def only(frame, **where):
    for column, one in where.items():
        frame = frame[frame[column] == one]
    assert len(frame) == 1, where
    return frame.iloc[0]


# The tables.


@pytest.mark.parametrize("algorithm", ["maml", "scratch"])
def test_scores_and_leaders(images, algorithm):
    printed, leader = images.row("scores", algorithm=algorithm), images.row("leaders", algorithm=algorithm)
    for split in ("old", "new", *DOMAINS):
        grid = images.grid(algorithm, split)
        expected = on_logit(grid.mean(), crossed_parts([(1, grid)]))
        assert_is(only(images.frames.scores, algorithm=algorithm, split=split, condition="standard"), expected,
                  center="score")  # fmt: skip
        assert_says(printed[split], *expected)
    away = images.terms(algorithm, dict.fromkeys(DOMAINS, 0.5))
    gap = images.terms(algorithm, GAPS["domain gap", "average"])
    assert leader["in-distribution"] == printed["new"]
    assert_says(leader["mean cross-domain"], *on_logit(value(away), crossed_parts(away)))
    assert_says(leader["domain gap"], *crossed(gap))


def test_the_leader_is_the_best_away_and_groups_follow_the_test(records):
    away = {one: value(records.terms(one, dict.fromkeys(DOMAINS, 0.5))) for one in ("maml", "scratch")}
    assert records.tables["leaders"].frame["algorithm"].tolist() == sorted(away, key=away.get, reverse=True)
    differ = only(records.frames.pairs, split="average")["p_holm"] < 0.05
    assert records.tables["leaders"].frame["rank group"].tolist() == (["a", "b"] if differ else ["a", "a"])


def test_metrics(images):
    grid = images.grid("maml", "new", "query_nll")
    center, low, high = around(grid.mean(), crossed_parts([(1, grid)]))
    printed = images.row("metrics", algorithm="maml")["new"]
    assert_says(printed, center, max(low, 0), high, scale=1)


@pytest.mark.parametrize("of", GAPS)
@pytest.mark.parametrize("algorithm", ["maml", "scratch"])
def test_gaps(images, of, algorithm):
    gap, split = of
    terms = images.terms(algorithm, GAPS[of])
    row = only(images.frames.gaps, gap=gap, split=split, algorithm=algorithm)
    assert_is(row, crossed(terms), center="value")
    assert_is(row, over_seeds(terms), "seeds_low", "seeds_high")
    assert_is(row, over_episodes(terms), "episodes_low", "episodes_high")
    assert_says(images.row("gaps", gap=gap, split=split)[algorithm], *crossed(terms))
    if split == "average":
        assert_is(row, over_domains(terms), "domains_low", "domains_high")


@pytest.mark.parametrize("of", [key for key in GAPS if key[0] != "total gap"])
def test_adjusted_gaps(images, of):
    gap, split = f"difficulty-adjusted {of[0]}", of[1]
    terms = images.differences("maml", "scratch", GAPS[of])
    assert_is(only(images.frames.gaps, gap=gap, split=split), crossed(terms), center="value")
    assert_says(images.row("gaps", gap=gap, split=split)["maml"], *crossed(terms))
    assert images.row("gaps", gap=gap, split=split)["scratch"] == "–"


@pytest.mark.parametrize("split", [*DOMAINS, "average"])
def test_error_ratios_and_gaps_in_loss(images, split):
    weights = GAPS["domain gap", split]
    home = 1 - images.grid("maml", "new").mean()
    away = np.mean([1 - images.grid("maml", one).mean() for one in weights if one != "new"])
    logs = [(w / (home if w > 0 else away), grid) for w, grid in images.terms("maml", weights)]
    ratio = np.exp(around(np.log(away / home), crossed_parts(logs)))
    assert_is(only(images.frames.gaps, gap="domain error ratio", split=split, algorithm="maml"), ratio, center="value")
    assert_says(images.row("gaps", gap="domain error ratio", split=split)["maml"], *ratio, scale=1)
    loss = crossed([(-w, grid) for w, grid in images.terms("maml", weights, "query_loss")])
    assert_is(only(images.frames.gaps, gap="domain gap in loss", split=split, algorithm="maml"), loss, center="value")
    assert_says(images.row("gaps", gap="domain gap in loss", split=split)["maml"], *loss, scale=1)


def test_gaps_within_a_split(images):
    usual = images.grid("maml", "new")
    few = usual[:, :10]  # further conditions are on the first episodes
    paired = {
        "within-task gap": images.grid("maml", "new", "support_score") - usual,
        "adaptation gain": usual - images.grid("maml", "new", step=0),
        "transduction gap": few - images.grid("maml", "new", condition="inductive"),
        "memorization": few - images.grid("maml", "new", condition="shuffled"),
    }
    for gap, grid in paired.items():
        row = only(images.frames.gaps, gap=gap, split="new", algorithm="maml")
        assert_is(row, crossed([(1, grid)]), center="value")
        assert_says(images.row("gaps-within", gap=gap, split="new")["maml"], *crossed([(1, grid)]))
    before = images.grid("maml", "new", step=0)
    expected = on_logit(before.mean(), crossed_parts([(1, before)]))
    assert_says(images.row("gaps-within", gap="zero-step score", split="new")["maml"], *expected)


@pytest.mark.parametrize("split", ["old", "new", *DOMAINS])
def test_intervals(images, split):
    grid, row = images.grid("maml", split), images.row("intervals", split=split, algorithm="maml")
    parts = {
        "crossed": crossed_parts([(1, grid)]),
        "seeds": crossed_parts([(1, grid)])[:1],
        "episodes": episode_parts([(1, grid)]),
        "classes": over_classes(grid, images.classes(split))[3],
    }
    score = only(images.frames.scores, algorithm="maml", split=split, condition="standard")
    for name, of in parts.items():
        center, low, high = on_logit(grid.mean(), of)
        assert_is(
            score, (center, low, high), *("low", "high") if name == "crossed" else (f"{name}_low", f"{name}_high")
        )
        known = [max(high - center, center - low)] if "±" in row[name] else [low, high]
        assert numbers(row[name]) == pytest.approx([100 * one for one in known], abs=0.051), name
    disjoint = images.grid("maml", split, condition="open")
    assert_says(row["disjoint tasks"], *on_logit(disjoint.mean(), episode_parts([(1, disjoint)])))


def test_gap_intervals(images):
    row = images.row("gap-intervals", gap="domain gap", split="average", algorithm="maml")
    terms = images.terms("maml", GAPS["domain gap", "average"])
    for name, of in (("crossed", crossed), ("seeds", over_seeds), ("episodes", over_episodes),
                     ("domains", over_domains)):  # fmt: skip
        center, _, high = of(terms)
        assert numbers(row["value"]) == pytest.approx([100 * center], abs=0.051)
        assert numbers(row[name]) == pytest.approx([100 * (high - center)], abs=0.051), name


def of_pair(images):
    """(table, gap or split) -> the terms of every hypothesis of the only pair."""
    scores = {split: {split: 1} for split in ("new", *DOMAINS)} | {"average": dict.fromkeys(DOMAINS, 0.5)}
    of_gaps = {gap: GAPS[gap, split] for gap, split in (("task gap", "new"), ("domain gap", "average"))}
    return {
        (table, name): images.differences("maml", "scratch", weights)
        for table, found in (("scores", scores), ("gaps", of_gaps))
        for name, weights in found.items()
    }


def test_comparisons(records):
    hypotheses = of_pair(records)
    p = [outside(parts := crossed_parts(terms), abs(value(terms)) / np.sqrt(sum(v for v, _ in parts)))
         for terms in hypotheses.values()]  # fmt: skip
    corrected = multipletests(p, method="holm")[1]
    for (of, terms), raw, holm in zip(hypotheses.items(), p, corrected, strict=True):
        table, name = of
        if table == "scores":
            row, printed = only(records.frames.pairs, split=name), records.row("comparisons-all", split=name)
            assert_says(records.row("comparisons", first="maml", second="scratch")[name], *crossed(terms))
            better = "maml better" if value(terms) > 0 else "scratch better"
        else:
            row = only(records.frames.gap_pairs, gap=name)
            (printed,) = (one for _, one in records.tables["gap-comparisons"].frame.iterrows()
                          if one["gap"].startswith(name))  # fmt: skip
            better = "scratch smaller" if value(terms) > 0 else "maml smaller"
            sides = [value(records.terms(one, GAPS[name, row["split"]])) for one in ("maml", "scratch")]
            assert numbers(printed["gap of the first"] + " " + printed["gap of the second"]) == pytest.approx(
                [100 * one for one in sides], abs=0.051
            )
        assert_is(row, crossed(terms), center="difference")
        assert (row["p"], row["p_holm"], row["family"]) == pytest.approx((raw, holm, 6))
        assert_says(printed["difference"], *crossed(terms))
        for column, one in (("p", raw), ("p (Holm)", holm)):
            assert printed[column] == ("<0.001" if one < 0.001 else f"{one:.3f}")
        assert printed["verdict"] == (better if holm < 0.05 else "cannot tell")


def test_both_kinds_of_verdict_are_among_them(images, apart):
    assert set(images.frames.pairs["verdict"]) == {"cannot tell"}
    assert set(apart.frames.pairs["verdict"]) == {"maml better"}
    assert apart.tables["leaders"].frame["rank group"].tolist() == ["a", "b"]


def test_the_probability_of_improvement(images):
    for split in ("new", *DOMAINS):
        a, b = images.grid("maml", split), images.grid("scratch", split)
        runs = (a - b).mean(axis=1)
        t = runs.mean() / runs.std(ddof=1) * np.sqrt(3)
        low, high = (
            optimize.brentq(lambda nc, t=t, tail=tail: stats.nct.cdf(t, 2, nc) - tail, -30, 30)
            for tail in (0.975, 0.025)
        )
        expected = stats.norm.cdf([t / np.sqrt(3), low / np.sqrt(3), high / np.sqrt(3)])
        row, printed = only(images.frames.pairs, split=split), images.row("comparisons-all", split=split)
        assert [row[f"improvement{end}"] for end in ("", "_low", "_high")] == pytest.approx(expected, abs=1e-6)
        assert_says(printed["P(first > second)"], *expected, scale=1)
        won = np.mean(a > b) + np.mean(a == b) / 2
        assert printed["episodes won"] == f"{100 * won:.1f}%"


def test_published(records):
    grid, (row,) = records.grid("maml", "new"), records.frames.published.to_dict("records")
    difference, margin = grid.mean() - PUBLISHED["value"], 0.01
    (seeds, df), episodes = crossed_parts([(1, grid)])
    # Theirs is one run that varies as ours do, with the luck of 600 episodes.
    parts = [(seeds * (1 + 3), df), episodes, ((PUBLISHED["interval"] / stats.norm.ppf(0.975)) ** 2, 599)]
    error = np.sqrt(sum(v for v, _ in parts))
    within = outside(parts, abs(margin - abs(difference)) / error) / 2
    p = within if abs(difference) < margin else 1 - within
    differs = outside(parts, abs(difference) / error) < 0.05
    verdict = "agrees" if p <= 0.05 else "differs" if differs else "undecided"
    assert (row["p"], row["verdict"]) == (pytest.approx(p), verdict)
    assert_is(row, around(difference, parts), center="difference")
    printed = records.row("published", algorithm="maml")
    assert printed["published"] == "50.0% ± 2.0%" or numbers(printed["published"]) == [50.0, 2.0]
    expected = over_episodes([(1, grid)])
    assert_says(printed["ours"], *expected)
    assert_says(printed["difference"], *around(difference, parts))
    assert printed["verdict"].startswith(verdict)


def test_variance(images):
    grid = images.grid("maml", "new")
    seeds, m = grid.shape
    covariance = np.cov(grid)
    rest = covariance.diagonal().mean() - covariance[np.triu_indices(3, 1)].mean()
    g, e, weight, _ = over_classes(grid, images.classes("new"))
    luck = np.mean(grid * (1 - grid)) / (3 * 2 - 1)  # of six queries
    expected = {
        "seed": (grid.mean(axis=1).var(ddof=1) - rest / m, 1 / seeds),
        "classes": (3 * g, weight / 3),
        "episode": (e - rest / seeds, 1 / m),
        "seed × episode": (rest - luck, 1 / grid.size),
        "queries": (min(luck, rest), 1 / grid.size),
    }
    total = sum(max(variance, 0) * share for variance, share in expected.values())
    printed = images.row("variance", split="new", algorithm="maml")
    for name, (variance, share) in expected.items():
        row = only(images.frames.variance, split="new", algorithm="maml", component=name)
        assert row["variance"] == pytest.approx(max(variance, 0), abs=1e-12), name
        if variance < 0:
            assert printed[name] == "0*"
        else:
            part = 100 * variance * share / total
            assert numbers(printed[name]) == pytest.approx([100 * np.sqrt(variance), part], abs=0.051)


def test_outliers(images):
    """One of the runs is made to fail."""

    def fail(episodes):
        episodes.loc[(episodes["algorithm"] == "maml") & (episodes["seed"] == 1), "query_score"] *= 0.1

    made = changed(images, fail)
    grid = made.grid("maml", "new")
    runs, others = grid.mean(axis=1), np.delete(grid, 1, axis=0)
    spread = max(
        others.mean(axis=1).std(ddof=1),
        images.grid("scratch", "new").mean(axis=1).std(ddof=1),
        grid[1].std(ddof=1) / np.sqrt(20),
    )
    distance = abs(runs[1] - others.mean()) / (spread * np.sqrt(1 + 1 / 2))
    row = only(made.frames.outliers, algorithm="maml", split="new")
    assert (row["seed"], row["distance"]) == (1, pytest.approx(distance))
    assert_is(row, on_logit(others.mean(), crossed_parts([(1, others)])), "others_low", "others_high", "others")
    assert_is(row, on_logit(grid.mean(), crossed_parts([(1, grid)])), center="mean")
    printed = made.row("outliers", algorithm="maml", split="new")
    assert numbers(printed["distance"]) == pytest.approx([distance], abs=0.051)


@pytest.mark.parametrize("algorithm", ["maml", "scratch"])
def test_divergence(waves, algorithm):
    """The mean with its interval, which is cut at an error of zero; the value of the robust statistics."""
    errors, losses = -waves.grid(algorithm, "square"), waves.grid(algorithm, "square", "query_loss")
    null = waves.episodes.query("split == 'square' and seed == 0 and algorithm == @algorithm and step == 1")
    null = null.drop_duplicates(["condition", "episode"])["null_loss"].mean()
    printed = waves.row("divergence", split="square", algorithm=algorithm)
    center, low, high = crossed([(1, errors)])
    assert_says(printed["mean"], center, max(low, 0), high, scale=1)
    assert numbers(printed["median"])[0] == pytest.approx(np.median(errors, axis=1).mean(), abs=0.0051)
    trimmed = stats.trim_mean(errors, 0.25, axis=1).mean()
    assert numbers(printed["interquartile mean"])[0] == pytest.approx(trimmed, abs=0.0051)
    bad = ~np.isfinite(losses) | (losses > 10 * null)
    assert printed["diverged"] == f"{100 * bad.mean():.1f}%"
    assert numbers(printed["mean of the others"])[0] == pytest.approx(errors[~bad].mean(), abs=0.0051)


@pytest.mark.parametrize(
    ("name", "of"), [("median", np.median), ("iqm", partial(stats.trim_mean, proportiontocut=0.25))]
)
def test_robust_scores(waves, name, of):
    """The variance of the episodes is resampled, here by other random numbers."""
    errors = -waves.grid("maml", "square")
    m, per_seed = errors.shape[1], of(errors, axis=1)
    draws = errors[:, np.random.default_rng(5).integers(m, size=(4000, m))]  # (S, R, M)
    shared = np.cov(of(draws, axis=2))[np.triu_indices(3, 1)].mean() * m / (m - 1)
    center, low, high = around(per_seed.mean(), [(per_seed.var(ddof=1) / 3, 2), (max(shared, 0), m - 1)])
    row = only(waves.frames.scores, algorithm="maml", split="square", condition="standard", statistic=name)
    assert -row["score"] == pytest.approx(center)
    assert (-row["high"], -row["low"]) == pytest.approx((max(low, 0), high), abs=0.1 * (high - low))
    assert numbers(waves.row(f"scores-{name}", algorithm="maml")["square"])[0] == pytest.approx(center, abs=0.0051)


def test_settings_and_provenance(images):
    settings = images.row("settings", algorithm="maml")
    assert "inner_lr 0.1" in settings["hyper-parameters"]
    assert settings["meta-training"] == "2 iterations of 2 tasks" and settings["inner steps at test"] == "1"
    assert images.row("settings", algorithm="scratch")["meta-training"] == "none"
    folders = {tuple(path.parts[-2:]) for path in images.folder.glob("tiny/*/*") if path.is_dir()}
    rows = images.tables["provenance"].frame
    assert {(one["algorithm"], f"{one['seed']}-{one['configuration']}") for _, one in rows.iterrows()} == folders
    assert rows["iterations"].tolist() == ["2"] * 3 + ["0"] * 3


def test_every_table_of_the_page_is_computed_again(images, waves):
    covered = {
        "scores", "leaders", "metrics", "gaps", "gaps-within", "intervals", "gap-intervals", "comparisons",
        "comparisons-all", "gap-comparisons", "published", "variance", "settings", "provenance",
        "environments",
    }  # fmt: skip
    robust = {f"scores-{statistic}" for statistic in ("mean", "median", "iqm")}
    assert set(images.tables) - {"outliers"} == covered
    assert set(waves.tables) <= covered | robust | {"divergence", "outliers"}
