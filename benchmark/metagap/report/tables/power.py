"""Which differences can be found, and what more seeds or more episodes would buy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from metagap.analysis.grids import AVERAGE
from metagap.analysis.intervals import CLAIMS_FROM
from metagap.analysis.power import Power
from metagap.metrics import Metric
from metagap.report.table import Table
from metagap.text import MISSING, number


def of_power(found: Power, metric: Metric) -> list[Table]:
    """The pairs, and for a single one the grid of seeds and episodes."""
    first = found.pairs.iloc[0]
    family = int(first["family"])
    asked = f"{_plain(first['asked'], metric)} {metric.gap_unit}"
    split = "on average over the cross-domain splits" if first["split"] == AVERAGE else f"on {first['split']}"
    corrected = f"corrected: at p < {first['alpha_holm']:.2g}, the first step of Holm's correction over the {family} "
    corrected += "comparisons of the page, the worst case" if family > 1 else "comparison of the page"
    pairs = Table(
        name="power",
        title="Differences that can be found",
        caption=f"{metric.heading}, {split}. Detectable: the difference in {metric.gap_unit} that the paired test "
        f"finds in {_percent(first['target'])} of repetitions with the seeds and episodes there are, at p < "
        f"{first['alpha']:.2g}, and {corrected}. Power: how often it finds one of {asked}; seeds or episodes needed: "
        f"for that to be {_percent(first['target'])}, with as many of the other as there are (∞: no number is enough). "
        "In square brackets: at the 5% and 95% bounds of the variance between training runs.",
        frame=pd.DataFrame([_pair(row, metric) for row in found.pairs.to_dict("records")]),
    )
    if found.grid.empty:
        return [pairs]
    rows = []
    for seeds, part in found.grid.groupby("seeds"):
        row = {"seeds": str(seeds)}
        for one in part.to_dict("records"):
            row[f"{one['n_episodes']:,}"] = f"{_percent(one['power'])} ({_percent(one['power_holm'])})"
        rows.append(row)
    grid = Table(
        name="power-grid",
        title=f"Power by seeds and episodes, for a difference of {asked}",
        caption="Rows: seeds. Columns: episodes of each split. In how many repetitions the difference is found, in "
        "brackets corrected.",
        frame=pd.DataFrame(rows),
    )
    return [pairs, grid]


def advice(found: Power, metric: Metric) -> list[str]:
    """For a single pair, what to buy: a sentence for the test alone and one for the corrected one."""
    row = found.pairs.iloc[0].to_dict()
    pair = f"{row['a']} and {row['b']}"
    if math.isnan(row["power"]):
        return [f"Nothing can be said of {pair}: their differences are not finite, or the same on every episode."]
    alone = _advice(row, "", f"A difference of {_plain(row['asked'], metric)} {metric.gap_unit} between {pair}", metric)
    if row["family"] == 1:
        return [alone]
    return [alone, _advice(row, "_holm", f"As one of {row['family']} comparisons, at the strictest, it", metric)]


def _advice(row: Mapping[Any, Any], level: str, subject: str, metric: Metric) -> str:
    seeds, episodes = int(row["seeds"]), f"{int(row['n_episodes']):,}"
    target = _percent(row["target"])
    needs = f"{subject} is found with a probability of {_range(row, f'power{level}', _percent)} now"
    more_seeds = _range(row, f"seeds_needed{level}", _seeds)
    more_episodes = _range(row, f"episodes_needed{level}", _episodes)
    if row[f"buy{level}"] == "nothing":
        return f"{needs}, so that the {seeds} seeds and {episodes} episodes are enough for {target}."
    bought = {
        "seeds": f"buy seeds: {more_seeds} with these {episodes} episodes give {target}, while no number of episodes "
        f"with {seeds} seeds does{_unless(row, f'episodes_needed{level}', _episodes)}",
        "episodes": f"buy episodes: {more_episodes} with these {seeds} seeds give {target}, while no number of seeds "
        f"with {episodes} episodes does{_unless(row, f'seeds_needed{level}', _seeds)}",
        "either": f"buy seeds or episodes, whichever is cheaper: {more_seeds} seeds with these {episodes} episodes, or "
        f"{more_episodes} episodes with these {seeds} seeds, give {target}",
        "both": f"buy both: neither more seeds with these {episodes} episodes nor more episodes with these {seeds} "
        f"seeds give {target}",
    }[row[f"buy{level}"]]
    few = f" Nothing is claimed from fewer than {CLAIMS_FROM} seeds." if seeds < CLAIMS_FROM else ""
    return f"{needs}; {bought}.{few}"


def _pair(row: Mapping[Any, Any], metric: Metric) -> dict[str, str]:
    both = f"{_plain(row['detectable'], metric)} ({_plain(row['detectable_holm'], metric)})"
    known = not math.isnan(row["power"])
    return {
        "pair": f"{row['a']} − {row['b']}",
        "seeds": str(row["seeds"]),
        "episodes": f"{row['n_episodes']:,}",
        "difference": metric.gap(row["difference"]),
        "detectable (corrected)": both if known and not math.isnan(row["detectable"]) else MISSING,
        "power": _range(row, "power", _percent) if known else MISSING,
        "seeds needed": _range(row, "seeds_needed", _seeds) if known else MISSING,
        "episodes needed": _range(row, "episodes_needed", _episodes) if known else MISSING,
    }


def _range(row: Mapping[Any, Any], name: str, text: Callable[[float], str]) -> str:
    """A value and, in brackets, its ends where they are written differently."""
    value, low, high = (text(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return value if value == low == high else f"{value} [{low} to {high}]"


def _unless(row: Mapping[Any, Any], name: str, text: Callable[[float], str]) -> str:
    """Where no number is enough: the one that would be, if training runs varied as little as they may."""
    least = row[f"{name}_low"]
    return f" (or {text(least)}, if training runs vary as little as they may)" if math.isfinite(least) else ""


def _plain(difference: float, metric: Metric) -> str:
    """A difference of scores, printed without its sign."""
    return number(difference * metric.gap_scale, max(1, metric.decimals))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _seeds(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "∞"


def _episodes(value: float) -> str:
    """Rounded up to two digits."""
    if not math.isfinite(value):
        return "∞"
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / unit) * unit:,}"
