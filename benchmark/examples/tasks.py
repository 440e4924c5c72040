"""A source of tasks of a new kind of data: a bell is struck, and how loud it is at other times is to be predicted."""

import torch
from metagap.tasks.episode import Episode
from metagap.tasks.source import Source
from pydantic import Field


class Bells(Source):
    """Tones that fade: a task is a bell with its pitch and its damping, an example a time and the pressure at it."""

    kind: str = "regression"
    damping: float = Field(0.5, ge=0, description="mean of the damping of the bells")

    licence, citation = "made on the fly", "none"

    def digest(self, classes="all"):
        return f"revision {self.revision}"  # nothing is read from files: the options say everything

    def tasks(self, part, device):
        self.check_part(part, ["train", "val", "test", "all"])
        return Bell(self.damping, device)


class Bell:
    x_shape, class_count = (1,), 0
    independent = True  # of each other are the examples of a task, so that their order says nothing

    def __init__(self, damping, device):
        self.damping, self.device = damping, device

    def draw(self, count, spec, generator):  # pitch, damping, and the times of all examples of each task
        return torch.rand(count, 2 + spec.shots + spec.queries, generator=generator, device=generator.device)

    def episode(self, draw, spec):
        pitch, damping, time = 2 + 2 * draw[:, :1], 2 * self.damping * draw[:, 1:2], 6 * draw[:, 2:]
        x, y = (v[..., None].to(self.device) for v in (time - 3, torch.exp(-damping * time) * torch.sin(pitch * time)))
        none = torch.empty(len(draw), 0, dtype=torch.long, device=self.device)  # classes
        return Episode(x[:, : spec.shots], y[:, : spec.shots], x[:, spec.shots :], y[:, spec.shots :], none)
