"""What is common to data sets of images whose files lie on this machine: their splits, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, ClassVar

import numpy as np

from metagap.errors import UserError
from metagap.tasks.folders import kept, stamp
from metagap.tasks.images import ImageStore
from metagap.tasks.source import ImageSource
from metagap.tasks.sources.published import Published


class StoredSource(Published, ImageSource):
    """An image source whose files must be on this machine."""

    split_file: ClassVar[str] = ""
    """The file in `splits` with the class names of train, val and test; empty where no split is in general use."""
    complete: ClassVar[int] = 0
    """Images of the complete set, where the publisher states their number."""
    per_class: ClassVar[int] = 0
    """Images of every class of the complete set, where all have as many."""
    related: ClassVar[dict[str, str]] = {}
    """What is known of classes or images that other sources have too, by the name of the other source."""

    def stamp(self) -> Any:
        """That of every file and folder."""
        return [stamp(path) for path in self.paths()]

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """The pinned split; without one, no parts but `all`."""
        index = {name: i for i, name in enumerate(store.names)}
        return {part: [index[name] for name in names] for part, names in self.pinned().items()}

    def pinned(self) -> dict[str, list[str]]:
        """The class names of each part in the pinned split."""
        return pinned(self.split_file) if self.split_file else {}

    def check_classes(self, names: Sequence[str]) -> None:
        """Raise UserError unless every class of the pinned split is among those that were found."""
        expected = [name for part in self.pinned().values() for name in part]
        if missing := sorted(set(expected) - set(names)):
            few = ", ".join(f"'{name}'" for name in missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UserError(
                f"{self.title}: {len(missing)} of {len(expected)} classes are missing in '{self.paths()[0]}': {few}"
            )

    def remark(self) -> str:
        """That what is here is a part of the set, and which part."""
        if not self.complete and not self.per_class:
            return ""
        return kept("remarks", [self.title, self.complete, self.per_class, self.stamp()], self._remark)

    def _remark(self) -> str:
        reading = self.read()
        counts = np.bincount(reading.labels, minlength=len(reading.names))
        if self.per_class and 0 < counts.max() == counts.min() < self.per_class:
            return f"{self.title} here is a part: {counts.max()} of {self.per_class} images a class"
        complete = self.complete or self.per_class * len(counts)
        if counts.sum() < complete:
            return f"{self.title} here is a part: {counts.sum():,} of {complete:,} images"
        return ""


def pinned(name: str) -> dict[str, Any]:
    """A file of `splits`: facts about which classes are train, val and test, that no download changes."""
    return json.loads(resources.files("metagap.tasks").joinpath(f"splits/{name}.json").read_text(encoding="utf-8"))
