"""What is common to published examples that are no images: their files, and the parts that papers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metagap.tasks.folders import stamp
from metagap.tasks.record_source import PARTS, RecordSource
from metagap.tasks.sources.published import Published


class StoredRecords(Published, RecordSource):
    """A source of examples whose files must be on this machine."""

    def stamp(self) -> Any:
        """That of every file and folder."""
        return [stamp(path) for path in self.paths()]

    def split(self) -> Mapping[str, Sequence[str]]:
        """The classes or tasks of train, val and test that papers have; empty where there is no such split."""
        return {}

    def named_parts(self) -> dict[str, list[str]]:
        """Those of the options, or else those of papers."""
        own, known = super().named_parts(), self.split()
        return own if any(own.values()) else {part: [*known.get(part, ())] for part in PARTS}
