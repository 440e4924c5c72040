"""What `metagap check NAME` is to examine: an algorithm or a source, and how to say which."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Literal

from metagap import registry
from metagap.errors import UserError

Kind = Literal["algorithm", "source"]
KINDS: tuple[Kind, ...] = ("algorithm", "source")


def named(name: str | None) -> tuple[Kind, str]:
    """The kind of what is called so, and its name: a registered one, FILE.py:CLASS, FILE.py, or the only one that the
    project in the current folder registers; `algorithm:` or `source:` before it says which is meant.

    Raises UserError where there is none, or one of each kind.
    """
    if name is None:
        return _of_this_project()
    for kind in KINDS:
        if name.startswith(f"{kind}:"):
            rest = name.removeprefix(f"{kind}:")
            return kind, registry.only_class(kind, rest) if rest.endswith(".py") else rest
    if name.endswith(".py"):
        return _only_class(name)
    if ".py:" in name:
        return _kind_of_class(name), name
    first = name.partition(":")[0]
    algorithm, source = name in registry.names("algorithm"), first in registry.names("source")
    if algorithm and source:
        raise UserError(f"there are an algorithm and a source '{name}'; allowed: algorithm:{name}, source:{name}")
    if not (algorithm or source):
        known = [*registry.names("algorithm"), *registry.names("source")]
        raise UserError(f"no algorithm and no source '{name}'{registry.suggest(first, known, 'metagap list KIND')}")
    return ("algorithm" if algorithm else "source"), name


def _only_class(path: str) -> tuple[Kind, str]:
    found: list[tuple[Kind, str]] = []
    faults: list[str] = []
    for kind in KINDS:
        try:
            found.append((kind, registry.only_class(kind, path)))
        except UserError as fault:
            faults.append(f"{fault}")
    if not found:
        raise UserError("; ".join(faults if Path(path).is_file() else faults[:1]))
    if len(found) > 1:
        raise UserError(f"'{path}' has an algorithm and a source; allowed: {' or '.join(name for _, name in found)}")
    return found[0]


def _kind_of_class(name: str) -> Kind:
    """That of a class in a file; of one that is neither, or not complete, what it comes closest to."""
    found = registry.find("algorithm", name)
    if not registry.fault("algorithm", found):
        return "algorithm"
    bases = {(base.__module__, base.__name__) for base in inspect.getmro(found)} if inspect.isclass(found) else set()
    return "source" if registry.BASES["source"] in bases or not _fault_of_source(name) else "algorithm"


def _fault_of_source(name: str) -> str:
    try:
        return registry.fault("source", registry.find("source", name))
    except UserError as fault:
        return f"{fault}"


def _of_this_project() -> tuple[Kind, str]:
    """The algorithm or the source that the pyproject.toml of the current folder registers, as FILE.py:CLASS."""
    asked = "check: say what, a name of `metagap list algorithms` or `sources`, or path/to/file.py:ClassName"
    try:
        table = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{asked}; there is no pyproject.toml here that names one") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{asked}; pyproject.toml cannot be read: {error}") from None
    groups = table.get("project", {}).get("entry-points", {})
    entries: list[tuple[Kind, tuple[str, str]]] = [
        (kind, entry) for kind in KINDS for entry in groups.get(f"metagap.{kind}s", {}).items()
    ]
    if len(entries) != 1:
        names = ", ".join(name for _, (name, _) in entries)
        raise UserError(f"{asked}; pyproject.toml names {len(entries)} of them{f': {names}' if names else ''}")
    kind, (_, reference) = entries[0]
    module, _, attribute = reference.partition(":")
    return kind, f"./{module.replace('.', '/')}.py:{attribute}"
