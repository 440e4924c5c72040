"""Finding algorithms, models and sources by name: built-in ones and plugins are found the same way.

A name is either an entry point of the groups `metagap.algorithms`, `metagap.models` and `metagap.sources`, or
`path/to/file.py:ClassName`.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import inspect
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import UserError

Kind = Literal["algorithm", "model", "source"]


@cache
def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=f"metagap.{kind}s"), key=lambda entry: entry.name)}


def names(kind: Kind) -> list[str]:
    """The registered names of this kind, sorted."""
    return list(_entries(kind))


def load(kind: Kind, name: str) -> Any:
    """The class registered as `name`, or the class of `path/to/file.py:ClassName`.

    Raises UserError where there is no such name, file or class, or where importing it fails.
    """
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        return getattr(_import_file(Path(path), kind), attribute, None) or _no_class(kind, path, attribute)
    if name not in _entries(kind):
        raise UserError(f"unknown {kind} '{name}'{suggest(name, names(kind))}")
    try:
        return _entries(kind)[name].load()
    except Exception as error:
        raise UserError(f"{kind} '{name}' ({_entries(kind)[name].value}) cannot be imported: {error!r}") from error


def fingerprint(kind: Kind, name: str) -> str | None:
    """A digest of the file behind `path/to/file.py:ClassName`, so that an edited plugin is a different algorithm."""
    path, colon, _ = name.rpartition(":")
    if not (colon and path.endswith(".py")):
        return None
    load(kind, name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def suggest(name: str, allowed: list[str]) -> str:
    """The end of an error message: the closest allowed name, and all of them."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return (f"; did you mean '{close[0]}'?" if close else ";") + f" allowed: {', '.join(allowed)}"


def summary(thing: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


@cache
def _import_file(path: Path, kind: Kind) -> Any:
    if not path.is_file():
        raise UserError(f"no file '{path}' to take a {kind} from; write it as path/to/file.py:ClassName")
    name = f"metagap_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{kind} file '{path}' cannot be imported: {error!r}") from error
    return module


def _no_class(kind: Kind, path: str, attribute: str) -> Any:
    module = _import_file(Path(path), kind)
    classes = [
        key for key, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    raise UserError(f"no class '{attribute}' in '{path}'{suggest(attribute, classes)}")
