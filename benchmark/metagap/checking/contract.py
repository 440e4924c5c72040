"""What can be seen without running an algorithm: is it complete, is it explained?"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from metagap import registry
from metagap.checking.cases import Subject
from metagap.checking.findings import Fault, Note

METHODS = {
    "init": ("network", "class_count", "generator"),
    "adapt": ("meta", "support", "steps"),
    "adapt_path": ("meta", "support", "steps"),
    "predict": ("fast", "query_x"),
    "predict_path": ("path", "query_x"),
    "meta_gradient": ("meta", "episode"),
    "inner_step": ("fast", "support", "step"),
}
"""What each method is called with."""


def contract(subject: Subject) -> str:
    """A complete subclass of Algorithm whose methods can be called and whose fields are explained."""
    if wrong := registry.fault("algorithm", subject.cls):
        raise Fault(f"the class {wrong}")
    if problems := [*_signatures(subject.cls), *_fields(subject.cls)]:
        raise Fault("; ".join(problems))
    count = len(subject.cls.model_fields)
    return f"a complete subclass of Algorithm; {count} hyper-parameter{'s' * (count != 1)} with default and meaning"


def documentation(subject: Subject) -> str:
    """A docstring of its own, and a source."""
    if not subject.cls.__dict__.get("__doc__"):
        raise Note("the class has no docstring; its first line is what `metagap list` prints")
    if not getattr(subject.cls, "paper", ""):
        raise Note("`paper` is empty: where does it come from?")
    return "says what it is and where it comes from"


def _signatures(cls: type) -> Iterator[str]:
    for name, arguments in METHODS.items():
        method = getattr(cls, name, None)
        if method is None:
            continue
        try:
            inspect.signature(method).bind("self", *arguments)
        except TypeError as error:
            yield f"{name} cannot be called as {name}({', '.join(arguments)}): {error}"


def _fields(cls: type) -> Iterator[str]:
    for key, field in cls.model_fields.items():
        if field.is_required():
            yield f"field '{key}' has no default"
        if not field.description:
            yield f"field '{key}' has no description; write Field(..., description=\"...\")"
