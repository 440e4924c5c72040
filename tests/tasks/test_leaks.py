"""What two stores share, in plain words."""

from __future__ import annotations

import torch

from metagap.tasks.images import ImageStore
from metagap.tasks.leaks import shared


def store(**classes: list[int]) -> ImageStore:
    """Images of one value each."""
    values = [value for images in classes.values() for value in images]
    labels = [label for label, images in enumerate(classes.values()) for _ in images]
    images = torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    return ImageStore.from_labels(images, torch.tensor(labels), [name.replace("__", "/") for name in classes])


def test_nothing_shared():
    found = shared("one", store(a=[1, 2], b=[3]), "two", store(c=[4], d=[5]), [])
    assert str(found) == "one and two share no class by name.\nThey share no image to the last pixel, at 4x4."


def test_classes_by_name_in_any_spelling():
    ours = store(Pickup_truck=[1], girl=[2])
    theirs = ImageStore.from_labels(ours.images + 9, torch.tensor([0, 1]), ["pickup truck", "boy"])
    found = shared("one", ours, "two", theirs, [])
    assert found.classes == ["pickup truck"]
    assert "share one class by name: pickup truck." in str(found)


def test_images_by_their_pixels():
    first, second = store(a=[1, 2, 3], b=[4, 5]), store(c=[3, 2, 9], d=[5], e=[8, 7])
    found = shared("one", first, "two", second, ["both are made up"])
    assert found.images == [("a", "c", 2), ("b", "d", 1)]
    assert str(found).endswith(
        "They share 3 images to the last pixel, at 4x4: 'a' of the first and 'c' of the second have 2 in common; "
        "'b' of the first and 'd' of the second have 1 in common.\nKnown of them: both are made up."
    )


def test_only_the_images_of_the_part_are_compared():
    whole = store(a=[1, 2, 3], b=[4, 5, 3])
    assert not shared("one", whole.subset([0]).without_last(1), "two", whole.subset([1]), []).images
    assert shared("one", whole.subset([0]), "two", whole.subset([1]), []).images == [("a", "b", 1)]


def test_long_lists_are_cut():
    names = {f"c{i:02}": [i] for i in range(30)}
    text = str(shared("one", store(**names), "two", store(**names), []))
    assert "share 30 classes by name: c00, c01, c02, c03, c04, and 25 more." in text
