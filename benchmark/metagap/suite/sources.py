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
    return _apart(source["name"])[0]


def source_of(table: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of the source that a table names, and its options."""
    name, value = _apart(table["name"])
    found = registry.load("source", name)
    options = {key: given for key, given in table.items() if key != "name"}
    if value is None:
        return found, options
    if not found.named_by:
        raise UserError(f"'{name}' takes nothing after its name, and '{value}' follows it")
    return found, {found.named_by: value, **options}


def named_table(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """A table of the same source with all options, of which the one that may follow its name does."""
    fixed = set() if source.chooses_kind else {"kind"}
    options, name = source.model_dump(mode="json", exclude=fixed), registered_name(table)
    if source.named_by:
        name = f"{name}:{options.pop(source.named_by)}"
    return {"name": name, **options}


def with_options(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A split's own source; one without a name is the suite's with other options."""
    return dict(own) if "name" in own else {**base, **own}


def _apart(name: str) -> tuple[str, str | None]:
    """The registered name of a source, and what follows it after a colon, unless this is the name of a class."""
    first, colon, rest = name.partition(":")
    return (first, rest) if colon and first in registry.names("source") else (name, None)
