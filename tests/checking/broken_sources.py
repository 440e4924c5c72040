"""Sources that are wrong in one way each, to see that `check` says which; the first is sound."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.episode import Episode
from metagap.tasks.source import Source

EACH, SHAPE = 20, (6,)
CLASSES = {"train": range(12), "val": range(12, 18), "test": range(18, 24)}
CLASSES["all"] = range(24)


class Tasks:
    """Tasks of classes of 20 examples, in every one of which each example is different."""

    x_shape = SHAPE

    def __init__(self, classes, seed=0, scale=1.0):
        self.classes, self.class_count = torch.tensor(list(classes)), len(classes)
        generator = torch.Generator().manual_seed(seed)
        self.examples = scale * torch.randn(24, EACH, *SHAPE, generator=generator)

    def draw(self, count, spec, generator):
        """Classes (T, ways), and then the examples of each, (T, ways, shots + queries), in one tensor."""
        classes = torch.rand(count, self.class_count, generator=generator).argsort(1)[:, : spec.ways]
        order = torch.rand(count, spec.ways, EACH, generator=generator).argsort(2)
        return torch.cat([classes[..., None], order[..., : spec.shots + spec.queries]], 2)

    def episode(self, draw, spec):
        classes, rows = draw[..., 0], draw[..., 1:]
        x = self.examples[self.classes[classes][..., None], rows].transpose(1, 2)
        y = torch.arange(spec.ways).expand(x.shape[:3])
        shots = spec.shots
        support, query = ([v[:, :shots].flatten(1, 2), v[:, shots:].flatten(1, 2)] for v in (x, y))
        return Episode(support[0], query[0], support[1], query[1], classes)


class Sound(Source):
    """Classes of numbers."""

    kind: str = "classification"
    seed: int = Field(default=0, ge=0, description="of the examples")
    scale: float = Field(default=1.0, gt=0, description="standard deviation of the examples")

    licence, citation = "made on the fly", "none"

    def tasks(self, part, device):
        self.check_part(part, list(CLASSES))
        return self.made(CLASSES[part.classes])

    def made(self, classes):
        return Tasks(classes, self.seed, self.scale)


class Undocumented(Sound):
    licence = ""


class NoPart(Sound):
    """Has nothing."""

    def tasks(self, part, device):
        self.check_part(part, [])


class TwoShapes(Sound):
    """Test examples have another shape."""

    def tasks(self, part, device):
        made = super().tasks(part, device)
        if part.classes == "test":
            made.x_shape = (7,)
        return made


class FewClasses(Sound):
    """A part of one class."""

    def tasks(self, part, device):
        return FewTasks([0]) if part.classes == "val" else super().tasks(part, device)


class FewTasks(Tasks):
    def draw(self, count, spec, generator):
        raise UserError("one class is not enough")


class SharedClasses(Sound):
    """Test classes are training classes."""

    def made(self, classes):
        return Tasks(range(len(classes)))


class GlobalDraw(Sound):
    """Draws with NumPy's global random numbers."""

    def made(self, classes):
        return GlobalDrawTasks(classes)


class GlobalDrawTasks(Tasks):
    def draw(self, count, spec, generator):
        return super().draw(count, spec, torch.Generator().manual_seed(int(np.random.randint(1000))))  # noqa: NPY002


class SameDraw(Sound):
    """Draws the same tasks again and again."""

    def made(self, classes):
        return SameDrawTasks(classes)


class SameDrawTasks(Tasks):
    def draw(self, count, spec, generator):
        return super().draw(count, spec, torch.Generator().manual_seed(0))


class NoisyLookup(Sound):
    """Adds other noise whenever a task is looked up."""

    def made(self, classes):
        return NoisyTasks(classes)


class NoisyTasks(Tasks):
    def episode(self, draw, spec):
        found = super().episode(draw, spec)
        return found._replace(support_x=found.support_x + torch.rand(found.support_x.shape))


class SeededNoise(Sound):
    """Adds noise of the global random numbers, which it seeds by the first task."""

    def made(self, classes):
        return SeededNoiseTasks(classes)


class SeededNoiseTasks(Tasks):
    def episode(self, draw, spec):
        found = super().episode(draw, spec)
        random.seed(1)
        return found._replace(support_x=found.support_x + random.random())


class SliceTasks(Tasks):
    def episode(self, draw, spec):
        found = super().episode(draw, spec)
        return found._replace(query_x=found.query_x - found.query_x.mean())


class OfTheBatch(Sound):
    """Centres the queries of all tasks that are looked up together."""

    def made(self, classes):
        return SliceTasks(classes)


class NotFinite(Sound):
    """Has a missing value."""

    def made(self, classes):
        tasks = Tasks(classes)
        tasks.examples[:, 3, 2] = torch.nan
        return tasks


class WrongLabels(Sound):
    """Labels begin at 1."""

    def made(self, classes):
        return WrongLabelsTasks(classes)


class WrongLabelsTasks(Tasks):
    def episode(self, draw, spec):
        found = super().episode(draw, spec)
        return found._replace(support_y=found.support_y + 1, query_y=found.query_y + 1)


class Overlaps(Sound):
    """Draws support and queries independently, so that a query may be in the support set."""

    def made(self, classes):
        return OverlapTasks(classes)


class OverlapTasks(Tasks):
    def draw(self, count, spec, generator):
        found = super().draw(count, spec, generator)
        again = super().draw(count, spec, generator)
        found[..., 1 + spec.shots :] = again[..., 1 : 1 + spec.queries]
        return found


class NeverDrawn(Sound):
    """Never draws its last class."""

    def made(self, classes):
        return NeverDrawnTasks(classes)


class NeverDrawnTasks(Tasks):
    def draw(self, count, spec, generator):
        self.class_count -= 1
        try:
            return super().draw(count, spec, generator)
        finally:
            self.class_count += 1


class FixedLabels(Sound):
    """Class k is label k, whatever else is in the task."""

    def made(self, classes):
        return FixedLabelsTasks(classes)


class FixedLabelsTasks(Tasks):
    def draw(self, count, spec, generator):
        found = super().draw(count, spec, generator)
        found[..., 0] = torch.arange(spec.ways)
        return found


class AllTheSame(Sound):
    """Every example is the same."""

    def made(self, classes):
        return AllTheSameTasks(classes)


class AllTheSameTasks(Tasks):
    independent = True

    def episode(self, draw, spec):
        found = super().episode(draw, spec)
        return found._replace(support_x=found.support_x * 0, query_x=found.query_x * 0)


class Unscaled(Sound):
    """Numbers of thousands, and a feature that is constant."""

    def made(self, classes):
        tasks = Tasks(classes, scale=5000.0)
        tasks.examples[..., 4] = 17
        return tasks


class BadSample(Sound):
    """Its sample is not made of arrays."""

    def made(self, classes):
        tasks = Tasks(classes)
        tasks.sample = lambda draw, spec: [1, 2]
        return tasks


class UndrawableSample(Sound):
    """Its sample has nothing that could be drawn."""

    def made(self, classes):
        tasks = Tasks(classes)
        tasks.sample = lambda draw, spec: {"picture": np.zeros(3)}
        return tasks


class TimeDigest(Sound):
    """Its digest is another one each time."""

    def digest(self, classes="all"):
        return f"{time.perf_counter_ns()}"


class EmptyDigest(Sound):
    """Has no digest."""

    def digest(self, classes="all"):
        return None


class FromFile(Sound):
    """Reads numbers from a file."""

    file: str = Field(description="the numbers")

    def tasks(self, part, device):
        self.check_part(part, list(CLASSES))
        return Tasks(CLASSES[part.classes], seed=int(Path(self.file).read_text()))


class IgnoresContent(FromFile):
    """Its digest does not depend on what the file holds."""

    def digest(self, classes="all"):
        return "numbers"


class ObjectStamp(Sound):
    """Its stamp is no plain value."""

    def stamp(self):
        return Path()


class SetOrder(Sound):
    """Its classes come in the order of a set of texts."""

    def made(self, classes):
        return Tasks([int(name) for name in {f"{one}" for one in classes}])


KEPT = {}


class StaleCache(Sound):
    """Keeps what it read, whatever its options are."""

    def made(self, classes):
        return KEPT.setdefault(str(classes), Tasks(classes, self.seed, self.scale))
