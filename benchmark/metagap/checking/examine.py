"""All examinations of an algorithm, one after another."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from metagap import registry
from metagap.checking.cases import Subject
from metagap.checking.contract import contract, documentation
from metagap.checking.descent import descent
from metagap.checking.findings import Fault, Finding, Note, error_with_origin
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
from metagap.errors import UserError

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


def find(name: str | None) -> Any:
    """The class to examine: of a registered name, FILE.py:CLASS, FILE.py, or of the project in the current folder.

    Raises UserError where there is none.
    """
    if name is None:
        name = _of_this_project()
    return registry.find("algorithm", registry.only_class("algorithm", name) if name.endswith(".py") else name)


def examine(cls: Any, changes: Sequence[str] = ()) -> Iterator[Finding]:
    """Examine a class of algorithms; the findings come as they are made, most within a second or two.

    changes: `key=value`, hyper-parameters that differ from their defaults. Raises UserError where they are not allowed.
    """
    subject = Subject(cls)
    if not registry.fault("algorithm", cls):
        subject.algorithm = make(cls, changes)
    return _examine(subject)


def _examine(subject: Subject) -> Iterator[Finding]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # everything is small
    try:
        for examination, function in EXAMINATIONS.items():
            with warnings.catch_warnings(action="ignore"):
                finding = _finding(examination, function, subject)
            if examination == "contract" and finding.outcome == "failed":
                subject.algorithm = None
            yield finding
    finally:
        torch.set_num_threads(threads)


def _finding(examination: str, function: Callable[[Subject], str], subject: Subject) -> Finding:
    try:
        return Finding(examination, "passed", function(subject))
    except Note as note:
        return Finding(examination, "noted", f"{note}")
    except (Fault, UserError) as fault:
        return Finding(examination, "failed", f"{fault}")
    except Exception as error:
        return Finding(examination, "failed", f"fails with {error_with_origin(error)}")


def _of_this_project() -> str:
    """The algorithm that the pyproject.toml of the current folder registers, as FILE.py:CLASS."""
    asked = "check: say what, a name of `metagap list algorithms` or path/to/file.py:ClassName"
    try:
        table = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{asked}; there is no pyproject.toml here that names one") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{asked}; pyproject.toml cannot be read: {error}") from None
    entries = table.get("project", {}).get("entry-points", {}).get("metagap.algorithms", {})
    if len(entries) != 1:
        raise UserError(f"{asked}; pyproject.toml names {len(entries)} under metagap.algorithms: {', '.join(entries)}")
    module, _, attribute = next(iter(entries.values())).partition(":")
    return f"./{module.replace('.', '/')}.py:{attribute}"
