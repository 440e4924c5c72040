"""The leader table: every algorithm at home, away and on the way, the best first."""

from __future__ import annotations

import pandas as pd

from metagap.analysis.gaps import DOMAIN_GAP
from metagap.report.computed import bounds_words, interval_computed, joined, statistic_words
from metagap.report.frames import Frames, interval_words
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def leaders(frames: Frames) -> Table | None:
    """In-distribution, mean cross-domain, domain gap and rank group, the best algorithm first; None without splits."""
    metric, table = frames.metric, frames.headline_leaders()
    home, domains = frames.role("in-distribution")[:1], frames.role("cross-domain")
    if not home and not domains:
        return None
    away = "mean cross-domain" if len(domains) > 1 else "cross-domain"
    columns = {"in-distribution": ("home", metric.score), away: ("away", metric.score)}
    columns[DOMAIN_GAP.name] = ("gap", metric.gap)
    rows = [
        {"algorithm": row["algorithm"]}
        | {
            name: text(*(row[side + end] for end in ("", "_low", "_high")))
            for name, (side, text) in columns.items()
            if table[side].notna().any()
        }
        | ({"rank group": row["group"] or MISSING} if table["group"].any() else {})
        for row in table.to_dict("records")
    ]
    if missing := frames.without_results():
        done = frames.cells["algorithm"].value_counts().to_dict()
        rows += [{"algorithm": name} for name in missing if name not in done]
        for row in rows:
            count = done.get(row["algorithm"], 0)
            row["seeds"] = f"{count} of {count + missing.get(row['algorithm'], 0)}"
    key = away if domains else "in-distribution"
    statistic = f", {frames.statistic_name} over the episodes," if frames.is_robust else ","
    caption = f"{metric.heading}{statistic} with the 95% {interval_words(_rows(frames))}"
    caption += f"; {DOMAIN_GAP.name} in {metric.gap_unit}. " if home and domains else ". "
    caption += f"In-distribution: {frames.split_label(home[0])}. " if home else ""
    caption += f"Cross-domain: {_listed([frames.split_label(name) for name in domains])}. " if domains else ""
    if len(rows) > 1:
        caption += f"Sorted by {key}. "
    if table["group"].any():
        caption += "Rank group: algorithms that share a letter are not significantly different there. "
    caption += "Seeds: those with results, of all that were run; the others failed. " if missing else ""
    frame = pd.DataFrame(rows).fillna(MISSING)
    return Table("leaders", caption.strip(), frame, plain=frozenset({"rank group"}))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean over {', '.join(names[:-1])} and {names[-1]}"


def _rows(frames: Frames) -> pd.DataFrame:
    """The scores that the table is made of."""
    scores = frames.headline_scores()
    return scores[scores["split"].isin([*frames.role("in-distribution")[:1], *frames.role("cross-domain")])]


def computed(frames: Frames) -> str:
    """How the numbers come about."""
    several = len(frames.role("cross-domain")) > 1
    return joined(
        statistic_words(frames),
        "The cross-domain mean and its gap are contrasts of all splits involved, computed run by run."
        if several
        else "",
        interval_computed(_rows(frames)),
        "A mean and a gap have the part of the episodes once for each split involved." if several else "",
        bounds_words(frames),
        "The rank groups are a compact letter display of the paired comparisons (Piepho 2004): two share a letter "
        f"where neither is significantly better. {frames.correction}"
        if len(frames.headline_pairs())
        else "",
    )


LEADERS = TableKind(name="leaders", section="findings", make=leaders, computed=computed)
