"""The place of a query says nothing about its label, whatever the source, and the order has no say in what is drawn."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from test_images import store_of

from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.functions import Sinusoid
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part

SPEC = TaskSpec("classification", 5, 2, 3)


class SortedBlocks:
    """A source of its own whose draw is a plain tensor, and whose queries come class by class."""

    x_shape, class_count = (1,), 5

    def draw(self, count, spec, generator):
        return torch.rand(count, 1, 1, generator=generator)

    def draw_open(self, count, spec, generator):
        return self.draw(min(count, 40), spec, generator)

    def episode(self, draw, spec):
        def part(each: int, more: float) -> tuple[torch.Tensor, torch.Tensor]:
            y = torch.arange(spec.ways).repeat_interleave(each).repeat(len(draw), 1)
            return y[..., None] + draw + more, y

        support, query = part(spec.shots, 0.0), part(spec.queries, 10.0)
        return Episode(*support, *query, torch.arange(spec.ways).repeat(len(draw), 1))


SOURCES = {"images": store_of([40] * 12), "sorted": SortedBlocks()}


def by_example(x: torch.Tensor, y: torch.Tensor) -> list:
    """The examples of every task with their labels, in an order of their own."""
    return [
        sorted((tuple(a.flatten().tolist()), int(b)) for a, b in zip(*task, strict=True))
        for task in zip(x, y, strict=True)
    ]


@pytest.mark.parametrize("tasks", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("way", ["draw", "draw_open"])
def test_the_place_of_a_query_says_nothing_about_its_label(tasks, way):
    drawn = [getattr(Sampler(tasks, SPEC, seed), way)(400) for seed in range(8)]
    y = torch.cat([Sampler(tasks, SPEC, 0).episode(one).query_y for one in drawn])
    places = torch.arange(y.shape[1]).expand_as(y).flatten()
    table = torch.bincount(places * 5 + y.flatten(), minlength=75).view(15, 5)
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3
    # nor does that of the query before it, but that there are fewer of its own class left
    follows = (y[:, 1:] - y[:, :-1]) % 5
    assert abs(float((follows == 0).double().mean()) - 2 / 14) < 0.02
    assert stats.chisquare(torch.bincount(follows[follows > 0], minlength=5)[1:].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("tasks", SOURCES.values(), ids=SOURCES)
def test_the_order_has_no_say_in_what_is_drawn(tasks):
    generator, sampler = torch.Generator().manual_seed(3), Sampler(tasks, SPEC, 3)
    for _ in range(2):
        theirs = tasks.episode(tasks.draw(30, SPEC, generator), SPEC)
        ours = sampler.episodes(30)
        assert torch.equal(ours.support_x, theirs.support_x) and torch.equal(ours.support_y, theirs.support_y)
        assert torch.equal(ours.classes, theirs.classes)
        assert not torch.equal(ours.query_y, theirs.query_y)
        assert by_example(ours.query_x, ours.query_y) == by_example(theirs.query_x, theirs.query_y)


def test_parts_of_a_draw_are_those_of_the_whole():
    sampler = Sampler(SOURCES["images"], SPEC, 0)
    drawn = sampler.draw(10)
    whole, parts = sampler.episode(drawn), [sampler.episode(drawn[i : i + 4]) for i in range(0, 10, 4)]
    for name, value in whole._asdict().items():
        assert torch.equal(value, torch.cat([getattr(part, name) for part in parts]))
    again, other = (Sampler(SOURCES["images"], SPEC, seed).draw(10) for seed in (0, 1))
    assert torch.equal(drawn.order, again.order)
    assert not torch.equal(drawn.order, other.order)
    assert not torch.equal(drawn.order, sampler.draw(10).order)


def test_examples_that_are_drawn_independently_stay_as_they_are():
    waves, spec = Sinusoid().tasks(Part(), "cpu"), TaskSpec("regression", 1, 5, 4)
    ours = Sampler(waves, spec, 2).episodes(3)
    theirs = waves.episode(waves.draw(3, spec, torch.Generator().manual_seed(2)), spec)
    assert torch.equal(ours.query_x, theirs.query_x) and torch.equal(ours.query_y, theirs.query_y)
