"""Train, validation and test: what is in each, and whether they are apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from metagap.checking.findings import Fault, Note
from metagap.checking.sources.subject import OWN_PARTS, Subject
from metagap.tasks.contract import check_form
from metagap.tasks.groups import Grouped
from metagap.text import listed

EXPECTED = 25
"""How often a class should be drawn before it is said that it never is: by chance that happens once in e^25."""
MOST_DRAWS = 2000


def parts(subject: Subject) -> str:
    """Whether there are any, and each says the shape of an example and how many classes it has."""
    if not subject.parts:
        raise Fault(f"gives no part: {'; '.join(dict.fromkeys(subject.refusals.values()))}")
    for tasks in subject.parts.values():
        check_form(tasks)
    shapes = {tasks.x_shape for tasks in subject.parts.values()}
    if len(shapes) > 1:
        told = listed([str(shape) for shape in sorted(shapes)])
        raise Fault(f"parts have examples of {len(shapes)} shapes: {told}; allowed: one")
    found = f"{listed(list(subject.parts))}, with examples of shape {shapes.pop()}"
    if subject.refusals:
        reasons = {refusal.replace(f"'{part}'", ""): refusal for part, refusal in subject.refusals.items()}
        raise Note(f"{found}; not {listed(list(subject.refusals))}: {'; '.join(reasons.values())}")
    return found


def size(subject: Subject) -> str:
    """Whether every part has tasks of the form, and how many of its groups are too small for them."""
    spec = subject.spec
    if small := subject.too_small(spec):
        told = "; ".join(f"{part}: {refusal}" for part, refusal in small.items())
        hint = "" if subject.form else "; --ways, --shots and --queries ask for others"
        raise (Fault if subject.form or len(small) == len(subject.own_parts) else Note)(f"{told}{hint}")
    remarks: dict[str, list[str]] = {}
    for part, tasks in subject.drawable.items():
        for remark in filter(None, tasks.remark(spec).split("; ") if isinstance(tasks, Grouped) else ()):
            remarks.setdefault(remark, []).append(part)
    if remarks:
        raise Note("; ".join(f"{listed(of)}: {remark}" for remark, of in remarks.items()))
    shape = spec.kind.shape(spec.ways, spec.shots)
    return f"{listed(list(subject.drawable))} have tasks of {shape} with {spec.queries} queries"


def apart(subject: Subject) -> str:
    """Whether no class, no task and no example of one part is in another."""
    source, known, notes = subject.source, [], []
    split = source.has_parts or source.has_images or subject.spec.kind.has_ways
    for one, other in combinations([part for part in OWN_PARTS if part in subject.drawable], 2):
        first, second = subject.names(one), subject.names(other)
        if first is not None and second is not None:
            known.append(f"{one} and {other}")
            if both := sorted(set(first) & set(second)):
                raise Fault(f"{one} and {other} share {len(both)} of {len(second)}: {listed(both[:3])}")
        a, b = subject.seen[one], subject.seen[other]
        shared = len(a.contents & b.contents)
        if not shared:
            continue
        told = f"{shared} of {len(b.contents)} examples that were drawn from {other} are in {one}, too"
        if split and not (first or getattr(subject.parts[one], "independent", False)):
            raise Fault(f"{told}: a part has to hold classes or tasks of its own")
        if split:
            notes.append(told)
    if notes:
        raise Note(f"{'; '.join(notes)}: the data hold some examples more than once")
    if len([part for part in OWN_PARTS if part in subject.drawable]) < 2:
        raise Note("nothing to compare: only one part has such tasks")
    if not split:
        return "all parts are one distribution without end, as it says"
    names = f"by name ({listed(known)}) and by" if known else "by"
    return f"no class, task or example is in two parts, {names} what was drawn"


def coverage(subject: Subject) -> str:
    """Whether every class that is counted can be drawn, with a label that changes from task to task."""
    if not subject.spec.kind.has_ways:
        raise Note("nothing to examine: tasks have no classes")
    never, fixed, told = [], [], []
    for part, tasks in subject.drawable.items():
        classes, count = _classes(subject, part), tasks.class_count
        if getattr(tasks, "of_file", False):  # its classes are those of one task after another
            continue
        met = np.bincount(classes.ravel(), minlength=count) > 0
        told.append(f"{int(met.sum())} of {count} of {part}")
        if not met.all() and classes.size >= EXPECTED * count:
            never.append(f"{int((~met).sum())} of {count} classes of {part}")
        if _always_same_label(classes):
            fixed.append(part)
    notes = [f"never drawn: {listed(never)}"] if never else []
    if fixed:
        notes.append(f"in {listed(fixed)} a class has the same label in every task, which a network can learn by heart")
    if notes:
        raise Note("; ".join(notes))
    return f"classes that were drawn: {listed(told)}; with other labels in other tasks" if told else "tasks of a file"


def _classes(subject: Subject, part: str) -> np.ndarray:
    """Which class each label of some tasks stands for, (T, ways): of many tasks where what was drawn tells it."""
    sampler, count = subject.sampler(part, seed=1), subject.drawable[part].class_count
    many = sampler.classes(sampler.draw(min(-(-EXPECTED * count // subject.spec.ways), MOST_DRAWS)))
    return subject.seen[part].episode.classes.numpy() if many is None else many


def _always_same_label(classes: np.ndarray) -> bool:
    """Whether each class that was met more than once always had the same label."""
    labels: dict[int, set[int]] = {}
    for label, column in enumerate(classes.T):
        for one in column.tolist():
            labels.setdefault(one, set()).add(label)
    counts = np.bincount(classes.ravel())
    often = [one for one in labels if counts[one] > 4]
    return len(often) > 1 and all(len(labels[one]) == 1 for one in often)
