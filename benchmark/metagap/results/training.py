"""What is recorded beside the scores of trained weights: scores along training, and quantities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALONG = {
    **{"algorithm": str, "seed": int, "iteration": int},
    **{"split": str, "role": str, "condition": str, "ways": int, "shots": int, "episode": int, "step": int},
    **{"query_score": float, "support_score": float, "query_loss": float, "null_loss": float},
}
"""The columns of scores along training with their types; further metrics have columns beside them."""
QUANTITIES = {
    **{"algorithm": str, "seed": int, "quantity": str, "iteration": int, "split": str, "episode": int, "value": float},
}
"""The columns of quantities with their types."""
BESIDE = {"along": "the scores along training", "quantities": "the quantities"}
"""Kinds of record beside the evaluation, each a folder of the cell, and a key of its marker with the stems there."""


def recorded_beside(marker: Mapping[str, Any]) -> list[str]:
    """The files of these kinds that a marker knows, by their paths in the cell's folder."""
    return [f"{kind}/{stem}.parquet" for kind in BESIDE for stem in marker.get(kind, {}).values()]
