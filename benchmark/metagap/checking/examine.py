"""All examinations of an algorithm, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from metagap import registry
from metagap.checking.cases import Subject
from metagap.checking.contract import contract, documentation
from metagap.checking.descent import descent
from metagap.checking.findings import Finding, findings
from metagap.checking.finite import finite
from metagap.checking.gradients import derivative, gradients
from metagap.checking.influence import other_tasks, query_labels, support_labels, support_order
from metagap.checking.learning import learning
from metagap.checking.metrics import metrics
from metagap.checking.normalisation import normalisation
from metagap.checking.paths import paths
from metagap.checking.purity import inputs
from metagap.checking.queries import query_batch, query_order
from metagap.checking.randomness import seeds
from metagap.checking.saving import saving
from metagap.checking.settings import make
from metagap.checking.shapes import path, shapes

EXAMINATIONS: dict[str, Callable[[Subject], str]] = {
    "contract": contract,
    "documentation": documentation,
    "shapes": shapes,
    "adaptation path": path,
    "finite values": finite,
    "seeds": seeds,
    "inputs": inputs,
    "inner steps": descent,
    "normalisation": normalisation,
    "gradients": gradients,
    "query labels": query_labels,
    "derivative": derivative,
    "metrics": metrics,
    "query order": query_order,
    "query batch": query_batch,
    "other tasks": other_tasks,
    "support labels": support_labels,
    "support order": support_order,
    "engine paths": paths,
    "save and load": saving,
    "learning": learning,
}
"""In their order; each returns what it found to be well, or raises a Fault or a Note."""


def examine(cls: Any, changes: Sequence[str] = ()) -> Iterator[Finding]:
    """Examine a class of algorithms; the findings come as they are made, most within a second or two.

    changes: `key=value`, hyper-parameters that differ from their defaults. Raises UserError where they are not allowed.
    """
    subject = Subject(cls)
    if not registry.fault("algorithm", cls):
        subject.algorithm = make(cls, changes)
    return _examine(subject)


def _examine(subject: Subject) -> Iterator[Finding]:
    for finding in findings(EXAMINATIONS, subject):
        if finding.examination == "contract" and finding.outcome == "failed":
            subject.algorithm = None
        yield finding
