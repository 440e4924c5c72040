"""A suite that trains in a moment."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from metagap.machine import Machine
from metagap.suite import Cell, expand, load_suite
from tiny_suites import TASKS

WAVES = tomli_w.dumps(TASKS["waves"])
SPLITS = TASKS["waves"]["splits"]
MORE = tomli_w.dumps(TASKS["waves"] | {"splits": [*SPLITS, {"name": "more", "role": "in-distribution"}]})
"""The same with a further split."""
CPU = Machine("cpu", engine="loop plain eager")


def load(folder: Path, text: str = WAVES, *changes: str) -> list[Cell]:
    path = folder / "tiny.toml"
    path.write_text(text)
    return expand(load_suite(str(path), changes))
