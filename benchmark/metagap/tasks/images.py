"""A data set of images as one tensor, and the sampler that draws whole meta-batches from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from metagap.errors import UserError
from metagap.tasks.episode import Episode, TaskSpec

CPU = torch.device("cpu")

SHARE = 0.5
"""Of a GPU's free memory, what the images of one store may take."""

RESIZING = 1
"""Changes when `resize` makes other pixels of the same images, which makes other cells of them."""


@dataclass(frozen=True)
class ImageDraw:
    """Which classes and images each task is made of: classes (T, ways), rows (T, ways, shots + queries)."""

    classes: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, tasks: slice) -> ImageDraw:
        return ImageDraw(self.classes[tasks], self.rows[tasks])


@dataclass(frozen=True)
class ImageStore:
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
    """Where episodes are made."""
    shift: Callable[[Tensor, Tensor], Tensor] | None = None
    """Gives images (n, C, H, W) uint8, and which ones of `images` they are (n,), as they are seen in this store."""
    _ready: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What drawing and looking up need again and again, so that on a GPU they do not wait for it."""

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

    def normalised(self, mean: float, std: float) -> ImageStore:
        """The same store with pixels in [0, 1] shifted by `mean` and divided by `std`."""
        return dataclasses.replace(self, mean=mean, std=std)

    def shifted(self, shift: Callable[[Tensor, Tensor], Tensor]) -> ImageStore:
        """The same store of images that are changed as they are looked up, so that those of a file stay there."""
        return dataclasses.replace(self, shift=shift)

    def to(self, device: torch.device | str) -> ImageStore:
        """The same store for episodes on `device`. The index stays on the CPU.

        The images go there as a whole, unless they would take more than `SHARE` of the memory that is free: then they
        stay where they are, and every meta-batch is gathered there and sent.
        """
        device = torch.device(device)
        fits = self.images.nbytes <= SHARE * free_memory(device)
        return dataclasses.replace(self, images=self.images.to(device) if fits else self.images, device=device)

    @property
    def streamed(self) -> bool:
        """Whether the images are not where the episodes are made, so that looking up waits for both."""
        return self.images.device.type != self.device.type

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> ImageDraw:
        """Draw `count` tasks: no class twice in a task, no image twice in a class, all equally likely.

        Where rotations do not `meet`, a task's classes are distinct before they are turned, and each is turned at
        random. Classes with fewer than shots + queries images take no part. Runs on the generator's device; there is no
        loop over tasks. Raises UserError where fewer than `spec.ways` classes are large enough.
        """
        device, each = generator.device, spec.shots + spec.queries
        eligible = self._on(device, ("eligible", spec.ways, each), lambda: self._eligible(spec))
        if self.meet:
            classes = eligible[choose(torch.full((count,), len(eligible), device=device), spec.ways, generator)]
        else:
            # The rotations of a class stand next to each other, from ends[i] to ends[i + 1].
            ends = self._on(device, ("ends", spec.ways, each), lambda: self._ends(self._eligible(spec)))
            chosen = choose(torch.full((count,), len(ends) - 1, device=device), spec.ways, generator)
            uniform = torch.rand(chosen.shape, dtype=torch.float64, generator=generator, device=device)
            first, turns = ends[chosen], ends[chosen + 1] - ends[chosen]
            classes = eligible[first + (uniform * turns).long()]
        images = choose(self._on(device, "size", lambda: self.size)[classes], each, generator)
        return ImageDraw(classes, self._on(device, "start", lambda: self.start)[classes].unsqueeze(-1) + images)

    def remark(self, spec: TaskSpec) -> str:
        """How many classes are too small for such tasks, so that they are never drawn; empty where none is."""
        each = spec.shots + spec.queries
        small = int((self.size < each).sum())
        what = f"{self.class_count} classes has" if small == 1 else f"{self.class_count} classes have"
        return (
            f"{small} of {what} fewer than {each} images and {'is' if small == 1 else 'are'} never drawn"
            if small
            else ""
        )

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> ImageDraw | None:
        """Draw at most `count` tasks such that no image is in two of them, nor in two rotations of its class.

        Every class is cut into chunks of shots + queries images, and each task takes one chunk of each of the `ways`
        classes that have the most chunks left (ties broken at random), which makes as many tasks as can be made.
        """
        each = spec.shots + spec.queries
        self._eligible(spec)
        _, kinds = torch.unique(torch.stack([self.start, self.size], 1), dim=0, return_inverse=True)
        shuffled = torch.randperm(self.class_count, generator=generator)
        one_each = dict(zip(kinds[shuffled].tolist(), shuffled.tolist(), strict=True))
        classes = torch.tensor(list(one_each.values()))  # one rotation of each class, at random
        size = self.size[classes]
        left = size // each
        order = [torch.randperm(int(n), generator=generator) for n in size]
        chosen: list[Tensor] = []
        rows: list[Tensor] = []
        while len(chosen) < count and int((left > 0).sum()) >= spec.ways:
            noise = torch.rand(len(left), generator=generator)
            picked = (left + noise * (left > 0)).topk(spec.ways).indices
            picked = picked[torch.randperm(spec.ways, generator=generator)]
            left[picked] -= 1
            chosen.append(classes[picked])
            starts = self.start[classes[picked]]
            chunks = [order[i][int(left[i]) * each : (int(left[i]) + 1) * each] for i in picked.tolist()]
            rows.append(starts[:, None] + torch.stack(chunks))
        return ImageDraw(torch.stack(chosen), torch.stack(rows))

    def episode(self, draw: ImageDraw, spec: TaskSpec) -> Episode:
        """Look the drawn images up: a batch of len(draw) tasks, float32, on the device of the store."""
        device, classes = self.device, draw.classes.to(self.device)
        tasks, ways, each = draw.rows.shape
        rows = draw.rows.to(self.images.device)
        images = (self.images[rows] if self.shift is None else self._shifted(rows)).to(device)
        if self._turned:
            turns = self._on(device, "turns", lambda: self.turns)[classes]
            quarter = torch.arange(images.shape[-1] * images.shape[-2], device=device).view(images.shape[-2:])
            pixels = torch.stack([quarter.rot90(k).flatten() for k in range(4)])[turns]
            index = pixels[:, :, None, None].expand(*images.shape[:4], -1)
            images = images.flatten(-2).gather(-1, index).view(images.shape)
        x = images.transpose(1, 2).float() / 255  # (T, shots + queries, ways, C, H, W): shot by shot
        if (self.mean, self.std) != (0.0, 1.0):
            x = (x - self.mean) / self.std
        y = torch.arange(ways, device=device).expand(tasks, each, ways)
        support_x, query_x = x[:, : spec.shots].flatten(1, 2), x[:, spec.shots :].flatten(1, 2)
        support_y, query_y = y[:, : spec.shots].flatten(1, 2), y[:, spec.shots :].flatten(1, 2)
        return Episode(support_x, support_y, query_x, query_y, classes)

    def sample(self, draw: ImageDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
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

    def _on(self, device: torch.device, name: Any, make: Callable[[], Tensor]) -> Tensor:
        """The tensor that `make` gives, once, on the device."""
        if (device, name) not in self._ready:
            self._ready[device, name] = make().to(device)
        return self._ready[device, name]

    def _eligible(self, spec: TaskSpec) -> Tensor:
        each = spec.shots + spec.queries
        eligible = (self.size >= each).nonzero().flatten()
        if not self.meet:
            eligible = eligible[self.start[eligible].argsort(stable=True)]
        count = len(eligible) if self.meet else len(self._ends(eligible)) - 1
        if count < spec.ways:
            apart = "" if self.meet else ", whose rotations count as one in a task,"
            raise UserError(
                f"{spec.ways} ways, {spec.shots} shots and {spec.queries} queries need {spec.ways} classes of at least "
                f"{each} images; there are {count} such classes{apart} among {self.class_count}"
            )
        return eligible

    def _ends(self, eligible: Tensor) -> Tensor:
        """Where the rotations of each class begin in `eligible`, in which they are neighbours; and its length."""
        counts = torch.unique_consecutive(self.start[eligible], return_counts=True)[1]
        return torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])


def choose(size: Tensor, count: int, generator: Generator) -> Tensor:
    """Choose `count` distinct numbers of 0..n-1 in random order, for every n in `size` (...): gives (..., count).

    Every ordered choice is equally likely. Floyd's algorithm (Bentley and Floyd 1987) run for all n side by side: its
    cost does not grow with n, so neither do large classes. Requires n >= count.
    """
    chosen = torch.empty(*size.shape, count, dtype=torch.long, device=size.device)
    for i in range(count):
        last = size - count + i
        uniform = torch.rand(size.shape, dtype=torch.float64, generator=generator, device=size.device)
        guess = (uniform * (last + 1)).long()
        taken = (chosen[..., :i] == guess.unsqueeze(-1)).any(-1)
        chosen[..., i] = torch.where(taken, last, guess)
    shuffle = torch.rand(chosen.shape, dtype=torch.float64, generator=generator, device=size.device).argsort(-1)
    return chosen.gather(-1, shuffle)


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a GPU; elsewhere nothing has to be moved."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


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
