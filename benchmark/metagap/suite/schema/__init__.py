"""What a suite file may say: its tables, typed, one file for each, and what must hold between them."""

from metagap.suite.schema.algorithms import Entry
from metagap.suite.schema.evaluation import RECORDING, Evaluation, OwnEvaluation, Role, Shift, Split
from metagap.suite.schema.leave_one_out import LeaveOneOut
from metagap.suite.schema.published import Published
from metagap.suite.schema.response import Dose, Response
from metagap.suite.schema.section import MOST, Rate, Section
from metagap.suite.schema.suite import Suite
from metagap.suite.schema.sweep import Axis
from metagap.suite.schema.task import Task
from metagap.suite.schema.training import Training

__all__ = [
    "MOST",
    "RECORDING",
    "Axis",
    "Dose",
    "Entry",
    "Evaluation",
    "LeaveOneOut",
    "OwnEvaluation",
    "Published",
    "Rate",
    "Response",
    "Role",
    "Section",
    "Shift",
    "Split",
    "Suite",
    "Task",
    "Training",
]
