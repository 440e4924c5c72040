"""The drawn characters: the same from a seed in every style; shift parameters do what they say, as hard as meant."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from metagap.errors import UserError
from metagap.tasks.drawing import PEN, Style, draw_glyphs


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Many small products: a second thread gains nothing, and costs much where the processor is shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def draw(size: int = 28, seed: int = 3, instances: int = 4, **shifts: float) -> Tensor:
    """80 characters in the given style: float grey levels (80 * instances, size, size) in 0..1."""
    images, _ = draw_glyphs(8, 10, instances, size, Style(**shifts), seed)
    return images.flatten(0, 2).float() / 255


def nearest(queries: Tensor, supports: Tensor) -> Tensor:
    """Index of the nearest support of each query, by the angle between their pixels, brightness left out."""
    cosine = torch.nn.functional.normalize(queries.flatten(1)) @ torch.nn.functional.normalize(supports.flatten(1)).T
    return cosine.argmax(1)


def nearest_neighbour_accuracy(images: Tensor, way: int, tasks: int) -> float:
    """Mean accuracy of 1-shot nearest neighbour on raw pixels, Euclidean distance, all other instances as queries."""
    generator = torch.Generator().manual_seed(0)
    pixels = images.flatten(2).float()
    accuracy = []
    for _ in range(tasks):
        task = pixels[torch.randperm(len(pixels), generator=generator)[:way]]
        guess = torch.cdist(task[:, 1:].flatten(0, 1), task[:, 0]).argmin(1).view(way, -1)
        accuracy.append((guess == torch.arange(way)[:, None]).float().mean())
    return torch.stack(accuracy).mean().item()


@pytest.mark.parametrize("size", [8, 16, 28, 84])
def test_shape_names_and_range(size: int) -> None:
    images, names = draw_glyphs(3, 12, 2, size, Style(), seed=0)
    assert images.shape == (36, 2, 1, size, size)
    assert images.dtype == torch.uint8
    assert len(names) == len(set(names)) == 36
    assert (names[0], names[11], names[12]) == (
        "alphabet01/character01",
        "alphabet01/character12",
        "alphabet02/character01",
    )
    ink = images.float().mean((2, 3, 4)) / 255
    assert ink.min() > 0.005, "an empty image"
    assert ink.max() < 0.4, "more ink than paper"
    assert (images == 0).float().mean() > 0.5


def test_the_same_call_gives_the_same_images_and_leaves_the_global_generator_alone() -> None:
    style = Style(noise=0.1, clutter=2, inversion=0.5, rotation=10)
    state = torch.get_rng_state()
    first, _ = draw_glyphs(3, 5, 4, 28, style, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(first, draw_glyphs(3, 5, 4, 28, style, seed=5)[0])


def test_seeds_give_other_characters() -> None:
    one, other = draw(seed=1, instances=1, jitter=0), draw(seed=2, instances=1, jitter=0)
    assert ((one - other).abs().amax((1, 2)) > 0.5).all()
    assert torch.cdist(one.flatten(1), other.flatten(1)).min() > 1.0


def test_the_number_of_instances_does_not_change_the_characters() -> None:
    assert torch.equal(draw(instances=1, jitter=0), draw(instances=3, jitter=0)[::3])


@pytest.mark.parametrize(
    "shifts",
    [{"stroke_width": 0.6}, {"stroke_width": 1.8}, {"noise": 0.2}, {"clutter": 1}, {"rotation": 8}, {"slant": 8}],
    ids=str,
)
def test_a_style_shows_the_same_images(shifts: dict[str, float]) -> None:
    """Every image in a mildly shifted style is most like its own neutral version, out of 320."""
    found = nearest(draw(**shifts), draw()) == torch.arange(320)
    assert found.float().mean() > (0.9 if {"rotation", "slant"} & set(shifts) else 0.97)


@pytest.mark.parametrize(("size", "pool"), [(56, 2), (84, 3)])
def test_a_larger_image_is_the_same_image(size: int, pool: int) -> None:
    small, large = draw(28), avg_pool2d(draw(size), pool)
    assert (nearest(large, small) == torch.arange(320)).all()
    assert (small - large).abs().mean() < 0.01
    assert small.mean().item() == pytest.approx(large.mean().item(), rel=0.03)


def test_inversion_is_the_exact_complement() -> None:
    style = {"rotation": 20, "clutter": 1}
    light, _ = draw_glyphs(4, 5, 6, 28, Style(**style), seed=3)
    dark, _ = draw_glyphs(4, 5, 6, 28, Style(**style, inversion=1), seed=3)
    assert torch.equal(dark, 255 - light)


def test_inversion_is_a_share_of_the_images() -> None:
    neutral, mixed = draw(instances=20), draw(instances=20, inversion=0.3)
    inverted = mixed.mean((1, 2)) > 0.5
    assert inverted.float().mean() == pytest.approx(0.3, abs=0.04)  # 3.5 standard errors of 1600 coins
    assert torch.equal(mixed[~inverted], neutral[~inverted])


def test_rotation_turns_the_page_counter_clockwise() -> None:
    neutral, turned = draw(), draw(rotation=90)
    assert (turned - neutral.rot90(1, (1, 2))).abs().max() <= 0.02
    assert (turned - neutral.rot90(-1, (1, 2))).abs().mean() > 0.05


@pytest.mark.parametrize("degrees", [-25, 15, 30])
def test_slant_leans_to_the_right_by_its_angle(degrees: float) -> None:
    """The line that regresses x on the height of the ink leans by the tangent of the slant."""

    def lean(images: Tensor) -> Tensor:
        place = torch.arange(images.shape[1]) + 0.5
        ink = images / images.sum((1, 2), keepdim=True)
        x = place - (ink.sum(1) * place).sum(1, keepdim=True)
        height = (ink.sum(2) * place).sum(1, keepdim=True) - place
        return torch.einsum("nij,ni,nj->n", ink, height, x) / torch.einsum("nij,ni->n", ink, height**2)

    change = lean(draw(56, slant=degrees)) - lean(draw(56))
    assert change.median() == pytest.approx(math.tan(math.radians(degrees)), rel=0.05)


def test_stroke_width_is_a_factor_on_the_ink() -> None:
    ink = torch.stack([draw(56, stroke_width=width).mean((1, 2)) for width in (0.5, 1.0, 2.0)])
    assert (ink.diff(dim=0) > 0).all()
    thin, neutral, thick = ink.mean(1)
    assert 0.45 < thin / neutral < 0.6
    assert 1.6 < thick / neutral < 2.1


@pytest.mark.parametrize("width", [0.5, 1.0, 1.5])
def test_a_stroke_is_as_wide_as_the_pen(width: float) -> None:
    """A line thinner than a pixel is grey in proportion, so that the share of ink does not depend on the size."""
    ink = torch.stack([draw(size, stroke_width=width, jitter=0, instances=1).mean() for size in (16, 28, 84)])
    assert ink.amax() / ink.amin() < 1.1
    length = ink[-1] / (PEN * width)
    assert 1 < length < 3, "the strokes of a character together are not one to three pages long"


def test_noise_has_the_standard_deviation_it_says() -> None:
    neutral, noisy = draw(), draw(noise=0.1)
    paper = noisy[neutral == 0]
    # paper is black, so half of the noise is cut off: what is left has mean square sigma^2 / 2
    assert (2 * paper.square().mean()).sqrt() == pytest.approx(0.1, rel=0.03)
    ink = noisy[neutral == 1]
    assert (2 * (1 - ink).square().mean()).sqrt() == pytest.approx(0.1, rel=0.03)
    first, second = draw(noise=0.1, jitter=0, instances=2).unflatten(0, (80, 2)).unbind(1)
    assert (first != second).any((1, 2)).all(), "two images share their noise"


def test_clutter_adds_as_many_strokes_as_expected() -> None:
    neutral = draw(instances=10)
    extra = {rate: draw(instances=10, clutter=rate) - neutral for rate in (0.5, 1, 2)}
    for rate, difference in extra.items():
        assert difference.min() > -0.02, "a stray stroke removed ink"
        untouched = (difference.amax((1, 2)) < 0.02).float().mean()
        assert untouched == pytest.approx(math.exp(-rate), abs=0.07)
    assert extra[2].mean() / extra[0.5].mean() == pytest.approx(4, rel=0.25)
    assert torch.allclose(draw(clutter=1e-9), draw(), atol=0.005)


def test_jitter_is_the_variation_between_instances() -> None:
    def spread(jitter: float) -> float:
        images = draw(instances=8, jitter=jitter).unflatten(0, (80, 8))
        return images.var(1).mean().item()

    spreads = [spread(jitter) for jitter in (0, 0.5, 1, 2)]
    assert spreads[0] == 0
    assert all(1.1 * low < high for low, high in pairwise(spreads))
    assert spreads[1] > 0.005


def test_characters_are_distinct() -> None:
    images = draw(instances=10).flatten(1).unflatten(0, (80, 10))
    within = torch.stack([torch.pdist(character).mean() for character in images]).mean()
    between = torch.pdist(images[:, 0]).mean()
    assert between > 1.1 * within
    plans = draw(instances=1, jitter=0).flatten(1)
    assert torch.pdist(plans).min() > 2.0  # two equal characters would have 0, the average is 9


def test_characters_of_one_alphabet_are_related() -> None:
    images, _ = draw_glyphs(40, 15, 1, 28, Style(jitter=0), seed=0)
    distance = torch.cdist(*[images.flatten(1).float() / 255] * 2)
    alphabet = torch.arange(40).repeat_interleave(15)
    same = (alphabet[:, None] == alphabet) & ~torch.eye(600, dtype=torch.bool)
    other = alphabet[:, None] != alphabet
    # with the characters dealt to alphabets at random the ratio stays above 0.996
    assert distance[same].mean() < 0.99 * distance[other].mean()
    ink = images.float().mean((2, 3, 4)).view(40, 15)
    assert ink.mean(1).var() > 3 * ink.var(1).mean() / 15, "alphabets have no pen and length of their own"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_hard_as_meant(seed: int) -> None:
    """Near Omniglot's raw-pixel nearest neighbour: 41.7% (5-way) and 26.7% (20-way) in Vinyals et al. (2016)."""
    images, _ = draw_glyphs(20, 15, 10, 28, Style(), seed)
    assert 0.40 < nearest_neighbour_accuracy(images, way=5, tasks=400) < 0.65
    assert 0.20 < nearest_neighbour_accuracy(images, way=20, tasks=100) < 0.45


@pytest.mark.parametrize(
    ("shifts", "name"),
    [
        ({"rotation": math.nan}, "rotation"),
        ({"rotation": math.inf}, "rotation"),
        ({"slant": 80}, "slant"),
        ({"stroke_width": 0}, "stroke_width"),
        ({"noise": -0.1}, "noise"),
        ({"inversion": 1.5}, "inversion"),
        ({"clutter": -1}, "clutter"),
        ({"jitter": -1}, "jitter"),
    ],
)
def test_impossible_styles_are_refused(shifts: dict[str, float], name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} = .*allowed is a number from"):
        Style(**shifts)


@pytest.mark.parametrize("name", ["alphabets", "characters", "instances", "size"])
def test_impossible_counts_are_refused(name: str) -> None:
    counts = {"alphabets": 1, "characters": 1, "instances": 1, "size": 28, name: 0}
    with pytest.raises(UserError, match=rf"{name} = 0"):
        draw_glyphs(**counts, style=Style(), seed=0)
