"""The page from top to bottom: its sections, and the things in them, each of which is an object in a file of its own.

Plugins add theirs by entry points of the group `metagap.panels`; they stand at the end of their section.
"""

from __future__ import annotations

from metagap import registry
from metagap.report import along, responses, texts
from metagap.report.figures import (
    adaptation,
    exact,
    gap_comparisons,
    gaps,
    rollouts,
    samples,
    scores,
    slopes,
    training,
)
from metagap.report.figures import along as along_figures
from metagap.report.figures import responses as response_figures
from metagap.report.panels import Section, Shown
from metagap.report.tables import along as along_tables
from metagap.report.tables import (
    comparisons,
    divergence,
    failures,
    intervals,
    leaders,
    metrics,
    outliers,
    provenance,
    published,
    settings,
    variance,
)
from metagap.report.tables import exact as exact_tables
from metagap.report.tables import gaps as gap_tables
from metagap.report.tables import responses as response_tables
from metagap.report.tables import scores as score_tables

SECTIONS = (
    Section("findings", "Findings"),
    Section("scores", "Scores"),
    Section("published", "Published values"),
    Section("gaps", "Gaps"),
    Section("responses", "Dose and response"),
    Section("training", "Along training"),
    Section("exact", "Measured beside exact"),
    Section("rollouts", "What the policies do"),
    Section("curves", "Curves"),
    Section("comparisons", "Comparisons"),
    Section("samples", "Sample episodes"),
    Section("intervals", "Intervals"),
    Section("provenance", "Provenance"),
)

CONTENTS: tuple[Shown, ...] = (
    texts.FINDINGS,
    leaders.LEADERS,
    failures.FAILURES,
    outliers.OUTLIERS,
    texts.NOTES,
    scores.SCORES,
    score_tables.SCORES,
    *score_tables.OTHER_STATISTICS,
    metrics.METRICS,
    slopes.SLOPES,
    divergence.DIVERGENCE,
    divergence.SHARES,
    published.PUBLISHED,
    texts.DEVIATIONS,
    gaps.GAPS,
    gap_tables.GAPS,
    gaps.GAPS_WITHIN,
    gap_tables.GAPS_WITHIN,
    texts.FORMULAS,
    responses.FINDINGS,
    response_figures.RESPONSES,
    response_tables.AREAS,
    response_tables.HALVES,
    response_figures.IMAGES,
    response_tables.PAIRS,
    along.FINDINGS,
    along_figures.GAPS,
    along_tables.OPENINGS,
    along_figures.SCORES,
    along_tables.COSTS_OF_SELECTION,
    along_tables.SELECTED,
    along_figures.QUANTITIES,
    along_tables.QUANTITIES,
    along_tables.QUANTITIES_EVERYWHERE,
    exact.EXACT,
    exact_tables.EXACT,
    exact_tables.REGRET,
    exact_tables.BOUNDS,
    rollouts.ADAPTING,
    rollouts.COMPARED,
    adaptation.ADAPTATION,
    training.TRAINING,
    comparisons.COMPARISONS,
    gap_comparisons.GAP_COMPARISONS,
    comparisons.GAP_COMPARISONS,
    comparisons.COMPARISONS_ALL,
    samples.SAMPLES,
    texts.INTERVALS,
    intervals.INTERVALS,
    intervals.GAP_INTERVALS,
    variance.VARIANCE,
    texts.BUDGET,
    settings.SETTINGS,
    provenance.ENVIRONMENTS,
    provenance.PROVENANCE,
)


def page_contents() -> tuple[list[Shown], list[str]]:
    """`CONTENTS` and the plugins', and a sentence for each plugin that cannot be used."""
    return registry.objects("panel", Shown, CONTENTS)


def sections_of(contents: list[Shown]) -> list[Section]:
    """The sections that these things stand in: ours, and then those that plugins begin."""
    known = {section.name: section for section in SECTIONS}
    for shown in contents:
        if shown.section and shown.section not in known:
            words = shown.section.replace("-", " ")
            known[shown.section] = Section(shown.section, words[:1].upper() + words[1:])
    used = {shown.section for shown in contents}
    return [section for section in known.values() if section.name in used]
