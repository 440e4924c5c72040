"""All examinations of a source, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from metagap.checking.findings import Finding, findings
from metagap.checking.sources.contract import documentation, options
from metagap.checking.sources.drawing import draws, episodes, overlap
from metagap.checking.sources.identity import digest, missing, stamp
from metagap.checking.sources.parts import apart, coverage, parts, size
from metagap.checking.sources.processes import devices, process
from metagap.checking.sources.shown import sample
from metagap.checking.sources.subject import Subject
from metagap.checking.sources.values import inputs, targets

EXAMINATIONS: dict[str, Callable[[Subject], str]] = {
    "documentation": documentation,
    "options": options,
    "parts": parts,
    "size": size,
    "draws": draws,
    "episodes": episodes,
    "support and queries": overlap,
    "new tasks": apart,
    "classes": coverage,
    "inputs": inputs,
    "targets": targets,
    "sample": sample,
    "digest": digest,
    "stamp": stamp,
    "missing files": missing,
    "another process": process,
    "devices": devices,
}
"""In their order; each returns what it found to be well, or raises a Fault or a Note."""
NEEDED = ("parts", "size", "episodes")
"""Without these there is nothing to examine further."""


def examine(subject: Subject) -> Iterator[Finding]:
    """Examine a source; the findings come as they are made, and end where there is nothing to go on with."""
    for finding in findings(EXAMINATIONS, subject):
        yield finding
        if finding.outcome == "failed" and finding.examination in NEEDED:
            return
