"""A suite that trains in a moment."""

from __future__ import annotations

from pathlib import Path

from metagap.machine import Machine
from metagap.suite import Cell, expand, load_suite

WAVES = """
title = "Tiny waves"
[task]
kind = "regression"
shots = 5
queries = 4
[model]
name = "mlp"
hidden = [4]
[source]
name = "sinusoid"
[training]
iterations = 4
meta_batch = 2
[evaluation]
episodes = 5
steps = 1
diagnostics = []
[algorithms.maml]
[algorithms.scratch]
[[splits]]
name = "old"
role = "meta-train"
[[splits]]
name = "square"
role = "cross-domain"
source = { name = "sinusoid", waveform = "square" }
"""
MORE = '[[splits]]\nname = "more"\nrole = "in-distribution"\n'
CPU = Machine("cpu", engine="loop plain eager")


def load(folder: Path, text: str = WAVES, *changes: str) -> list[Cell]:
    path = folder / "tiny.toml"
    path.write_text(text)
    return expand(load_suite(str(path), changes))
