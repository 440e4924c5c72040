"""The paragraph at the top of the page: who is best, what new domains cost, and what is significant."""

from __future__ import annotations

import math

import pandas as pd

from metagap.analysis.gaps import DOMAIN_GAP
from metagap.analysis.grids import AVERAGE
from metagap.report.frames import Frames
from metagap.report.panels import Phrase

NAMED = 5
"""The most algorithms that a sentence names; beyond that it counts them."""


def verdict(frames: Frames) -> list[list[Phrase]]:
    """Paragraphs of phrases, each made from the numbers; empty where the suite has no test split."""
    paragraphs = [_in_distribution(frames), _cross_domain(frames), _caveats(frames)]
    return [paragraph for paragraph in paragraphs if paragraph]


def plain(paragraphs: list[list[Phrase]]) -> str:
    """The same as text."""
    return "\n".join("".join(text for text, _ in paragraph) for paragraph in paragraphs)


def _in_distribution(frames: Frames) -> list[Phrase]:
    split = next(iter(frames.role("in-distribution")), "")
    best = _best(frames, split) if split else None
    if best is None:
        return []
    return [
        (f"On new tasks of the training domain ({frames.split_label(split)}), ", False),
        (best["algorithm"], True),
        (f" has the {_extreme(frames)}: ", False),
        (_score(frames, best), True),
        (f" ({frames.interval}). ", False),
        (_better_than(frames, split, best["algorithm"]), False),
    ]


def _cross_domain(frames: Frames) -> list[Phrase]:
    domains = frames.role("cross-domain")
    winners = {split: best for split in domains if (best := _best(frames, split)) is not None}
    if not winners:
        return []
    names = list(dict.fromkeys(best["algorithm"] for best in winners.values()))
    phrases: list[Phrase] = [("In new domains, ", False)]
    if len(names) == 1:
        where = "both" if len(winners) == 2 else f"all {len(winners)}"
        scope = f"on {where} of the cross-domain splits" if len(winners) > 1 else "on the one cross-domain split"
        phrases += [(names[0], True), (f" has the {_extreme(frames)} {scope}: ", False)]
        phrases.append((_listed([f"{frames.split_label(s)} {_score(frames, b)}" for s, b in winners.items()]), False))
    else:
        parts = [f"{b['algorithm']} on {frames.split_label(s)} ({_score(frames, b)})" for s, b in winners.items()]
        phrases.append((f"the {_extreme(frames)} is that of {_listed(parts)}", False))
    clear = [s for s, b in winners.items() if _split_pairs(frames, s, b["algorithm"])[1] == []]
    if len(frames.algorithms) > 1:
        count = "none" if not clear else "each" if len(clear) == len(winners) else f"{len(clear)}"
        of = f"On {count} of the {len(winners)}" if len(winners) > 1 else ("There" if clear else "Not even there")
        is_best = "the best is" if clear else "is the best"
        phrases.append((f". {of} {is_best} significantly better than every other algorithm. ", False))
    else:
        phrases.append((". ", False))
    return phrases + _domain_gap(frames, names)


def _domain_gap(frames: Frames, names: list[str]) -> list[Phrase]:
    """The domain gap of the algorithm that is best in distribution, from where the gap is measured."""
    gaps = frames.headline_gaps().set_index(["gap", "split", "algorithm"])
    gaps = gaps[gaps.index.get_level_values("gap") == DOMAIN_GAP.name]
    phrases: list[Phrase] = []
    home = [_best(frames, split) for split in frames.role("in-distribution")[:1]]
    for name in [row["algorithm"] for row in home if row is not None] or names[:1]:
        rows = gaps[gaps.index.get_level_values("algorithm") == name]
        average = [key for key in rows.index if key[1] == AVERAGE] or list(rows.index)
        if not average:
            return []
        row = rows.loc[average[0]]
        value = frames.metric.gap(row["value"], row["low"], row["high"]).removeprefix("+")
        unit = frames.metric.gap_unit if frames.metric.unit else f"in {frames.metric.gap_unit}"
        mean = ", averaged over the domains," if len(frames.role("cross-domain")) > 1 else ""
        phrases += [(f"The {DOMAIN_GAP.name} of {name}{mean} is ", False), (f"{value} {unit}", True)]
        phrases.append((". ", False))
    return [*phrases, (_whose_gap_is_smaller(frames), False)]


def _whose_gap_is_smaller(frames: Frames) -> str:
    """The domain gaps of the pairs that differ significantly."""
    rows = frames.headline_gap_pairs()
    rows = rows[rows["gap"] == DOMAIN_GAP.name]
    if rows.empty or not rows["family"].max():
        return ""
    claimed = rows[rows["verdict"].str.endswith(" smaller")]
    if claimed.empty:
        return f"No two {DOMAIN_GAP.name}s differ significantly."
    parts = []
    for row in claimed.sort_values("p_holm", kind="stable").to_dict("records"):
        sign = 1 if row["difference"] < 0 else -1  # what the first loses less
        winner, other = (row["a"], row["b"]) if sign > 0 else (row["b"], row["a"])
        ends = sorted((-sign * row["low"], -sign * row["high"]))
        value = frames.metric.gap(-sign * row["difference"], *ends).removeprefix("+")
        parts.append(f"{winner} loses {value} fewer {frames.metric.gap_unit} than {other} (p = {row['p_holm']:.2g})")
    more = f" and {len(parts) - NAMED} more pairs" if len(parts) > NAMED else ""
    return f"To new domains, {_listed(parts[:NAMED])}{more}."


def _caveats(frames: Frames) -> list[Phrase]:
    sentences = []
    if frames.seeds == 1:
        sentences.append("One seed was run: the intervals are about new episodes, not about new training runs.")
    elif frames.seeds == 2:
        sentences.append("Two seeds were run: the intervals are very wide, and claims need at least three.")
    sentences += _few_seeds(frames)
    rows = frames.headline_scores()
    rows = rows[rows["diverged"] > 0]
    if len(rows):
        worst = rows.iloc[int(rows["diverged"].argmax())]
        sentences.append(
            f"Some adaptations diverged, at most {100 * worst['diverged']:.1f}% of the episodes "
            f"({worst['algorithm']} on {frames.split_label(worst['split'])}); none is left out."
        )
    return [(" ".join(sentences), False)] if sentences else []


def _few_seeds(frames: Frames) -> list[str]:
    """That many pairs corrected for are out of reach of a few seeds, where they were."""
    pairs = frames.headline_pairs()
    count = int(pairs["family"].max()) if len(pairs) else 0
    if count < 20 or pairs["verdict"].str.contains("better").any():
        return []
    return [
        f"Corrected for {count} comparisons, a difference has to reach p < {0.05 / count:.1g} to be significant, which "
        f"{frames.seeds} seeds can hardly give: take more seeds or fewer algorithms."
    ]


def _best(frames: Frames, split: str) -> pd.Series | None:
    table = frames.headline_scores()
    table = table[(table["split"] == split) & table["score"].map(math.isfinite)]
    return None if table.empty else table.iloc[int(table["score"].argmax())]


def _score(frames: Frames, row: pd.Series) -> str:
    text = frames.metric.score(row["score"], row["low"], row["high"])
    return f"{text}{'%' if frames.metric.unit == '%' and '[' not in text else ''}"


def _extreme(frames: Frames) -> str:
    most = "highest" if frames.metric.better == "higher" else "lowest"
    return f"{most} {frames.metric.label}{f' ({frames.statistic_name})' if frames.is_robust else ''}"


def _split_pairs(frames: Frames, split: str, best: str) -> tuple[list[str], list[str]]:
    """The algorithms that `best` is significantly better than on a split, and those that it is not."""
    better: list[str] = []
    others: list[str] = []
    pairs = frames.headline_pairs()
    for _, row in pairs[(pairs["split"] == split) & ((pairs["a"] == best) | (pairs["b"] == best))].iterrows():
        other = row["b"] if row["a"] == best else row["a"]
        (better if row["verdict"] == f"{best} better" else others).append(other)
    return better, others


def _better_than(frames: Frames, split: str, best: str) -> str:
    better, others = _split_pairs(frames, split, best)
    if not better and not others:
        return ""
    if not others:
        return "It is significantly better than every other algorithm."
    if not better:
        names = f"any of the {len(others)} others" if len(others) > NAMED else _listed(others, "or")
        return f"It is not significantly better than {names}."
    first, second = (
        f"{len(names)} others" if len(names) > NAMED else _listed(names, word)
        for names, word in ((better, "and"), (others, "or"))
    )
    return f"It is significantly better than {first}, but not than {second}."


def _listed(parts: list[str], word: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
