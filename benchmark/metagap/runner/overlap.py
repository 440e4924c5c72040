"""What a split shares with the classes that are trained on: found by content, however the data are spelled."""

from __future__ import annotations

from typing import Any, NamedTuple

from metagap.errors import UserError
from metagap.suite import Split, Suite, make_source
from metagap.tasks import leaks
from metagap.tasks.folders import kept
from metagap.tasks.images import ImageStore
from metagap.tasks.record_source import RecordSource
from metagap.tasks.source import ImageSource, Part
from metagap.tasks.sources.mixture import Mixture
from metagap.text import listed

NEW = ("in-distribution", "meta-val")
"""Roles of classes that must be none that was trained on."""
MOST = 0.5
"""Of the images of a class: if more of them are those of a training class, the two are one."""


class Shared(NamedTuple):
    """A class of a split with images of a training class."""

    training: str
    split: str
    images: int
    """So many of them are the same."""
    size: int
    """So many there are in the split's class."""


def overlap(suite: Suite, split: Split) -> list[str]:
    """Sentences on the images that a split shares with the training classes.

    Raises UserError where classes of the split are training classes although its role says that they are new. Rotated,
    inverted or resized images of a class are of that class, in whatever file or folder they lie. A cross-domain split
    may show training classes in another way; only images that look the same are spoken of.
    """
    training, tested = (_members(make_source(table)) for table in (suite.source, split.source))
    return [line for one in training for other in tested for line in _overlap(suite, split, one, other)]


def _members(source: Any) -> list[Any]:
    """The sources of a mixture; any other is one by itself."""
    return [*source.members.values()] if isinstance(source, Mixture) else [source]


def _overlap(suite: Suite, split: Split, training: Any, tested: Any) -> list[str]:
    if isinstance(training, RecordSource) and isinstance(tested, RecordSource) and split.role in NEW:
        _refuse_known(suite, split, training, tested)
    if not (isinstance(training, ImageSource) and isinstance(tested, ImageSource)):
        return []
    new = split.role in NEW
    if new:
        tested = tested.looking_like(training)
    if split.role not in (*NEW, "cross-domain") or tested.channels != training.channels:
        return []
    a, b = training.classes(suite.training_classes), tested.classes(split.classes)
    found = _shared(a, b)
    if new and (same := [one for one in found if one.images > MOST * one.size]):
        few = "; ".join(f"'{one.split}' is '{one.training}'" for one in same[:3]) + ("; ..." if len(same) > 3 else "")
        raise UserError(
            f"split '{split.name}': {len(same)} of its {b.class_count} classes are training classes, by their images: "
            f"{few}; role {split.role} needs new classes"
        )
    if not found:
        return []
    images, classes = sum(one.images for one in found), len({one.split for one in found})
    example = f"'{found[0].split}' and '{found[0].training}'"
    return [
        f"Split '{split.name}' shares {images:,} exact image{'s' * (images != 1)} with the training classes, in "
        f"{classes} of its {b.class_count} classes, such as {example}."
    ]


def _refuse_known(suite: Suite, split: Split, training: RecordSource, tested: RecordSource) -> None:
    """Refuse a split with tasks or classes that are trained on: such of the same name in the same file, whatever
    examples of them are chosen, and such of another file with mostly the same examples."""
    a, b = training.tasks(Part(suite.training_classes), "cpu"), tested.tasks(Part(split.classes), "cpu")
    trained = set(a.units)
    same = [name for name in b.units if name in trained]
    if (type(training), training.stamp()) != (type(tested), tested.stamp()):
        known = {name: set(a.only([name]).fingerprints) for name in same}
        own = {name: b.only([name]).fingerprints for name in same}
        same = [name for name in same if sum(one in known[name] for one in own[name]) > MOST * len(own[name])]
    if same:
        what = "tasks" if b.of_file else "classes"
        raise UserError(
            f"split '{split.name}': {len(same)} of its {len(b.units)} {what} are trained on: {listed(same)}; role "
            f"{split.role} needs new ones"
        )


def _shared(a: ImageStore, b: ImageStore) -> list[Shared]:
    """The classes of `b` that share images with one of `a`, kept in the cache folder."""
    if a.x_shape != b.x_shape:
        return []
    facts = [[store.names, store.digests, store.x_shape] for store in (a, b)]
    sizes = dict(zip(b.names, b.size.tolist(), strict=True))
    pairs = kept("overlaps", facts, lambda: leaks.shared("training", a, "split", b, []).images)
    return [Shared(one, other, count, sizes[other]) for one, other, count in pairs]
