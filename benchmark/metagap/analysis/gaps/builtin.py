"""The list of the gaps, in the order in which tables and figures show them."""

from metagap import registry
from metagap.analysis.gaps.adjusted import ADJUSTED_DOMAIN_GAP, ADJUSTED_TASK_GAP
from metagap.analysis.gaps.between import (
    DOMAIN_ERROR_RATIO,
    DOMAIN_GAP,
    DOMAIN_GAP_IN_LOSS,
    RECURRING_TASK_GAP,
    TASK_GAP,
    TOTAL_GAP,
)
from metagap.analysis.gaps.kind import GapKind
from metagap.analysis.gaps.shifts import HORIZON_SHIFT, IMBALANCE_SHIFT, SHOT_SHIFT, WAY_SHIFT
from metagap.analysis.gaps.within import (
    ADAPTATION_GAIN,
    MEMORIZATION,
    TRANSDUCTION_GAP,
    WITHIN_TASK_GAP,
    ZERO_STEP_SCORE,
)

GAPS = (
    TASK_GAP,
    RECURRING_TASK_GAP,
    DOMAIN_GAP,
    TOTAL_GAP,
    ADJUSTED_TASK_GAP,
    ADJUSTED_DOMAIN_GAP,
    DOMAIN_ERROR_RATIO,
    DOMAIN_GAP_IN_LOSS,
    WITHIN_TASK_GAP,
    ADAPTATION_GAIN,
    ZERO_STEP_SCORE,
    TRANSDUCTION_GAP,
    MEMORIZATION,
    SHOT_SHIFT,
    IMBALANCE_SHIFT,
    WAY_SHIFT,
    HORIZON_SHIFT,
)


def gap_kinds() -> tuple[list[GapKind], list[str]]:
    """`GAPS` and the plugins', and a sentence for each plugin that cannot be used."""
    return registry.objects("gap", GapKind, GAPS)
