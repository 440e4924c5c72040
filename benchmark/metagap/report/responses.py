"""The sentences above the responses: who loses least along each, and where half of it is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metagap.analysis.responses import Family
from metagap.report.frames import Frames
from metagap.report.panels import Phrase, Prose, Text
from metagap.report.table import row_id
from metagap.report.tables.responses import strength


def findings(frames: Frames) -> Prose | None:
    """A paragraph for each response; None without any."""
    table = frames.headline_rows(frames.responses.areas)
    trained = table["algorithm"] != frames.suite.reference_label  # who has learned little has little to lose
    table = table[trained] if trained.any() else table
    paragraphs = [
        [*_least(frames, family, rows), *_half(family, rows)]
        for family in frames.families
        if len(rows := table[(table["response"] == family.name) & np.isfinite(table["area"])])
    ]
    return Prose(paragraphs=paragraphs, style="verdict") if paragraphs else None


def _least(frames: Frames, family: Family, rows: pd.DataFrame) -> list[Phrase]:
    """Whose area is smallest, and than whose it is significantly smaller."""
    rows = rows[rows["remark"] == ""] if (rows["remark"] == "").any() else rows  # who knows nothing loses nothing
    least = rows.iloc[int(rows["area"].argmin())]
    name = least["algorithm"]
    value = frames.metric.gap(least["area"], least["low"], least["high"])
    strengths = f"{family.strengths[0]:g} to {family.strengths[-1]:g}".replace("-", "−")
    said = [
        Phrase(f"Along {family.name} ({strengths}), "),
        Phrase(str(name), strong=True),
        Phrase(" loses least on average: " if len(rows) > 1 else " loses on average "),
        Phrase(value, target=row_id("response-areas", family.name, strengths)),
        Phrase(f" {frames.metric.gap_unit}."),
    ]
    pairs = frames.headline_rows(frames.responses.pairs)
    pairs = pairs[(pairs["response"] == family.name) & ((pairs["a"] == name) | (pairs["b"] == name))]
    pairs = pairs[pairs["a"].isin(rows["algorithm"]) & pairs["b"].isin(rows["algorithm"])]
    if len(pairs) and pairs["family"].max():
        count = int((pairs["verdict"] == f"{name} smaller").sum())
        others = "the other one" if len(pairs) == 1 else f"{count} of the {len(pairs)} others"
        told = f"That is significantly less than {others}" if count else "It cannot be told"
        end = "." if count else " from the others."
        said += [Phrase(" "), Phrase(told, target="table-response-comparisons"), Phrase(end)]
    return said


def _half(family: Family, rows: pd.DataFrame) -> list[Phrase]:
    """Where half of what is better than guessing is lost: by whom first, and by how many not at all."""
    rows = rows[rows["remark"] == ""]
    lost = rows[np.isfinite(rows["half"])]
    if rows.empty:
        return []
    target, strongest = "table-response-halves", family.strengths[-1]
    if lost.empty:
        text = f"no half effect within the strengths tried, up to {strongest:g}".replace("-", "−")
        return [Phrase(" There is "), Phrase(text, target=target), Phrase(".")]
    first = lost.iloc[int((lost["half"] - family.neutral).abs().argmin())]
    at = strength(first["half"], strongest)
    kept = len(rows) - len(lost)
    more = f"; {kept} of {len(rows)} lose less than that within the strengths tried" if kept else ""
    said = Phrase(f"at {at} by {first['algorithm']}", target=target)
    return [Phrase(" Half of what is better than guessing is lost first "), said, Phrase(f"{more}.")]


FINDINGS = Text(name="response-findings", section="responses", write=findings)
