"""A suite that is run in a second, and what its records say apart from dates and costs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metagap import digests, results
from metagap.machine import Machine

NAME = "tiny"
SUITE = """
title = "Tiny"
[task]
ways = 2
shots = 1
queries = 2
[model]
name = "conv4"
filters = 2
[source]
name = "glyphs"
alphabets = 5
characters = 4
instances = 4
image_size = 16
[training]
iterations = 6
meta_batch = 2
validations = 2
validation_episodes = 2
[evaluation]
episodes = 4
steps = 1
diagnostics = []
checkpoints = 2
quantities = ["adaptation-norm"]
[algorithms.fomaml]
[algorithms.scratch]
[[splits]]
name = "old"
role = "meta-train"
classes = "train"
[[splits]]
name = "val"
role = "meta-val"
classes = "val"
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
"""
"""It leaves every kind of file behind."""
MACHINE = Machine("cpu", engine="loop plain eager", checkpoint_seconds=0)
"""It saves after every iteration, so that there is much to interrupt."""

COSTS = {"date", "finished", "seconds", "train_seconds", "eval_seconds", "environment", "sha256", "digest", "attempts"}
COSTS |= {"environments", "wall_seconds", "cpu_seconds", "cpu_joules", "gpu_joules", "peak_bytes", "gpu_peak_bytes"}
"""Keys and columns that differ between two runs of the same."""
BESIDE = (".lock", ".lease", ".index", "log.txt")
"""Names of files and folders that are no records."""


def write(folder: Path) -> Path:
    """The file of the suite, in a folder."""
    path = folder / f"{NAME}.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def records(store: Path) -> dict[str, Any]:
    """All files of the suite by their path, as plain values without dates and costs; of set-aside ones none.

    Raises DamagedError where one is not what was written.
    """
    folder = store / NAME
    return {
        path.relative_to(folder).as_posix(): plain(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".damaged" not in path.name and not set(BESIDE) & {path.name, path.parent.name}
    }


def plain(path: Path) -> Any:
    """A file as a plain value."""
    match path.suffix:
        case ".pt":
            content = io.BytesIO(results.read_sealed(path))
            return without_costs(torch.load(content, map_location="cpu", weights_only=True))
        case ".parquet":
            frame = results.read_frame(path)
            return frame.drop(columns=[name for name in frame if name in COSTS]).to_csv()
        case ".json":
            return without_costs(results.read_json(path))
        case _:
            return digests.of_file(path)


def without_costs(value: Any) -> Any:
    """A nested value without what `COSTS` names, with tensors as digests."""
    if isinstance(value, Mapping):
        return {str(key): without_costs(one) for key, one in value.items() if key not in COSTS}
    if isinstance(value, list | tuple):
        return [without_costs(one) for one in value]
    if isinstance(value, Tensor):
        return [str(value.dtype), list(value.shape), digests.of_bytes(value.contiguous().numpy().tobytes())]
    return value
