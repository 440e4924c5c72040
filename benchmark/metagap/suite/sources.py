"""What the sources of a suite hold, identified by a digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metagap import digests, registry
from metagap.errors import UserError, foreign
from metagap.source_tables import make_source, registered_name
from metagap.suite.schema import Split


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


def with_options(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A split's own source; one without a name is the suite's with other options."""
    return dict(own) if "name" in own else {**base, **own}
