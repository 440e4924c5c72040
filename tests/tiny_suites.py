"""Suites that train in a moment, as tables; the fixture `tiny_suite` writes them with changes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

TASKS: dict[str, dict[str, Any]] = {
    "waves": {
        "title": "Tiny waves",
        "task": {"kind": "regression", "shots": 5, "queries": 4},
        "model": {"name": "mlp", "hidden": [4]},
        "source": {"name": "sinusoid"},
        "training": {"iterations": 4, "meta_batch": 2},
        "evaluation": {"episodes": 5, "steps": 1, "diagnostics": []},
        "algorithms": {"maml": {}, "scratch": {}},
        "splits": [
            {"name": "old", "role": "meta-train"},
            {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}},
        ],
    },
    "navigation": {
        "title": "Tiny navigation",
        "task": {"kind": "control", "shots": 3, "queries": 4},
        "model": {"name": "mlp", "hidden": [8]},
        "source": {"name": "navigation", "horizon": 5},
        "training": {"iterations": 4, "meta_batch": 2, "select": "last"},
        "evaluation": {"episodes": 5, "steps": 1, "curve_steps": 2, "diagnostics": []},
        "algorithms": {"promp": {}, "maml-trpo": {}},
        "splits": [
            {"name": "old", "role": "meta-train", "classes": "train"},
            {"name": "new", "role": "in-distribution", "classes": "test"},
            {"name": "slow", "role": "cross-domain", "source": {"name": "navigation", "horizon": 5, "speed": 0.5}},
        ],
    },
    "images": {
        "title": "Tiny images",
        "task": {"ways": 3, "shots": 1, "queries": 2},
        "model": {"name": "conv4", "filters": 4},
        "source": {"name": "glyphs", "alphabets": 5, "characters": 4, "instances": 5, "image_size": 16},
        "training": {"iterations": 6, "meta_batch": 2, "validations": 2, "validation_episodes": 4},
        "evaluation": {"episodes": 6, "steps": 1, "diagnostic_episodes": 3},
        "algorithms": {"maml": {"inner_lr": 0.1}, "scratch": {}},
        "splits": [
            {"name": "old", "role": "meta-train", "classes": "train"},
            {"name": "new", "role": "in-distribution", "classes": "test"},
            {"name": "digits", "role": "cross-domain", "source": {"name": "digits", "image_size": 16}},
        ],
    },
    "plane": {
        "title": "Tiny plane",
        "task": {"kind": "control", "shots": 3, "queries": 2},
        "model": {"name": "mlp", "hidden": [4]},
        "source": {"name": "navigation", "horizon": 6},
        "training": {"iterations": 1, "meta_batch": 2, "select": "last"},
        "evaluation": {"episodes": 5, "steps": 1, "curve_steps": 2},
        "algorithms": {"fomaml-trpo": {}, "policy-random": {}},
        "splits": [
            {"name": "old", "role": "meta-train", "classes": "train"},
            {"name": "new", "role": "in-distribution", "classes": "test"},
            {
                "name": "wind",
                "role": "cross-domain",
                "source": {"name": "navigation", "horizon": 6, "wind": [0.1, 0.0]},
            },
        ],
    },
}


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with changes, key by key; None removes a key."""
    whole = copy.deepcopy(dict(table))
    for key, value in changes.items():
        below = whole.get(key)
        whole[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return {key: value for key, value in whole.items() if value is not None}


def write(folder: Path, kind: str = "waves", *, name: str = "tiny", **changes: Any) -> Path:
    """A suite file in a folder: `kind` with changes, which go into its tables key by key.

    None removes a key; a list of tables is replaced.
    """
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(merged(TASKS[kind], changes)))
    return path
