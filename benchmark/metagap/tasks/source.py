"""The contract of a data source: typed options in, task distributions out."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from metagap import digests, kinds
from metagap.errors import UserError
from metagap.tasks import image_store
from metagap.tasks.episode import Tasks, TaskSpec
from metagap.tasks.folders import content, data_folder
from metagap.tasks.image_store import Reading
from metagap.tasks.images import RESIZING, ImageStore

DIGITS = 16
"""Of a digest of data, hexadecimal."""
PROBED = 32
"""Tasks that stand for the content of a source that does not say what that is."""

ImageSize = Annotated[int, Ge(1), Le(4096)]
"""Pixels a side."""

Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
"""Of whatever a source draws."""


class Part(NamedTuple):
    """Which classes of a source, and which of their images."""

    classes: str = "all"
    images: Literal["all", "train", "held-out"] = "all"


class Source(BaseModel):
    """A family of tasks with typed options, which are the keys of its table in a suite file.

    A subclass says what it is (docstring, `licence`, `citation`), declares its options as fields and gives its tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    kind: Any
    """Of its tasks: a `TaskKind`, or its name. A subclass gives it a type and a value."""
    licence: ClassVar[str]
    citation: ClassVar[str]
    has_parts: ClassVar[bool] = False
    """Whether its parts hold other tasks, whatever their kind, so that a split may not show those of training."""
    chooses_kind: ClassVar[bool] = False
    """Whether `kind` is an option, which by default is the kind of the suite."""
    named_by: ClassVar[str] = ""
    """The option whose value may follow the name of the source, as in `path:FOLDER`."""
    revision: ClassVar[int] = 1
    """Raised by its author when other tasks come of the same options and data."""

    def digest(self, classes: str = "all") -> str:
        """What identifies the content of these classes, wherever it lies: other content makes other cells.

        Here it is the bytes of all files and folders that options name, and some tasks; a source that reads other files
        should say it better. Raises UserError where data are missing or unfit.
        """
        found = hashlib.sha256(json.dumps([self.revision, *(content(path) for path in named_files(self))]).encode())
        tasks = self.tasks(Part(classes), "cpu")
        spec = TaskSpec(self.kind, kinds.find(self.kind).least_ways, 1, 1)
        with suppress(Exception):  # faults of its tasks are reported where they are checked
            for field in tasks.episode(tasks.draw(PROBED, spec, torch.Generator().manual_seed(0)), spec):
                found.update(field.cpu().contiguous().numpy().data)
        return found.hexdigest()[:DIGITS]

    def stamp(self) -> Any:
        """What changes with the files that are read; raises UserError where one is missing."""
        return None

    @abstractmethod
    def tasks(self, part: Part, device: torch.device | str) -> Tasks[Any]:
        """The distribution of tasks over this part. Raises UserError where the data are missing or unfit."""

    def remark(self) -> str:
        """What a reader of results must know of the data that are here, such as that they are not all; often empty.

        Raises UserError where data are missing.
        """
        return ""

    @property
    def has_images(self) -> bool:
        """Whether its tasks are those of an `ImageStore`, whose images can be shifted."""
        return False

    @property
    def trained_images(self) -> Literal["all", "train", "held-out"]:
        """Which images of the training classes are trained on."""
        return "all"

    def check_part(self, part: Part, allowed: list[str]) -> None:
        """Raise UserError unless the source has these classes, and no choice of images where it has none."""
        if part.classes not in allowed:
            raise UserError(f"no classes '{part.classes}' in {type(self).__name__}; allowed: {', '.join(allowed)}")
        if part.images != "all" and not self.has_images:
            raise UserError(f"images = '{part.images}': {type(self).__name__} has no images; leave the key out")


class ImageSource(Source):
    """A source of images: a subclass reads them and says which classes each part has."""

    kind: Literal["classification"] = "classification"
    image_size: ImageSize = Field(default=28, description="images are resized to this many pixels a side")
    channels: Literal[1, 3] = Field(default=1, description="1 for grey, 3 for colour")
    rotations: bool = Field(
        default=False, description="add every class turned by 90, 180 and 270 degrees as new classes"
    )
    rotations_meet: bool = Field(
        default=True,
        description="whether two rotations of a class may meet in a task; if not, one is drawn for each class",
    )
    normalise: bool = Field(
        default=False,
        description="as the suite's source: shift and scale all pixels by the statistics of the training images",
    )
    held_out_images: int = Field(default=0, ge=0, description="last images of every class kept out of training")
    train_classes: PositiveInt | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # so that cells without it stay what they were
        description="use so many classes of the part train, before rotations; fewer are a random choice among more",
    )
    train_images: PositiveInt | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="use the first so many images of every class of the part train; held-out ones stay",
    )

    about_parts: ClassVar[frozenset[str]] = frozenset(
        {"rotations", "rotations_meet", "held_out_images", "normalise", "train_classes", "train_images"}
    )
    """Options that no pixel depends on; a subclass adds its own."""

    about_looks: ClassVar[frozenset[str]] = frozenset()
    """Options by which the same images look different."""

    @property
    def has_images(self) -> bool:
        """Yes."""
        return True

    @property
    def trained_images(self) -> Literal["all", "train", "held-out"]:
        """Not those that are held out, if any are."""
        return "train" if self.held_out_images else "all"

    def looking_like(self, other: ImageSource) -> ImageSource:
        """This source with the looks of another, so that images of both can be compared."""
        theirs = {key: getattr(other, key) for key in {"image_size", *self.about_looks} & set(type(other).model_fields)}
        return self.model_copy(update=theirs)

    @abstractmethod
    def stamp(self) -> Any:
        """What the images depend on besides the options, as plain values; raises UserError where data are missing."""

    @abstractmethod
    def read(self) -> Reading:
        """The images with their classes, handwriting light on dark; a tuple of arrays and names will do.

        Raises UserError where a file is damaged or something is missing in it; damage of a single image may come to
        light only when that image is decoded.
        """

    @abstractmethod
    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """The classes of each part, as indices into `store`."""

    def digest(self, classes: str = "all") -> str:
        """Of the images of these classes and of their names, whatever they are packed in."""
        store = self.classes(classes)
        about = [RESIZING, self.revision, store.names, store.digests]
        return digests.of_value(about)[:DIGITS]

    def store(self, device: torch.device | str = "cpu") -> ImageStore:
        """All classes at `image_size`; decoded once and kept in the user's cache folder, and by this process."""
        options = self.model_dump(mode="json", exclude=set(self.about_parts))
        digest = digests.of_value([image_store.FORMAT, self.stamp(), options])[:16]
        name = type(self).__name__
        key = (f"{name.lower()}-{digest}", str(device))
        if key not in _stores:
            if str(device) == "cpu":
                called = getattr(self, "called", name)
                _stores[key] = image_store.load(key[0], called, self.read, self.image_size, self.channels)
            else:
                _stores[key] = self.store().to(device)
        return _stores[key]

    def tasks(self, part: Part, device: torch.device | str) -> ImageStore:
        """The store of this part on `device`. Parts are views: they share its images."""
        store = self.classes(part.classes, device)
        if part.images != "all" and not self.held_out_images:
            raise UserError(f"images = '{part.images}' needs held_out_images > 0 in the source")
        if part.images == "train":
            store = store.without_last(self.held_out_images)
        elif part.images == "held-out":
            store = store.only_last(self.held_out_images)
        if self.train_images is not None and part.classes in ("train", "all") and part.images != "held-out":
            store = self._first_images(store, part)
        return store.rotated(self.rotations_meet) if self.rotations else store

    def classes(self, classes: str, device: torch.device | str = "cpu") -> ImageStore:
        """The store of these classes with all their images, not rotated."""
        store = self.store(device)
        parts = {**self.parts(store), "all": list(range(store.class_count))}
        self.check_part(Part(classes), list(parts))
        chosen = parts[classes]
        if self.train_classes is not None and classes in ("train", "all"):
            chosen = self._some_classes(classes, chosen)
        return store.subset(chosen)

    def _some_classes(self, part: str, classes: list[int]) -> list[int]:
        """`train_classes` of the training classes, in their order: whatever the number, the same ones come first."""
        count = self.train_classes or 0
        if part != "train":
            raise UserError(f"train_classes = {count} is about classes = 'train', and classes = '{part}' are asked for")
        if count > len(classes):
            raise UserError(f"train_classes = {count}: there are {len(classes)} training classes")
        order = np.random.default_rng(0).permutation(len(classes))[:count]
        return [classes[place] for place in sorted(order)]

    def _first_images(self, store: ImageStore, part: Part) -> ImageStore:
        count, most = self.train_images or 0, int(store.size.max())
        if part.classes != "train":
            raise UserError(
                f"train_images = {count} is about classes = 'train', and classes = '{part.classes}' are asked for"
            )
        if part.images == "all" and self.held_out_images:
            raise UserError(
                f"train_images = {count}: images = 'all' of the training classes would be held-out ones, too; allowed: "
                "images = 'train' or 'held-out'"
            )
        if count > most:
            raise UserError(f"train_images = {count}: the training classes have up to {most} images to train on")
        return store.only_first(count)


def named_files(value: Any) -> Iterator[Path]:
    """The files and folders that options name, wherever they are looked up."""
    if isinstance(value, str | Path) and str(value):
        places = (Path(value).expanduser(), data_folder() / value)
        yield from [place for place in places if place.exists()][:1]
    elif isinstance(value, BaseModel | Mapping):
        for _, one in value.items() if isinstance(value, Mapping) else value:
            yield from named_files(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from named_files(one)


_stores: dict[tuple[str, str], ImageStore] = {}
"""The stores of this process, by key and device."""
