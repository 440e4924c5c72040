"""What all sources of images have in common, on those that need no files."""

from __future__ import annotations

import pytest

from metagap.errors import UserError
from metagap.tasks.glyphs import Glyphs
from metagap.tasks.source import Part
from metagap.tasks.sources import Digits


def test_digits_need_no_download():
    store = Digits(image_size=16).tasks(Part(), "cpu")
    assert store.class_count == 10
    assert len(store.images) == 1797
    assert store.images.max() == 255
    with pytest.raises(UserError, match="no classes 'test' in Digits; allowed: all"):
        Digits().tasks(Part("test"), "cpu")


def test_glyphs_part_by_alphabet():
    source = Glyphs(alphabets=10, characters=3, instances=4, image_size=16, held_out_images=1)
    parts = [source.tasks(Part(part), "cpu") for part in ("train", "val", "test")]
    assert [store.class_count for store in parts] == [18, 6, 6]
    alphabets = [{name.split("/")[0] for name in store.names} for store in parts]
    assert not set.intersection(*alphabets)
    assert source.tasks(Part("train", "train"), "cpu").size.unique().tolist() == [3]
    assert source.tasks(Part("train", "held-out"), "cpu").size.unique().tolist() == [1]
    with pytest.raises(UserError, match="needs held_out_images"):
        Glyphs(alphabets=5).tasks(Part("train", "held-out"), "cpu")


def test_options_about_parts_alone_share_the_decoded_images():
    first, second = Glyphs(alphabets=5, image_size=8), Glyphs(alphabets=5, image_size=8, rotations=True)
    assert second.tasks(Part(), "cpu").images is first.tasks(Part("train"), "cpu").images
    assert Glyphs(alphabets=5, image_size=9).tasks(Part(), "cpu").images is not first.tasks(Part(), "cpu").images
