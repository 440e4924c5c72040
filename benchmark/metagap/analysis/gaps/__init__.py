"""What an algorithm loses on the way from its training tasks to new tasks and to new domains.

Every kind of gap is one `GapKind` in the list `GAPS`; plugins add theirs by entry points of the group `metagap.gaps`. A
gap is a contrast of scores (more is better), computed per seed first. Only splits with the ways and shots of the
suite's own task count, except for shifts. Where several splits have a role, the first meta-train and the first
in-distribution split are the headline ones that gaps are taken from.
"""

from metagap.analysis.gaps.adjusted import ADJUSTED
from metagap.analysis.gaps.between import DOMAIN_GAP, TASK_GAP
from metagap.analysis.gaps.builtin import GAPS, gap_kinds
from metagap.analysis.gaps.kind import (
    Contrast,
    GapKind,
    between,
    weighted,
    weighted_difference,
    what_positive_means,
    within,
)
from metagap.analysis.gaps.table import COLUMNS, gap_table

__all__ = [
    "ADJUSTED",
    "COLUMNS",
    "DOMAIN_GAP",
    "GAPS",
    "TASK_GAP",
    "Contrast",
    "GapKind",
    "between",
    "gap_kinds",
    "gap_table",
    "weighted",
    "weighted_difference",
    "what_positive_means",
    "within",
]
