"""What is measured of a learner beside its scores: objects, one in each file, found by an entry point of the group
`metagap.quantities` or as `path/to/file.py:NAME`. The contract is in `quantity`."""

from __future__ import annotations

from metagap import registry
from metagap.quantities.quantity import Quantity, Watched

__all__ = ["Quantity", "Watched", "find"]


def find(name: str) -> Quantity:
    """The quantity of this name. Raises UserError where there is none, or it cannot be imported."""
    return registry.load_named("quantity", name)
