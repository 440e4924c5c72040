"""Names that a new algorithm can have, and the class that goes with each."""

from __future__ import annotations

import importlib.util
import keyword
import re

from metagap import registry
from metagap.errors import UserError

ALLOWED = "allowed: a Python name of ASCII letters, digits and underscores, such as my_maml"


def class_name(name: str) -> str:
    """The name in camel case: my_maml is MyMaml."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def check_name(name: str) -> None:
    """Raise UserError unless a new algorithm, its file and its package can be called so."""
    if not re.fullmatch(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?", name) or keyword.iskeyword(name):
        raise UserError(f"new algorithm '{name}': not a name that Python, pip and metagap all take; {ALLOWED}")
    for label in (name, class_name(name).lower()):
        if label in registry.names("algorithm"):
            raise UserError(f"new algorithm '{name}': there is an algorithm '{label}' already; take another name")


def check_module(name: str) -> None:
    """Raise UserError where Python would import another module of this name."""
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"new algorithm '{name}': there is a Python module of this name already; take another name")
