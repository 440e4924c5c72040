"""The tables of a suite that leaves one domain out: scores and gaps by domain, and the rules of selection."""

from __future__ import annotations

import pandas as pd

from metagap.analysis.domains import ORACLE, SCORE, Domains
from metagap.analysis.grids import AVERAGE
from metagap.report.table import Table
from metagap.text import MISSING, probability

AVERAGED = (
    "Average: computed seed by seed over the held-out domains, each with its own trainings; the crossed interval is of "
    "new training runs and new episodes of these very domains, that over episodes of these very runs."
)
OVER_DOMAINS = (
    "Domains like these: the same average with an interval over new domains, too, of which these are a sample."
)
RULES = (
    "Every run is scored at the same checkpoints, and a rule chooses one of them. Last: the last one. Training-domain: "
    "best on validation classes of the training domains. Leave-one-domain-out: of runs without this domain and without "
    "a second one, that which is best on the second one, on average over all second ones. Oracle: best on the "
    "held-out domain itself, chosen on every second episode and scored on the others, both ways. Cost: score of the "
    "oracle minus that of the rule, paired on runs and episodes. p: two-sided, corrected by Holm over all costs of the "
    "table; claims need three seeds."
)


def scores(found: Domains) -> Table | None:
    """The score on each held-out domain, by algorithm."""
    return _by_domain(found, SCORE, "scores", "Scores on the held-out domain", f"{found.metric.heading}. ")


def gaps(found: Domains) -> Table | None:
    """The domain gap to each held-out domain, by algorithm."""
    caption = (
        f"Score on unseen tasks of the training domains minus score on the held-out one, {found.metric.gap_unit}. "
    )
    return _by_domain(
        found, "domain gap", "gaps", "Domain gaps", f"{caption}Positive: the new domain costs something. "
    )


def _by_domain(found: Domains, what: str, name: str, title: str, caption: str) -> Table | None:
    table = found.scores[found.scores["what"] == what]
    if table.empty:
        return None
    text = found.metric.score if what == SCORE else found.metric.gap
    rows = []
    for held_out in [*found.domains, AVERAGE]:
        part = table[table["held_out"] == held_out].to_dict("records")
        cells = {one["algorithm"]: text(one["value"], one["low"], one["high"]) for one in part}
        rows.append({"held out": held_out} | {one: cells.get(one, MISSING) for one in found.algorithms})
        if held_out == AVERAGE and what == SCORE:
            cells = {one["algorithm"]: text(one["value"], one["domains_low"], one["domains_high"]) for one in part}
            rows.append({"held out": "domains like these"} | {one: cells.get(one, MISSING) for one in found.algorithms})
    return Table(
        name=name,
        title=title,
        caption=f"{caption}{_with_interval(table)}",
        frame=pd.DataFrame(rows),
        computed=f"{AVERAGED} {OVER_DOMAINS}" if what == SCORE else AVERAGED,
    )


def rules(found: Domains) -> Table | None:
    """What each rule of selection scores on the held-out domains, on average, and which iterations it chose."""
    if found.rules.empty:
        return None
    rows = []
    for row in found.rules.to_dict("records"):
        is_oracle = row["rule"] == ORACLE
        rows.append(
            {
                "algorithm": row["algorithm"],
                "selected by": row["rule"],
                "score": found.metric.score(row["score"], row["low"], row["high"]),
                "cost": MISSING if is_oracle else found.metric.gap(row["cost"], row["cost_low"], row["cost_high"]),
                "p (Holm)": MISSING if is_oracle else probability(row["p_holm"]),
                "verdict": row["verdict"] or MISSING,
                "iteration": MISSING if is_oracle else _range(row),
            }
        )
    episodes = int(found.rules["n_episodes"].min())
    return Table(
        name="rules",
        title="Rules of selection",
        caption=f"{found.metric.heading} on the held-out domain at the selected iteration, averaged over "
        f"{int(found.rules['domains'].max())} domains, {episodes:,} episodes of each. {_with_interval(found.rules)} "
        "Iteration: the median over domains and runs, and the least and the greatest.",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"verdict"}),
        computed=RULES,
    )


def _with_interval(table: pd.DataFrame) -> str:
    """What the numbers of a table are, and which intervals they have."""
    kinds = " or ".join(dict.fromkeys(table["interval"]))
    return f"Mean over seeds, with the 95% interval: {kinds}."


def _range(row: dict) -> str:
    least, greatest = int(row["least_iteration"]), int(row["greatest_iteration"])
    return f"{row['iteration']:,.0f}" + (f" ({least:,} to {greatest:,})" if least < greatest else "")
