"""Sources by their tables: made, and what they hold identified by a digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metagap import digests, registry
from metagap.errors import UserError, foreign
from metagap.suite.schema import Split


def make_source(table: Mapping[str, Any]) -> Any:
    """The source that a resolved table describes."""
    source, options = source_of(table)
    return source(**options)


def content(source: Mapping[str, Any], classes: str) -> str | None:
    """A digest of what these classes of a source hold; None where its data are missing or unfit, or it fails."""
    try:
        with foreign(f"source '{source['name']}'"):
            found = make_source(source).digest(classes)
    except UserError:
        return None
    plugin = registry.fingerprint("source", registered_name(source))
    return f"{found}-{plugin}" if plugin else found


def split_content(split: Split) -> str | None:
    """A digest of what a split shows, with what its images are corrupted by; None where its data are missing."""
    found, shift = content(split.source, split.classes), split.shift
    if found is None or shift is None:
        return found
    code = [registry.load("shift", shift.kind).revision, registry.fingerprint("shift", shift.kind)]
    return f"{found}-{digests.of_value([shift.model_dump(), *code])[:10]}"


def registered_name(source: Mapping[str, Any]) -> str:
    """The name that a source is registered under."""
    return "path" if source["name"].startswith("path:") else source["name"]


def source_of(table: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of the source that a table names, and its options."""
    options = {key: value for key, value in table.items() if key != "name"}
    name = table["name"]
    if name.startswith("path:"):
        return registry.load("source", "path"), {"path": name.removeprefix("path:"), **options}
    return registry.load("source", name), options
