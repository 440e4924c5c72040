"""What to run: a suite file, typed and resolved, and the cells (algorithm x seed) that it is expanded into.

`schema` says what a file may hold; `edit` changes its table before it is checked (`--set`); `resolve` reads, checks and
fills in defaults; `variants` makes suites of another one, `sweep` one for each value of a key, `leave_one_out` one for
each domain; `cell` expands.
"""

from metagap.messages import Faults, validated
from metagap.source_tables import make_source
from metagap.suite.cell import Cell, as_json, digest, expand, written_cell
from metagap.suite.resolve import load_suite, resolve, written_suite
from metagap.suite.schema import (
    RECORDING,
    Axis,
    Dose,
    Entry,
    Evaluation,
    LeaveOneOut,
    OwnEvaluation,
    Published,
    Rate,
    Response,
    Role,
    Section,
    Shift,
    Split,
    Suite,
    Task,
    Training,
)
from metagap.suite.sweep import Member, Sweep, Values, load_chosen, load_sweep, said, waves
from metagap.suite.variants import (
    share_of,
    variation,
    with_algorithms,
    with_budget,
    with_choices,
    with_iterations,
    with_seeds,
)

__all__ = [
    "RECORDING",
    "Axis",
    "Cell",
    "Dose",
    "Entry",
    "Evaluation",
    "Faults",
    "LeaveOneOut",
    "Member",
    "OwnEvaluation",
    "Published",
    "Rate",
    "Response",
    "Role",
    "Section",
    "Shift",
    "Split",
    "Suite",
    "Sweep",
    "Task",
    "Training",
    "Values",
    "as_json",
    "digest",
    "expand",
    "load_chosen",
    "load_suite",
    "load_sweep",
    "make_source",
    "resolve",
    "said",
    "share_of",
    "validated",
    "variation",
    "waves",
    "with_algorithms",
    "with_budget",
    "with_choices",
    "with_iterations",
    "with_seeds",
    "written_cell",
    "written_suite",
]
