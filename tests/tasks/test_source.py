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


def test_fewer_training_classes_are_among_more_and_test_classes_stay():
    options = {"alphabets": 10, "characters": 3, "instances": 4, "image_size": 8}
    names = {count: Glyphs(**options, train_classes=count).classes("train").names for count in (1, 5, 6, 18)}
    assert [len(found) for found in names.values()] == [1, 5, 6, 18]
    assert set(names[1]) < set(names[5]) < set(names[6]) < set(names[18])
    assert names[18] == Glyphs(**options).classes("train").names
    assert len({name.split("/")[0] for name in names[6]}) > 2  # of all alphabets, not the first ones
    few = Glyphs(**options, train_classes=5, rotations=True)
    assert few.tasks(Part("train"), "cpu").class_count == 20
    for part in ("val", "test"):
        assert few.classes(part).names == Glyphs(**options).classes(part).names
    with pytest.raises(UserError, match="train_classes = 19: there are 18 training classes"):
        Glyphs(**options, train_classes=19).tasks(Part("train"), "cpu")
    with pytest.raises(UserError, match="train_classes = 5 is about classes = 'train', and classes = 'all'"):
        few.tasks(Part(), "cpu")


def test_fewer_training_images_are_the_first_ones():
    options = {"alphabets": 5, "characters": 3, "instances": 6, "image_size": 8}
    whole = Glyphs(**options).classes("train")
    few = Glyphs(**options, train_images=2, held_out_images=1)
    kept = few.tasks(Part("train", "train"), "cpu")
    assert kept.size.unique().tolist() == [2] and kept.start.tolist() == whole.start.tolist()
    assert few.tasks(Part("train", "held-out"), "cpu").start.tolist() == (whole.start + 5).tolist()
    assert few.tasks(Part("test"), "cpu").size.unique().tolist() == [6]
    with pytest.raises(UserError, match="train_images = 6: the training classes have up to 5 images to train on"):
        few.model_copy(update={"train_images": 6}).tasks(Part("train", "train"), "cpu")
    with pytest.raises(UserError, match="images = 'all' of the training classes would be held-out ones, too"):
        few.tasks(Part("train"), "cpu")
    with pytest.raises(UserError, match="train_images = 2 is about classes = 'train'"):
        few.tasks(Part("all", "train"), "cpu")


def test_without_them_a_source_is_described_as_before():
    assert not {"train_classes", "train_images"} & set(Glyphs().model_dump())
    assert Glyphs(train_classes=5).model_dump()["train_classes"] == 5


def test_options_about_parts_alone_share_the_decoded_images():
    first, second = Glyphs(alphabets=5, image_size=8), Glyphs(alphabets=5, image_size=8, rotations=True)
    assert second.tasks(Part(), "cpu").images is first.tasks(Part("train"), "cpu").images
    assert Glyphs(alphabets=5, image_size=9).tasks(Part(), "cpu").images is not first.tasks(Part(), "cpu").images
