from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Generator

from metagap import registry
from metagap.tasks import corruptions
from metagap.tasks.corruptions import SEVERITIES
from metagap.tasks.episode import TaskSpec
from metagap.tasks.glyphs import Glyphs
from metagap.tasks.images import ImageStore

NAMES = registry.names("shift")
SPEC = TaskSpec("classification", 3, 1, 2)


@pytest.fixture(scope="module")
def store() -> ImageStore:
    return Glyphs(alphabets=2, characters=4, instances=5, image_size=28).store()


def images(channels: int, size: int = 12) -> torch.Tensor:
    """Smooth random images, of which all levels of the value are there."""
    coarse = torch.rand(6, channels, 4, 4, generator=Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_corrupted_the_same_whatever_is_next_to_it(name, channels):
    corruption, given, rows = corruptions.find(name), images(channels), torch.arange(6) + 70
    for severity in SEVERITIES:
        made = corruption(given, rows, severity)
        assert made.shape == given.shape and made.dtype == torch.uint8
        assert torch.equal(corruption(given[[4, 2]], rows[[4, 2]], severity), made[[4, 2]])


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_severity_changes_more(name, store):
    drawn = store.images[:40]
    change = [
        (corruptions.find(name)(drawn, torch.arange(40), severity).float() - drawn.float()).abs().mean()
        for severity in SEVERITIES
    ]
    assert change[0] > 0.5
    assert change[-1] > change[0]


def test_noise_belongs_to_the_image_and_grows_with_the_severity():
    noise, grey = corruptions.find("gaussian-noise"), torch.full((2, 1, 40, 40), 128, dtype=torch.uint8)
    first, same = noise(grey, torch.tensor([3, 3]), 1)
    other = noise(grey[:1], torch.tensor([4]), 1)[0]
    assert torch.equal(first, same) and not torch.equal(first, other)
    for severity, level in zip((1, 2, 3), noise.levels, strict=False):
        made = noise(grey[:1], torch.tensor([3]), severity).float() / 255
        assert made.std().item() == pytest.approx(level, rel=0.05)


def test_salt_and_pepper_are_as_many():
    made = corruptions.find("impulse-noise")(torch.full((1, 1, 200, 200), 128, dtype=torch.uint8), torch.tensor([0]), 5)
    assert (made == 0).float().mean().item() == pytest.approx(0.27 / 2, rel=0.05)
    assert (made == 255).float().mean().item() == pytest.approx(0.27 / 2, rel=0.05)


def test_contrast_and_brightness_by_their_formulas():
    colour = torch.tensor([[200, 100, 50], [40, 40, 90]], dtype=torch.uint8).T.reshape(1, 3, 1, 2)
    contrast = corruptions.find("contrast")(colour, torch.tensor([0]), 2)
    assert contrast[0, :, 0].tolist() == [[144, 96], [79, 61], [64, 76]]  # mean + 0.3 (pixel - mean)
    brighter = corruptions.find("brightness")(colour, torch.tensor([0]), 1)
    assert brighter[0, :, 0, 0].tolist() == [226, 113, 56]  # the value 200 is 225.5; hue and saturation stay
    black = corruptions.find("brightness")(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([0]), 5)
    assert black.unique().tolist() == [128]


def test_a_quarter_turn_of_45_degrees_twice_and_a_half_size():
    square = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    square[..., 6:14, 6:14] = 255
    half = corruptions.find("scaling")(square, torch.tensor([0]), 5).float() / 255
    assert half.sum().item() == pytest.approx(16, rel=0.05)  # a quarter of 64 pixels, about the same centre
    assert torch.equal(half, half.flip(-1).flip(-2))
    diamond = corruptions.find("rotation")(square, torch.tensor([0]), 3).float() / 255
    assert diamond.sum().item() == pytest.approx(64, rel=0.05)
    assert diamond[0, 0, 10, 4:6].max() > 0.4 > diamond[0, 0, 6, 6]  # corners where sides were


def test_a_shifted_store_corrupts_what_is_drawn_and_nothing_else(store):
    seen: list[int] = []
    noise = corruptions.find("gaussian-noise")

    def shift(drawn, rows):
        seen.extend(rows.tolist())
        return noise(drawn, rows, 2)

    draw = store.draw(20, SPEC, Generator().manual_seed(1))
    shifted, plain = store.shifted(shift).episode(draw, SPEC), store.episode(draw, SPEC)
    assert sorted(seen) == draw.rows.unique().tolist()  # each image once
    every = dataclasses.replace(store, images=noise(store.images, torch.arange(len(store.images)), 2))
    assert torch.equal(shifted.query_x, every.episode(draw, SPEC).query_x)
    assert not torch.equal(shifted.support_x, plain.support_x)
    turned = store.rotated().shifted(shift)
    again = turned.draw(4, SPEC, Generator().manual_seed(2))
    assert torch.equal(
        turned.episode(again, SPEC).support_x,
        dataclasses.replace(every.rotated()).episode(again, SPEC).support_x,
    )
    sample = store.shifted(shift).sample(draw, SPEC)
    assert (torch.from_numpy(sample["query_x"]) == (shifted.query_x[0] * 255).round()).all()
