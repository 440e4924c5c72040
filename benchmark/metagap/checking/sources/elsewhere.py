"""What identifies a source in a process: looked at here, and in a process that this module is run in."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from metagap import digests
from metagap.errors import UserError
from metagap.source_tables import make_source
from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.sampling import Sampler, raw
from metagap.tasks.source import Part

TASKS = 4


def fingerprint(table: Mapping[str, Any], parts: Sequence[str], form: Sequence[int]) -> dict[str, Any]:
    """The digest, the draws and the tasks of these parts of a source; form: ways, shots and queries.

    In place of what a part refuses, `refused`.
    """
    source, found = make_source(table), {}
    ways, shots, queries = form
    for part in parts:
        try:
            tasks = source.tasks(Part(part), "cpu")
            spec = formed(tasks, TaskSpec(source.kind, ways, shots, queries), 1)
            drawn = Sampler(tasks, spec, seed=0).draw(TASKS)
            found[f"digest('{part}')"] = source.digest(part)
            found[f"draw of {part}"] = digests.of_bytes(raw(drawn.draw))
            found[f"episode of {part}"] = digests.of_bytes(raw(tasks.episode(drawn.draw, spec)))
        except UserError:
            found[part] = "refused"
    return found


def main() -> None:
    """Print the fingerprints of the sources whose tables come in."""
    torch.set_num_threads(1)
    tables, parts, form = json.load(sys.stdin)
    print(json.dumps([fingerprint(table, parts, form) for table in tables]))


if __name__ == "__main__":
    main()
