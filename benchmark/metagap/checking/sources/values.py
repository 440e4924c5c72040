"""What the numbers are like: constant ones, and ones that a network does not take well."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from metagap.checking.findings import Fault, Note
from metagap.checking.sources.subject import Subject
from metagap.text import listed

LARGE, SMALL = 20.0, 0.02
"""A mean or standard deviation of inputs that is beyond is not what the initial weights of networks are made for."""
UNEVEN = 1000.0
"""Of the standard deviations of features, the greatest over the least."""


def inputs(subject: Subject) -> str:
    """Whether inputs vary, and are of a size that networks are made for."""
    if subject.acts:
        raise Note("nothing to examine: a network is given observations")
    notes: list[str] = []
    for part, seen in subject.seen.items():
        x = seen.inputs
        if not (x != x[0]).any():
            raise Fault(f"{part}: all {len(x)} examples that were drawn are the same")
        notes += [] if notes else [f"{part}: {note}" for note in _notes(x)]  # of one part: the others are like it
    if notes:
        raise Note("; ".join(notes))
    return "they vary, and are of a size that networks are made for"


def targets(subject: Subject) -> str:
    """Whether the targets of regression vary, and are of a size that squared errors are readable for."""
    if subject.spec.kind.has_ways or subject.acts:
        raise Note("nothing to examine: tasks have labels, or rewards")
    notes = []
    for part, seen in subject.seen.items():
        y = seen.targets
        if not (y != y[0]).any():
            raise Fault(f"{part}: all {len(y)} targets that were drawn are the same")
        if not SMALL <= float(y.std()) <= LARGE or abs(float(y.mean())) > LARGE:
            notes.append(f"{part}: targets have {_measured(y)}; networks begin with outputs around 0: scale them")
    if notes:
        raise Note("; ".join(notes))
    return "they vary, and are of a size that networks begin with"


def measured(subject: Subject) -> list[dict[str, Any]]:
    """A row for each part: what it has, and what its inputs are like."""
    rows = [_row(subject, part) for part in subject.own_parts]
    return [{key: value for key, value in row.items() if any(one[key] != "" for one in rows)} for row in rows]


def _row(subject: Subject, part: str) -> dict[str, Any]:
    tasks, names = subject.parts[part], subject.names(part)
    of_file = getattr(tasks, "of_file", False)
    sizes = getattr(tasks, "size", None)
    row: dict[str, Any] = {
        "part": part,
        "classes": tasks.class_count or "",
        "tasks of the file": len(names) if of_file and names else "",
        "examples of each": _interval(sizes) if isinstance(sizes, Tensor) and len(sizes) else "",
        "inputs": "",
        "mean": "",
        "deviation": "",
        "targets": "",
    }
    if part in subject.drawable and not subject.acts:
        x = subject.seen[part].inputs
        row |= {"inputs": _interval(x), "mean": f"{x.mean():.3g}", "deviation": f"{x.std():.3g}"}
        if not subject.spec.kind.has_ways:
            row["targets"] = _interval(subject.seen[part].targets)
    return row


def _notes(x: Tensor) -> list[str]:
    """What is to be known of examples (n, ...)."""
    found = []
    features = x.reshape(len(x), -1) if x.ndim < 3 else x.transpose(0, 1).flatten(1).T
    constant = [str(i) for i, column in enumerate(features.T) if not (column != column[0]).any()]
    if constant:
        what = "feature" if x.ndim < 3 else "channel"
        found.append(f"of {len(x)} examples that were drawn all have the same {what} {listed(constant)} (from 0)")
    if not SMALL <= float(x.std()) <= LARGE or abs(float(x.mean())) > LARGE:
        found.append(f"inputs have {_measured(x)}; networks are made for numbers around 1: scale them")
    elif x.ndim < 3:
        spread = features.std(0)
        spread = spread[spread > 0]
        if len(spread) > 1 and float(spread.max() / spread.min()) > UNEVEN:
            found.append(f"deviations of features reach from {spread.min():.3g} to {spread.max():.3g}: scale each")
    return found


def _measured(values: Tensor) -> str:
    return f"mean {values.mean():.3g}, standard deviation {values.std():.3g}"


def _interval(values: Tensor) -> str:
    low, high = (f"{float(value):.4g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
