"""A kind of task: counts, whose logarithmic rate the network gives; and a source of such tasks."""

import torch
from metagap.kinds import TaskKind
from metagap.metrics import Margin, Metric
from metagap.tasks.episode import Episode
from metagap.tasks.source import Source
from torch.nn import functional as F


def poisson_loss(output, y):
    """Of logarithmic rates (n, 1) and counts (n, 1)."""
    return F.poisson_nll_loss(output, y)


def loss_of_rate_one(y, ways):
    """Of the counts (tasks, n, 1) of a batch: the loss of always answering 0."""
    return torch.ones(len(y))


def deviance(output, y):
    """Twice the log-likelihood that the rates lack."""
    return 2 * (torch.xlogy(y, y) - y * output - y + output.exp()).mean()


def draw(sample):
    """The support counts of the first tasks."""
    from matplotlib.figure import Figure

    figure = Figure((2.7, 1.9), layout="constrained")
    axis = figure.subplots()
    for x, y in zip(sample["support_x"], sample["support_y"], strict=True):
        axis.plot(x[:, 0], y[:, 0], "o", markersize=4)
    return figure


DEVIANCE = Metric(
    name="deviance",
    label="Poisson deviance",
    about="Twice the log-likelihood that the rates lack (McCullagh & Nelder 1989, section 2.3).",
    kinds=("counts",),
    function=deviance,
    higher_is_better=False,
    bounds=(0, float("inf")),
    statistic="iqm",
    axis="log",
    margin=Margin(0.1, relative=True),
)

COUNTS = TaskKind(
    name="counts",
    about="Counts at K points of one rate function, and at other points of it.",
    has_ways=False,
    metrics=(DEVIANCE,),
    loss=poisson_loss,
    trivial_loss=loss_of_rate_one,
    divergence=10.0,
    drawing=draw,
)


class Bursts(Source):
    """Counts whose logarithmic rate is a sine; a task for every phase."""

    kind: str | TaskKind = COUNTS
    licence = "made on the fly"
    citation = "none"

    def tasks(self, part, device):
        """The same distribution for every part."""
        self.check_part(part, ["train", "val", "test", "all"])
        return Phases(device)


class Phases:
    """A draw is a tensor (tasks, points, 2) of inputs and counts."""

    x_shape, class_count, independent = (1,), 0, True

    def __init__(self, device):
        self.device = device

    def draw(self, count, spec, generator):
        def uniform(*shape):
            return torch.rand(*shape, generator=generator, device=generator.device)

        phase, x = 2 * torch.pi * uniform(count, 1), 10 * uniform(count, spec.shots + spec.queries) - 5
        return torch.stack([x, torch.poisson((x - phase).sin().add(1).exp(), generator=generator)], -1)

    def draw_open(self, count, spec, generator):
        return None  # tasks share no example

    def episode(self, draw, spec):
        x, y = draw.to(self.device).split(1, -1)
        classes = torch.empty(len(draw), 0, dtype=torch.long, device=self.device)
        return Episode(x[:, : spec.shots], y[:, : spec.shots], x[:, spec.shots :], y[:, spec.shots :], classes)

    def sample(self, draw, spec):
        fields = self.episode(draw[:4], spec)._asdict()
        return {name: value.cpu().numpy() for name, value in fields.items() if name != "classes"}


if __name__ == "__main__":
    from metagap.tasks.episode import TaskSpec
    from metagap.tasks.sampling import Sampler

    episode = Sampler(Phases("cpu"), TaskSpec(COUNTS, ways=1, shots=5, queries=5), seed=0).episodes(1)
    print(f"{COUNTS.shape(1, 5)}: {episode.support_y.flatten().int().tolist()}")
