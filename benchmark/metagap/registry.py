"""Finding algorithms, models and sources by name: built-in ones and plugins are found the same way.

A name is either an entry point of one of the groups `metagap.algorithms`, `.models`, `.sources`, `.metrics`, `.kinds`,
`.optimizers`, `.quantities`, `.executors` and `.shifts`, or `path/to/file.py:Name`. It may also stand for something of
learn2learn's: for a learner, or for a function that gives tasksets, of which `metagap.bridges` makes an algorithm or a
source. Whatever is wrong with a plugin is said in a UserError that names it, and only when it is asked for by its name.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import logging
import signal
import sys
import threading
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from metagap import digests
from metagap.errors import UserError

Kind = Literal["algorithm", "model", "source", "metric", "kind", "optimizer", "quantity", "executor", "shift"]


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """By which it is found."""
        ...


T = TypeVar("T", bound=Named)

log = logging.getLogger("metagap.plugins")

OURS = "metagap"
"""The distribution whose names nobody else can take."""

BASES: dict[Kind, tuple[str, str]] = {
    "algorithm": ("metagap.algorithms.base", "Algorithm"),
    "model": ("torch.nn.modules.module", "Module"),
    "source": ("metagap.tasks.source", "Source"),
    "metric": ("metagap.metrics.metric", "Metric"),
    "kind": ("metagap.kinds.kind", "TaskKind"),
    "optimizer": ("metagap.optimizers.optimizer", "OuterOptimizer"),
    "quantity": ("metagap.quantities.quantity", "Quantity"),
    "executor": ("metagap.executors.executor", "Executor"),
    "shift": ("metagap.tasks.corruptions.corruption", "Corruption"),
}
"""The module and the name of the class that each kind derives from, or is an instance of."""

OBJECTS: tuple[Kind, ...] = ("metric", "kind", "optimizer", "quantity", "executor", "shift")
"""Kinds of which objects are registered, not classes."""

BRIDGES: dict[Kind, str] = {"algorithm": "metagap.bridges.learners", "source": "metagap.bridges.tasksets"}
"""The module whose function `bridged` makes a class of this kind of what learn2learn's users have."""


IMPORT_SECONDS = 120.0
"""What importing a plugin may take."""


def plural(kind: str) -> str:
    """What several of a kind are called: in entry points, and in `metagap list`."""
    return f"{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{kind}s"


def names(kind: Kind) -> list[str]:
    """The registered names of this kind, sorted."""
    return list(_claims(kind))


def load(kind: Kind, name: str) -> Any:
    """The class or object registered as `name`, or that of `path/to/file.py:Name`.

    Raises UserError where there is no such name, file or object, where two packages claim the name, where importing it
    fails, or where it is not a complete one of its kind.
    """
    found = find(kind, name)
    if wrong := fault(kind, found):
        raise UserError(f"{kind} '{name}' {wrong}")
    return found


def find(kind: Kind, name: str) -> Any:
    """What `load` gives, whether or not it is a complete one of its kind."""
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        found = getattr(_import_file(Path(path), kind), attribute, None) or _no_class(kind, path, attribute)
        return _bridged(kind, found)
    entry = _entry(kind, name)
    with _importing(f"{kind} '{name}' ({_origin(entry)})"):
        found = entry.load()
    return _bridged(kind, found)


def load_named(kind: Kind, name: str) -> Any:
    """What `load` gives, an object that calls itself by the name that it is registered under; else raises UserError."""
    found = load(kind, name)
    if found.name != name and ".py:" not in name:
        raise UserError(f"{kind} '{name}' calls itself '{found.name}'; it has to be registered under its own name")
    return found


def intact(kind: Kind, name: str) -> Any | None:
    """What `load` gives; None where it raises UserError, for lists that a broken plugin must not spoil."""
    try:
        return load(kind, name)
    except UserError:
        return None


def function(reference: str | Callable[..., Any], what: str) -> Callable[..., Any]:
    """The function itself, or the one that `package.module:name` names. Raises UserError, which begins with `what`."""
    if callable(reference):
        return reference
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise UserError(f"{what} is '{reference}'; allowed: package.module:name of a function, or a function")
    with _importing(f"{what} ({reference})"):
        found = getattr(importlib.import_module(module), name)
    if not callable(found):
        raise UserError(f"{what} ({reference}) is no function but {type(found).__name__}")
    return found


def fault(kind: Kind, found: Any) -> str:
    """What keeps it from being a complete one of this kind; empty where nothing does."""
    if kind in OBJECTS:
        return "" if _is_one(kind, found) else f"is no {BASES[kind][1]} but {type(found).__name__}: {found!r:.80}"
    if not inspect.isclass(found):
        return f"is not a class but {type(found).__name__}: {found!r:.80}"
    if not _derives(kind, found):
        return f"does not derive from {'.'.join(BASES[kind])}"
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        return f"does not implement {' and '.join(missing)}"
    return ""


def has_plugins() -> bool:
    """Whether another package than metagap has registered anything."""
    found = entry_points()
    groups = [group for group in found.groups if group.startswith(f"{OURS}.")]
    return any(_owner(entry) != OURS for group in groups for entry in found.select(group=group))


def clashes(kind: Kind) -> list[str]:
    """A message for every plugin that is not used because metagap has one of that name."""
    return [
        f"{kind} '{name}' of {_origin(entry)} is not used, for metagap has one of that name; it needs another name"
        for name, claims in _claims(kind).items()
        for entry in claims
        if _owner(entry) != OURS and any(_owner(other) == OURS for other in claims)
    ]


def objects(kind: str, of: type[T], ours: Iterable[T]) -> tuple[list[T], list[str]]:
    """Ours in their order and then those of plugins: objects with a `name`, for kinds that are objects, not classes.

    Their entry points are in the group `metagap.KINDs`. Returns them, and a sentence for each plugin that is not used.
    """
    found, faults = {(type(one), one.name): one for one in ours}, []
    for name, claims in _claims(kind).items():
        for entry in claims:
            what = f"{kind} '{name}' of {_origin(entry)}"
            try:
                with _importing(what):
                    one = entry.load()
            except UserError as error:
                faults.append(f"{error}")
            else:
                if not isinstance(one, of):
                    faults.append(f"{what} is no {of.__name__} but {type(one).__name__}: {one!r:.80}")
                elif (type(one), one.name) in found:
                    faults.append(f"{what} is not used, for there is one called '{one.name}'; it needs another name")
                else:
                    found[type(one), one.name] = one
    return list(found.values()), faults


def fingerprint(kind: Kind, name: str) -> str | None:
    """A digest of the file that a plugin is in, so that an edited plugin is a different one. Ours have none."""
    path, colon, _ = name.rpartition(":")
    if colon and path.endswith(".py"):
        load(kind, name)
    elif _owner(_entry(kind, name)) == OURS:
        return None
    else:
        found = load(kind, name)
        path = inspect.getsourcefile(sys.modules[_entry(kind, name).module] if kind in OBJECTS else found) or ""
    return digests.of_file(Path(path))[:12] if path else None


def revision(kind: Kind, name: str) -> int:
    """1, and more with every correction of the class that is registered as `name` or of what it derives from.

    A correction is a `revision` of 2, 3, ... in the body of the class that was corrected.
    """
    own = (vars(base).get("revision") for base in load(kind, name).__mro__)
    return 1 + sum(number - 1 for number in own if type(number) is int)


def only_class(kind: Kind, path: str) -> str:
    """`path:ClassName` for a file that defines one class of this kind; raises UserError for none or several."""
    classes = {name: value for name, value in _defined(Path(path), kind).items() if inspect.isclass(value)}
    found = [name for name, value in classes.items() if not fault(kind, _bridged(kind, value))]
    if len(found) != 1:
        count = f"{len(found)} classes" if found else "no class"
        named = f": {', '.join(found)}" if found else ""
        raise UserError(f"{count} of kind {kind} in '{path}'{named}; say which one: {path}:ClassName")
    return f"{path}:{found[0]}"


FEW = 12
"""Names that a message lists; of more it shows some."""


def suggest(name: str, allowed: list[str], listed: str = "") -> str:
    """The end of an error message: the closest allowed name, and all of them where these are few.

    listed: the command that prints them all.
    """
    if not allowed:
        return ""
    close = difflib.get_close_matches(name, allowed, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ";"
    if len(allowed) <= FEW:
        return f"{meant} allowed: {', '.join(allowed)}"
    all_of_them = f"`{listed}` has all {len(allowed)}" if listed else f"there are {len(allowed)}"
    return f"{meant} {all_of_them}" if close else f"; allowed: {', '.join(allowed[:FEW])}, ...; {all_of_them}"


def summary(thing: Any) -> str:
    """The first line of a docstring, or what an object says of itself."""
    if not inspect.isclass(thing) and isinstance(about := getattr(thing, "about", None), str):
        return about
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def options(maker: Callable[..., Any], given: int) -> dict[str, tuple[Any, Any]]:
    """Type and default of each argument that a class or function has after the first `given` ones, which are ours.

    The default is `...` where there is none, the type that of the default where it is not written down.
    """
    try:
        hints = typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker, include_extras=True)
    except NameError:  # imported for type checkers alone
        hints = {}
    arguments = list(inspect.signature(maker).parameters.values())[given:]
    return {
        a.name: (
            hints.get(a.name, Any if a.default is a.empty or a.default is None else type(a.default)),
            ... if a.default is a.empty else a.default,
        )
        for a in arguments
        if a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)
    }


def _derives(kind: Kind, found: Any) -> bool:
    return any((base.__module__, base.__name__) == BASES[kind] for base in getattr(found, "__mro__", ()))


def _is_one(kind: Kind, found: Any) -> bool:
    return not inspect.isclass(found) and _derives(kind, type(found))


def _bridged(kind: Kind, found: Any) -> Any:
    """What was found, or a class of this kind made of it."""
    if kind not in BRIDGES or not callable(found) or _derives(kind, found):
        return found
    return importlib.import_module(BRIDGES[kind]).bridged(found)


@cache
def _claims(kind: str) -> dict[str, list[EntryPoint]]:
    """The entry points of every name: more than one where packages clash."""
    claims: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=f"metagap.{plural(kind)}"), key=lambda entry: (entry.name, _origin(entry))):
        others = claims.setdefault(entry.name, [])
        if _origin(entry) not in map(_origin, others):
            others.append(entry)
    return claims


def _entry(kind: Kind, name: str) -> EntryPoint:
    """The entry point that a name stands for: ours, or the only one. Raises UserError for none or several."""
    claims = _claims(kind).get(name)
    if not claims:
        hint = suggest(name, names(kind), f"metagap list {plural(kind)}")
        raise UserError(f"unknown {kind} '{name}'{hint}")
    chosen = [entry for entry in claims if _owner(entry) == OURS] or claims
    if len(chosen) > 1:
        raise UserError(
            f"{kind} '{name}' is claimed by {len(chosen)} packages, {' and '.join(map(_origin, chosen))}: uninstall "
            "all but one, or write path/to/file.py:ClassName"
        )
    return chosen[0]


def _owner(entry: EntryPoint) -> str:
    """The distribution that an entry point belongs to."""
    return _name(entry.dist) if entry.dist is not None else "an unknown package"


@cache
def _name(package: Distribution) -> str:
    """What a distribution is called, which is read from a file of it."""
    return package.name


def _origin(entry: EntryPoint) -> str:
    return f"{_owner(entry)} ({entry.value})"


def _import_file(path: Path, kind: Kind) -> Any:
    if not path.is_file():
        article, attribute = "an" if kind[0] in "aeo" else "a", "NAME" if kind in OBJECTS else "ClassName"
        raise UserError(f"no file '{path}' to take {article} {kind} from; write it as path/to/file.py:{attribute}")
    with _importing(f"{kind} file '{path}'"):
        return _module(path.resolve())


@contextmanager
def _importing(what: str) -> Iterator[None]:
    """Raises UserError, which begins with `what`, where an import fails or takes too long."""
    try:
        with _limited(what):
            yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} cannot be imported: {_with_remedy(error)}") from error


@contextmanager
def _limited(what: str) -> Iterator[None]:
    """Raises UserError where an import takes longer than `IMPORT_SECONDS`: one that waits for something never ends."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise UserError(f"{what} is not imported after {IMPORT_SECONDS:g} s: does it wait for something?")

    before = signal.signal(signal.SIGALRM, stop)
    outer = signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)[0]  # an import may begin inside of another
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, outer)
        signal.signal(signal.SIGALRM, before)


def _with_remedy(error: BaseException) -> str:
    """The error, and what to do where learn2learn is not installed or the plugin is older than our name."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if missing == "learn2learn":
        return f"{error!r}; install the extra: pip install 'metagap[learn2learn]'"
    if missing == "benchmark":
        return f"{error!r}; the package is called metagap: write `from metagap` instead of `from benchmark`"
    return repr(error)


@cache
def _module(path: Path) -> Any:
    log.info("runs the code in '%s'", path)
    name = f"metagap_plugin_{digests.of_text(str(path))[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _no_class(kind: Kind, path: str, attribute: str) -> Any:
    what = BASES[kind][1] if kind in OBJECTS else "class"
    raise UserError(f"no {what} '{attribute}' in '{path}'{suggest(attribute, list(_defined(Path(path), kind)))}")


def _defined(path: Path, kind: Kind) -> dict[str, Any]:
    """The classes that a file defines, and for sources the functions too; or the objects of this kind that it has."""
    module = _import_file(path, kind)
    if kind in OBJECTS:
        return {name: value for name, value in vars(module).items() if _is_one(kind, value)}
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    return {k: v for k, v in own.items() if inspect.isclass(v) or (kind == "source" and inspect.isfunction(v))}
