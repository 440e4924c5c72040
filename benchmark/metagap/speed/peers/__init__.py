"""Other libraries that do the same arithmetic, one module each; importing a module imports its library."""

from __future__ import annotations

import importlib
import importlib.util

from metagap import registry
from metagap.errors import UserError
from metagap.speed.peers.base import Peer

PEERS = {"learn2learn": "Learn2Learn", "higher": "Higher", "jax": "Jax"}


def check(name: str) -> None:
    """Raise UserError where there is no such peer, or where it is not installed."""
    if name not in PEERS:
        raise UserError(f"--against '{name}'{registry.suggest(name, list(PEERS))}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"--against {name}: it is not installed; install the extra: pip install 'metagap[{name}]'")


def load(name: str) -> Peer:
    """The peer of this name, with its library imported."""
    check(name)
    try:
        return getattr(importlib.import_module(f"metagap.speed.peers.{name}"), PEERS[name])()
    except ImportError as error:
        raise UserError(f"--against {name}: it cannot be imported: {error}") from error
