"""Another process, other options before, and another device: do they give the same tasks?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from metagap.checking.findings import Fault, Note
from metagap.checking.sources.elsewhere import fingerprint
from metagap.checking.sources.subject import Subject
from metagap.errors import UserError
from metagap.messages import validated
from metagap.source_tables import named_table
from metagap.tasks.episode import Episode
from metagap.tasks.record_source import RecordSource
from metagap.tasks.source import Part
from metagap.text import listed

MOST_OPTIONS = 6
"""Options that are changed, at most."""
SECONDS = 600
"""What the other process may take."""


def process(subject: Subject) -> str:
    """Whether a process with another seed of hashes finds the same tasks, and whether what was made before matters.

    Here the source is made first and then with other options; there the other way round, so that something that is kept
    between them, and whatever comes in the order of a set, differs.
    """
    spec, tables = subject.spec, [named_table(subject.table, subject.source), *_changed(subject)]
    form = [spec.ways, spec.shots, spec.queries]
    parts = list(subject.drawable)
    here = [fingerprint(table, parts, form) for table in tables]
    there = _elsewhere([tables[::-1], parts, form])[::-1]
    for table, one, other in zip(tables, here, there, strict=True):
        if one != other:
            what = next(key for key in {**one, **other} if one.get(key) != other.get(key))
            changed = "" if table is tables[0] else f" with {_difference(tables[0], table)}"
            raise Fault(
                f"{what} is something else in another process{changed}: it depends on the order of a set, on the time, "
                "on what was made before, or on numbers that no seed decides"
            )
    return "the same digests, draws and tasks in another process" + _effects(tables, here)


def devices(subject: Subject) -> str:
    """Whether tasks on a GPU are those on the CPU."""
    if not torch.cuda.is_available():
        raise Note("not examined, for there is only a CPU here")
    for part in subject.drawable:
        sampler, drawn = subject.sampler(part), subject.seen[part].drawn
        there = subject.source.tasks(Part(part), "cuda").episode(drawn.draw, sampler.spec)
        for name, one, other in zip(Episode._fields, subject.seen[part].episode, there, strict=True):
            if other.device.type != "cuda":
                raise Fault(f"{part}: {name} is on {other.device}, although tasks on 'cuda' were asked for")
            if not torch.allclose(one, other.cpu(), rtol=1e-4, atol=1e-5, equal_nan=True):
                raise Fault(f"{part}: {name} is something else on the GPU than on the CPU")
    return "the tasks on the GPU are those on the CPU"


def _changed(subject: Subject) -> Iterator[dict[str, Any]]:
    """The table with another value for each of a few options that no base class of ours declares.

    None for images, which would all be decoded once more, and whose options the base class keeps apart.
    """
    source = subject.source
    own = [key for key in type(source).model_fields if key not in RecordSource.model_fields]
    found = 0
    for key in () if source.has_images else own:
        for value in _others(getattr(source, key)):
            try:
                changed = validated(type(source), {**source.model_dump(mode="json"), key: value}, "")
            except UserError:
                continue
            yield named_table(subject.table, changed)
            found += 1
            break
        if found == MOST_OPTIONS:
            return


def _others(value: Any) -> list[Any]:
    """Other values of its type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2 if isinstance(value, float) else max(value - 1, 0)]
    return []


def _elsewhere(asked: list[Any]) -> list[dict[str, Any]]:
    """The fingerprint of each source, in a process of its own; asked: tables, parts and the form of tasks."""
    hashes = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-m", "metagap.checking.sources.elsewhere"],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise Fault(f"cannot be used in another process: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def _difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in second.items() if first.get(key) != value)


def _effects(tables: list[dict[str, Any]], found: list[dict[str, Any]]) -> str:
    """Which of the options that were changed change the tasks."""
    keys = [next(key for key, value in table.items() if tables[0].get(key) != value) for table in tables[1:]]
    idle = [key for key, one in zip(keys, found[1:], strict=True) if one == found[0]]
    busy = [key for key in keys if key not in idle]
    told = [f"{listed(busy)} changes them"] if busy else []
    told += [f"no change was seen by {listed(idle)}"] if idle else []
    return f"; {', '.join(told)}" if told else ""
