"""The paragraphs at the top of the page: who generalizes best, whose gap is smallest, and what cannot be told.

Claims rest on the corrected comparisons of the page alone. Each number links to the row that it stands in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.comparisons import CANNOT_TELL, TOO_SMALL
from metagap.analysis.gaps import DOMAIN_GAP
from metagap.analysis.grids import AVERAGE
from metagap.analysis.intervals import CLAIMS_FROM
from metagap.report.frames import Frames, interval_words
from metagap.report.panels import Phrase
from metagap.report.table import row_id

ENOUGH = 5
"""Seeds from which on a correction for a page is within reach."""
NAMED = 3
"""The most algorithms, pairs or splits that a sentence names; beyond that it counts them."""

Paragraph = list[Phrase]


def verdict(frames: Frames) -> list[Paragraph]:
    """Paragraphs of phrases, each made from the numbers; empty where the suite has no test split."""
    paragraphs = [
        [*_cross_domain(frames), *_single_domains(frames)],
        _in_distribution(frames),
        _smallest_gap(frames),
        _cannot_tell(frames),
        [*_intervals(frames), *_caveats(frames)],
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def plain(paragraphs: list[Paragraph]) -> str:
    """The same as text."""
    return "\n".join("".join(phrase.text for phrase in paragraph).strip() for paragraph in paragraphs)


# Who generalizes best.


def _cross_domain(frames: Frames) -> Paragraph:
    domains = frames.role("cross-domain")
    if not domains:
        return []
    where = "In new domains" if len(domains) == 1 else f"On average over {len(domains)} new domains"
    return _best(frames, "away", where, AVERAGE if len(domains) > 1 else domains[0])


def _in_distribution(frames: Frames) -> Paragraph:
    home = frames.role("in-distribution")[:1]
    return _best(frames, "home", "On new tasks of the training domain", home[0]) if home else []


def _best(frames: Frames, side: str, where: str, split: str) -> Paragraph:
    """The best of a side of the leader table, and which algorithms it is significantly better than."""
    best = _leader(frames, side)
    if best is None:
        return []
    name = best["algorithm"]
    pairs = frames.headline_pairs()
    found = _against(pairs[pairs["split"] == split], name, "better")
    value = Phrase(_text(frames, best, side), True, row_id("leaders", name))
    opening = [Phrase(f"{where}, "), Phrase(name, True)]
    if len(frames.algorithms) < 2:
        return [*opening, Phrase(f" has this {_label(frames)}: "), value, Phrase(".")]
    if found is not None and found.is_alone:
        label, more = _label(frames), "higher" if frames.metric.higher_is_better else "lower"
        than = found.clear[0] if len(found.clear) == 1 else "every other algorithm"
        told = Phrase(f"is significantly {more} than that of {than}", target=_target("comparisons", found))
        return [*opening, Phrase(f" generalizes best: its {label} of "), value, Phrase(" "), told, Phrase(".")]
    said = _said(_sentence(found, "better"), _target("comparisons", found))
    return [*opening, Phrase(f" has the {_most(frames)} {_label(frames)}: "), value, Phrase("."), *said]


def _single_domains(frames: Frames) -> Paragraph:
    """The best on each of several domains."""
    domains, table = frames.role("cross-domain"), frames.headline_scores()
    table = table[np.isfinite(table["score"])]
    winners = {
        str(split): part.iloc[int(part["score"].argmax())]["algorithm"]
        for split, part in table[table["split"].isin(domains)].groupby("split", sort=False)
    }
    overall = _leader(frames, "away")
    if len(winners) < 2 or overall is None or len(frames.algorithms) < 2:
        return []
    others = {split: name for split, name in winners.items() if name != overall["algorithm"]}
    of = "both" if len(winners) == 2 else f"all {len(winners)}"
    if not others:
        return _said(f"It is the {_most(frames)} on {of} of them.", "table-scores")
    if len(others) > NAMED:
        return _said(f"On {len(others)} of them another one is the {_most(frames)}.", "table-scores")
    parts = _listed([f"{name} on {frames.split_label(split)}" for split, name in others.items()])
    return _said(f"The {_most(frames)} of a single domain is that of {parts}.", "table-scores")


# Whose gap is smallest.


def _smallest_gap(frames: Frames) -> Paragraph:
    """The smallest domain gap, and that of the algorithm that is best in new domains."""
    table, best = frames.headline_leaders(), _leader(frames, "away")
    table = table[np.isfinite(table["gap"])]
    if table.empty or best is None:
        return []
    if len(table) == 1:
        return [Phrase(f"The {DOMAIN_GAP.name} of {table.iloc[0]['algorithm']} is "), *_gap(frames, table.iloc[0])]
    smallest = table.iloc[int(table["gap"].argmin())]
    pairs = frames.headline_gap_pairs()
    found = _against(pairs[pairs["gap"] == DOMAIN_GAP.name], smallest["algorithm"], "smaller")
    phrases = [
        Phrase(smallest["algorithm"], True),
        Phrase(f" has the smallest {DOMAIN_GAP.name}: "),
        *_gap(frames, smallest),
        *_said(_sentence(found, "smaller"), _target("gap-comparisons", found)),
    ]
    if best["algorithm"] != smallest["algorithm"] and math.isfinite(best["gap"]):
        score, name = _text(frames, smallest, "away"), best["algorithm"]
        phrases += [
            Phrase(" A small gap alone is no merit: in new domains its "),
            Phrase(f"{frames.metric.label} is {score}", target=row_id("leaders", smallest["algorithm"])),
            Phrase(f". The gap of {name}, the best there, is "),
            *_gap(frames, best),
        ]
    return phrases


def _gap(frames: Frames, leader: pd.Series) -> Paragraph:
    """The gap of a row of the leader table, over these domains and over domains like them, to the end of a sentence."""
    domains, name = frames.role("cross-domain"), leader["algorithm"]
    value = Phrase(_text(frames, leader, "gap"), True, row_id("leaders", name))
    unit = frames.metric.gap_unit if frames.metric.unit else f"in {frames.metric.gap_unit}"
    if len(domains) == 1:
        return [value, Phrase(f" {unit}, to {frames.split_label(domains[0])} alone.")]
    gaps = frames.headline_gaps()
    row = gaps[(gaps["gap"] == DOMAIN_GAP.name) & (gaps["split"] == AVERAGE) & (gaps["algorithm"] == name)].iloc[0]
    wide = frames.metric.gap(row["value"], row["domains_low"], row["domains_high"]).removeprefix("+")
    link = row_id("gap-intervals", DOMAIN_GAP.name, AVERAGE, name)
    return [
        value,
        Phrase(f" {unit} on average over these {len(domains)} domains ("),
        Phrase(f"{wide} over domains like them", target=link),
        Phrase(")."),
    ]


# What cannot be told.


def _cannot_tell(frames: Frames) -> Paragraph:
    """The pairs that were tested and do not differ significantly."""
    domains, home = frames.role("cross-domain"), frames.role("in-distribution")[:1]
    away = AVERAGE if len(domains) > 1 else next(iter(domains), "")
    scores, gaps = frames.headline_pairs(), frames.headline_gap_pairs()
    asked = (
        ("in new domains", scores[scores["split"] == away], "table-comparisons"),
        ("on new tasks of the training domain", scores[scores["split"].isin(home)], "table-comparisons"),
        (f"by their {DOMAIN_GAP.name}", gaps[gaps["gap"] == DOMAIN_GAP.name], "table-gap-comparisons"),
    )
    phrases: Paragraph = []
    for where, rows, target in asked:
        rows = rows[rows["seeds"] >= CLAIMS_FROM]
        pairs = [
            f"{a} and {b}" for a, b, said in rows[["a", "b", "verdict"]].itertuples(index=False) if said == CANNOT_TELL
        ]
        if pairs:
            few = pairs[0] if len(pairs) == 1 else f"{len(pairs)} of {len(rows)} pairs"
            what = "any two algorithms" if 1 < len(pairs) == len(rows) else few
            phrases += [Phrase("; " if phrases else ""), Phrase(f"{what} {where}", target=target)]
    return [Phrase("Cannot be told apart: "), *phrases, Phrase(f".{_few_seeds(frames)}")] if phrases else []


def _few_seeds(frames: Frames) -> str:
    """That a few seeds show large differences only, where many hypotheses are corrected for."""
    pairs = frames.headline_pairs()
    count = int(pairs["family"].max()) if len(pairs) else 0
    if count < 20 or pairs["seeds"].max() >= ENOUGH:
        return ""
    return (
        f" Corrected for {count} comparisons, a difference has to reach p < {0.05 / count:.1g} to be significant, "
        f"which {frames.seed_words} can hardly give, however large it is; “metagap power” says how many it takes."
    )


def _intervals(frames: Frames) -> Paragraph:
    """What the numbers above mean."""
    rows = frames.headline_scores()
    rows = rows[rows["role"].isin(("in-distribution", "cross-domain"))]
    return [Phrase(f"With each number stands its 95% {interval_words(rows)}.")] if len(rows) else []


def _caveats(frames: Frames) -> Paragraph:
    sentences = []
    seeds = frames.headline_scores().groupby("algorithm", sort=False)["seeds"].max()
    few = seeds[seeds < CLAIMS_FROM]
    if (seeds == 1).all():
        nothing = ", and nothing is claimed about which algorithm is better" if len(seeds) > 1 else ""
        sentences.append(
            f"One seed was run: the intervals are about new episodes, not about new training runs{nothing}."
        )
    elif len(few) == len(seeds):
        sentences.append(f"At most two seeds were run: the intervals are very wide, and claims need {CLAIMS_FROM}.")
    elif len(few):
        names = _listed(list(few.index)) if len(few) <= NAMED else f"{len(few)} algorithms"
        verb = "has" if len(few) == 1 else "have"
        sentences.append(f"Nothing is claimed about {names}, which {verb} fewer than {CLAIMS_FROM} seeds.")
    if missing := frames.without_results():
        names = _listed([f"{count} of {name}" for name, count in missing.items()]) if len(missing) <= NAMED else ""
        many = sum(missing.values())
        sentences.append(
            f"{many} cell{'s' * (many > 1)} failed{f' ({names})' * bool(names)} and {'are' if many > 1 else 'is'} not "
            "in these numbers, which may flatter an algorithm that fails where it would be bad."
        )
    rows = frames.headline_scores()
    rows = rows[rows["diverged"] > 0]
    if len(rows):
        worst = rows.iloc[int(rows["diverged"].argmax())]
        sentences.append(
            f"Some adaptations diverged, at most {100 * worst['diverged']:.1f}% of the episodes "
            f"({worst['algorithm']} on {frames.split_label(worst['split'])}); none is left out."
        )
    return [Phrase(f" {sentence}") for sentence in sentences]


# What the sentences are made of.


def _said(sentence: str, target: str) -> Paragraph:
    """A further sentence that links to where it is from; nothing where there is none."""
    return [Phrase(" "), Phrase(sentence, target=target)] if sentence else []


class Against(NamedTuple):
    """What is significant about an algorithm: the others that it is better than, not better than, better by too little.

    pairs: that were tested, as they stand in the tables.
    """

    clear: list[str]
    others: list[str]
    small: list[str]
    pairs: list[tuple[str, ...]]

    @property
    def is_alone(self) -> bool:
        """Whether it is better than all others."""
        return bool(self.clear) and not self.others and not self.small


def _against(pairs: pd.DataFrame, name: str, word: str) -> Against | None:
    """What the corrected comparisons say of an algorithm; None where nothing about it was tested."""
    found = Against([], [], [], [])
    tested = pairs[((pairs["a"] == name) | (pairs["b"] == name)) & (pairs["seeds"] >= CLAIMS_FROM)]
    for row in tested.to_dict("records"):
        other = row["b"] if row["a"] == name else row["a"]
        kind = {f"{name} {word}": found.clear, TOO_SMALL: found.small}.get(row["verdict"], found.others)
        kind.append(other)
        found.pairs.append((row["a"], row["b"]))
    return None if tested.empty else found


def _target(table: str, found: Against | None) -> str:
    """The row of the only pair, or the whole table."""
    only = found is not None and len(found.pairs) == 1 and table == "comparisons"
    return row_id(table, *found.pairs[0]) if found is not None and only else f"table-{table}"


def _sentence(found: Against | None, word: str) -> str:
    """Which others it is significantly better (or smaller) than."""
    if found is None:
        return ""
    of = "that of " if word == "smaller" else ""
    said = []
    if found.clear and not found.others:
        all_others = "every other algorithm" if not found.small and len(found.clear) > 1 else _some(found.clear, "and")
        said.append(f"It is significantly {word} than {of}{all_others}.")
    elif found.clear:
        than, not_than = _some(found.clear, "and"), _some(found.others, "or")
        said.append(f"It is significantly {word} than {of}{than}, but not than {of}{not_than}.")
    elif found.others:
        others = f"any of the {len(found.others)} others" if len(found.others) > NAMED else _listed(found.others, "or")
        said.append(f"It is not significantly {word} than {of}{others}.")
    if found.small:
        said.append(f"Than {_some(found.small, 'and')} it is {word} by too little to be meaningful.")
    return " ".join(said)


def _some(names: list[str], word: str) -> str:
    return f"{len(names)} others" if len(names) > NAMED else _listed(names, word)


def _leader(frames: Frames, side: str) -> pd.Series | None:
    """The row of the leader table with the best score of a side ("home" or "away")."""
    table = frames.headline_leaders()
    table = table[np.isfinite(table[side])]
    return None if table.empty else table.iloc[int(table[side].argmax())]


def _text(frames: Frames, row: Mapping[str, Any] | pd.Series, side: str) -> str:
    """A number of the leader table with its interval."""
    values = [row[side + end] for end in ("", "_low", "_high")]
    if side == "gap":
        return frames.metric.gap(*values)
    text = frames.metric.score(*values)
    number, _, ends = text.partition(" [")
    return text if frames.metric.unit != "%" else f"{number}% [{ends}" if ends else f"{text}%"


def _most(frames: Frames) -> str:
    return "highest" if frames.metric.better == "higher" else "lowest"


def _label(frames: Frames) -> str:
    return f"{frames.metric.label}{f' ({frames.statistic_name})' if frames.is_robust else ''}"


def _listed(parts: list[str], word: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
