"""Leaks: classes and images that two stores share, although one of them is to be new to whoever knows the other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import NamedTuple

from metagap.progress import progress
from metagap.tasks.images import ImageStore


class Overlap(NamedTuple):
    """What two parts of sources have in common."""

    first: str
    second: str
    classes: list[str]
    """Names that both have, whatever their case and whether words are joined by spaces, dashes or underscores."""
    images: list[tuple[str, str, int]]
    """A class of the first, one of the second, and how many of its images are among those of the other as well."""
    size: int
    """The images were compared at this many pixels a side."""
    notes: list[str]
    """What is known of the two that no comparison shows."""

    def __str__(self) -> str:
        return "\n".join([self._of_classes(), self._of_images(), *(f"Known of them: {note}." for note in self.notes)])

    def _of_classes(self) -> str:
        if not self.classes:
            return f"{self.first} and {self.second} share no class by name."
        return f"{self.first} and {self.second} share {_count(self.classes, 'class')} by name: {_few(self.classes)}."

    def _of_images(self) -> str:
        where = f"to the last pixel, at {self.size}x{self.size}"
        if not self.images:
            return f"They share no image {where}."
        pairs = [f"'{a}' of the first and '{b}' of the second have {n} in common" for a, b, n in self.images]
        total = sum(n for *_, n in self.images)
        return f"They share {total:,} {'image' if total == 1 else 'images'} {where}: {_few(pairs, '; ')}."


def shared(first: str, a: ImageStore, second: str, b: ImageStore, notes: list[str]) -> Overlap:
    """Classes by name, and images by a hash of their pixels; the stores have images of the same shape."""
    ours, theirs = ({_plain(name): name for name in store.names} for store in (a, b))
    classes = sorted(theirs[name] for name in ours.keys() & theirs.keys())
    known = _hashes(a, first)
    pairs: Counter[tuple[str, str]] = Counter()
    for digest, name in _hashes(b, second).items():
        if digest in known:
            pairs[known[digest], name] += 1
    images = [(one, other, count) for (one, other), count in sorted(pairs.items(), key=lambda item: -item[1])]
    return Overlap(first, second, classes, images, a.x_shape[-1], notes)


def _hashes(store: ImageStore, what: str) -> dict[bytes, str]:
    """The class of every image, by a hash of its pixels."""
    found = {}
    with progress(f"comparing {what}", int(store.size.sum())) as advance:
        for name, start, size in zip(store.names, store.start.tolist(), store.size.tolist(), strict=True):
            for image in store.images[start : start + size].numpy():
                found[hashlib.blake2b(image.tobytes(), digest_size=16).digest()] = name
            advance(size)
    return found


def _plain(name: str) -> str:
    """A class name in one spelling."""
    return re.sub(r"[\s_-]+", " ", name).casefold()


def _few(items: list[str], between: str = ", ") -> str:
    return between.join(items[:5]) + (f"{between}and {len(items) - 5} more" if len(items) > 5 else "")


def _count(items: list[str], what: str) -> str:
    return f"one {what}" if len(items) == 1 else f"{len(items):,} {what}es"
