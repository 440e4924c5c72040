"""A data set of images as one tensor, and the sampler that draws whole meta-batches from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from metagap.errors import UserError
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.groups import GroupDraw, Grouped, Mix, choose, parted, placed

CPU = torch.device("cpu")

RESIZING = 1
"""Changes when `resize` makes other pixels of the same images, which makes other cells of them."""


@dataclass(frozen=True)
class ImageStore(Grouped):
    """Images of many classes, and the tasks that can be drawn from them.

    Class c is `images[start[c] : start[c] + size[c]]`, turned by `turns[c]` quarter turns. Subsets, held-out images and
    rotated classes are therefore views: they share the one image tensor.
    """

    images: Tensor
    """(n, C, H, W) uint8, grouped by class; in memory, or a file that is mapped into it."""
    start: Tensor
    """(classes,) int64."""
    size: Tensor
    """(classes,) int64."""
    turns: Tensor
    """(classes,) int64, quarter turns counter-clockwise."""
    names: tuple[str, ...]
    """(classes,) one name per class."""
    meet: bool = True
    """Whether two rotations of a class may be classes of one task."""
    digests: tuple[str, ...] = ()
    """(classes,) of the images of each class as they were before they were resized; empty where nobody needs them."""
    parts: tuple[str, ...] = ()
    """(classes,) the part that each class is in by its files; empty where they do not say."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know of how the files were read."""
    mean: float = 0.0
    """Subtracted from pixels in [0, 1] ..."""
    std: float = 1.0
    """... before they are divided by this."""
    device: torch.device = CPU
    shift: Callable[[Tensor, Tensor], Tensor] | None = None
    """Gives images (n, C, H, W) uint8, and which ones of `images` they are (n,), as they are seen in this store."""
    mix: Mix | None = None
    _ready: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    example = "image"

    @classmethod
    def from_labels(cls, images: Tensor, labels: Tensor, names: Sequence[str]) -> ImageStore:
        """A store of images (n, C, H, W) uint8 with labels (n,) in 0..len(names)-1, in any order."""
        order = torch.argsort(labels, stable=True)
        size = torch.bincount(labels, minlength=len(names))
        start, turns = size.cumsum(0) - size, torch.zeros_like(size)
        return cls(images[order].contiguous(), start, size, turns, tuple(names), device=images.device)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.images.shape[1:])

    @property
    def class_count(self) -> int:
        """Number of classes, rotated ones included."""
        return len(self.names)

    def subset(self, classes: Sequence[int]) -> ImageStore:
        """The store of these classes only, in this order."""
        index = torch.as_tensor(classes, dtype=torch.long)
        named = {
            field: tuple(getattr(self, field)[c] for c in classes)
            for field in ("names", "digests", "parts")
            if getattr(self, field)
        }
        return dataclasses.replace(
            self, start=self.start[index], size=self.size[index], turns=self.turns[index], **named
        )

    def rotated(self, meet: bool = True) -> ImageStore:
        """Every class four times, turned by 0, 90, 180 and 270 degrees, as new classes (Santoro et al. 2016).

        meet: whether two of the four may be drawn for one task.
        """
        if self.x_shape[1] != self.x_shape[2]:
            raise UserError(f"rotations need square images, these are {self.x_shape[1]} x {self.x_shape[2]}")
        return dataclasses.replace(
            self,
            start=self.start.repeat(4),
            size=self.size.repeat(4),
            turns=torch.cat([(self.turns + turn) % 4 for turn in range(4)]),
            names=tuple(f"{name}/{90 * turn}" if turn else name for turn in range(4) for name in self.names),
            meet=meet,
            digests=self.digests * 4,
            parts=self.parts * 4,
        )

    def without_last(self, count: int) -> ImageStore:
        """Every class without its last `count` images, which are held out."""
        return dataclasses.replace(self, size=(self.size - count).clamp(min=0))

    def only_first(self, count: int) -> ImageStore:
        """Every class with nothing but its first `count` images."""
        return dataclasses.replace(self, size=self.size.clamp(max=count))

    def only_last(self, count: int) -> ImageStore:
        """Every class with nothing but its last `count` images."""
        kept = self.size.clamp(max=count)
        return dataclasses.replace(self, start=self.start + self.size - kept, size=kept)

    def normalised(self, mean: float, std: float) -> Self:
        """The same store with pixels in [0, 1] shifted by `mean` and divided by `std`."""
        return dataclasses.replace(self, mean=mean, std=std)

    def like(self, training: Any) -> Self:
        """The same store, normalised as that of the training tasks."""
        return self.normalised(training.mean, training.std)

    def shifted(self, shift: Callable[[Tensor, Tensor], Tensor]) -> ImageStore:
        """The same store of images that are changed as they are looked up, so that those of a file stay there."""
        return dataclasses.replace(self, shift=shift)

    def to(self, device: torch.device | str) -> ImageStore:
        """The same store for episodes on `device`, where the images are too if they fit. The index stays on the CPU."""
        device = torch.device(device)
        return dataclasses.replace(self, device=device, images=placed(self.images, device))

    @property
    def examples(self) -> Tensor:
        """The images."""
        return self.images

    def episode(self, draw: GroupDraw, spec: TaskSpec) -> Episode:
        """Look the drawn images up: a batch of len(draw) tasks, float32, on the device of the store."""
        device, classes = self.device, draw.classes.to(self.device)
        rows, y = draw.arranged(spec)
        rows, y = rows.to(self.images.device), y.to(device)
        images = (self.images[rows] if self.shift is None else self._shifted(rows)).to(device)
        if self._turned:
            turns = self._on(device, "turns", lambda: self.turns)[classes].gather(1, y)
            quarter = torch.arange(images.shape[-1] * images.shape[-2], device=device).view(images.shape[-2:])
            pixels = torch.stack([quarter.rot90(k).flatten() for k in range(4)])[turns]
            index = pixels[:, :, None].expand(*images.shape[:3], -1)
            images = images.flatten(-2).gather(-1, index).view(images.shape)
        x = images.float() / 255
        if (self.mean, self.std) != (0.0, 1.0):
            x = (x - self.mean) / self.std
        (support_x, query_x), (support_y, query_y) = parted(x, spec), parted(y, spec)
        return Episode(support_x, support_y, query_x, query_y, classes)

    def sample(self, draw: GroupDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first task as it looks: images (n, C, H, W) uint8, labels (n,), class names (ways,)."""
        episode = Episode(*(field[0].cpu() for field in self.normalised(0.0, 1.0).episode(draw[:1], spec)))
        images = {name: (getattr(episode, name) * 255).round().to(torch.uint8) for name in ("support_x", "query_x")}
        labels = {"support_y": episode.support_y, "query_y": episode.query_y}
        names = np.array([self.names[c] for c in episode.classes.tolist()])
        return {"class_names": names, **{name: value.numpy() for name, value in (images | labels).items()}}

    def _shifted(self, rows: Tensor) -> Tensor:
        """The images of these rows (...), each shifted once however often it is drawn, before classes are turned."""
        assert self.shift is not None
        drawn, places = rows.unique(return_inverse=True)
        return self.shift(self.images[drawn], drawn).to(rows.device)[places]

    @cached_property
    def _turned(self) -> bool:
        return bool(self.turns.any())

    def _pick(self, count: int, spec: TaskSpec, generator: Generator) -> Tensor:
        """Where rotations do not `meet`, classes that are distinct before they are turned, each turned at random."""
        if self.meet:
            return super()._pick(count, spec, generator)
        device, each = generator.device, spec.each
        eligible = self._on(device, ("eligible", spec.ways, each), lambda: self._eligible(spec))
        # The rotations of a class stand next to each other, from ends[i] to ends[i + 1].
        ends = self._on(device, ("ends", spec.ways, each), lambda: self._ends(self._eligible(spec)))
        key = ("firsts", spec.ways, each)
        first, number = self._range(key, lambda: self._firsts(self._eligible(spec)), count, generator)
        chosen = first[:, None] + choose(number, spec.ways, generator)
        uniform = torch.rand(chosen.shape, dtype=torch.float64, generator=generator, device=device)
        first, turns = ends[chosen], ends[chosen + 1] - ends[chosen]
        return eligible[first + (uniform * turns).long()]

    def _eligible(self, spec: TaskSpec) -> Tensor:
        eligible = super()._eligible(spec)
        if self.meet:
            return eligible
        eligible = eligible[self.start[eligible].argsort(stable=True)]
        self._require(self._firsts(eligible), spec, ", whose rotations count as one in a task,")
        return eligible

    def _firsts(self, eligible: Tensor) -> Tensor:
        """The first of the rotations of each class in `eligible`, in which they are neighbours."""
        return eligible[self._ends(eligible)[:-1]]

    def _ends(self, eligible: Tensor) -> Tensor:
        """Where the rotations of each class begin in `eligible`, in which they are neighbours; and its length."""
        counts = torch.unique_consecutive(self.start[eligible], return_counts=True)[1]
        return torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])


def pixel_statistics(store: ImageStore) -> tuple[float, float]:
    """Mean and standard deviation of all pixels in [0, 1] of a store's classes."""
    counts = torch.zeros(256, dtype=torch.float64)
    for start, size in {(int(a), int(n)) for a, n in zip(store.start, store.size, strict=True)}:
        counts += torch.bincount(store.images[start : start + size].flatten().long(), minlength=256).cpu()
    values, share = torch.arange(256, dtype=torch.float64) / 255, counts / counts.sum()
    mean = (values * share).sum()
    return float(mean), float(((values - mean) ** 2 * share).sum().sqrt())


def resize(images: Tensor, size: int, channels: int) -> Tensor:
    """(n, H, W) or (n, H, W, 3) uint8 to (n, channels, size, size) uint8.

    Bilinear with antialiasing; colour to grey by the luma weights of ITU-R BT.601, grey to colour by repetition.
    """
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    chunks = []
    for chunk in images.split(4096):
        if channels < chunk.shape[1]:
            chunk = torch.einsum("nchw,c->nhw", chunk.float(), torch.tensor([0.299, 0.587, 0.114])).unsqueeze(1)
        if chunk.shape[-2:] != (size, size):
            chunk = F.interpolate(chunk.float(), (size, size), mode="bilinear", antialias=True, align_corners=False)
        chunks.append(chunk.round().clamp(0, 255).to(torch.uint8).expand(-1, channels, -1, -1))
    return torch.cat(chunks)
