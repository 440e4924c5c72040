"""Omniglot: incomplete, damaged, missing, and the real one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from layouts import encoded, write_folder, write_zip
from metagap.errors import UserError
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources import Omniglot

HALVES = ("images_background", "images_evaluation")


@pytest.mark.parametrize("packed", [True, False])
def test_omniglot_must_be_complete(data, packed):
    for half in HALVES:
        drawings = {
            f"{half}/Greek/character01/0001_{i:02}.png": encoded(np.zeros((105, 105), np.uint8)) for i in range(3)
        }
        if packed:
            write_zip(data / "omniglot-py" / f"{half}.zip", drawings)
        else:
            write_folder(data / "omniglot-py", drawings)
    with pytest.raises(UserError, match=r"1 characters with 6 to 6 drawings.*1623 characters with 20"):
        Omniglot().store()


def test_a_damaged_archive_is_named(data):
    (data / "omniglot-py").mkdir()
    for half in HALVES:
        (data / "omniglot-py" / f"{half}.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"images_background\.zip' is not a readable zip"):
        Omniglot().store()


def test_missing_data_say_how_to_get_them(data):
    with pytest.raises(UserError, match=r"no file '.*/images_background\.zip'.*metagap data get omniglot.*--data"):
        Omniglot().tasks(Part("train"), "cpu")


def test_the_real_omniglot(real_data):
    real_data("omniglot-py/images_background.zip")
    source = Omniglot(rotations=True)
    counts = {part: source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test", "all")}
    assert counts == {"train": 4112, "val": 688, "test": 1692, "all": 6492}
    names = [set(Omniglot(split=split).tasks(Part(part), "cpu").names) for split in ("vinyals", "random") for part in
             ("train", "val", "test")]  # fmt: skip
    assert [len(n) for n in names] == [1028, 172, 423, 1100, 100, 423]
    assert all(not a & b for trio in (names[:3], names[3:]) for i, a in enumerate(trio) for b in trio[:i])
    latin = Omniglot(split="no-latin")
    assert latin.tasks(Part("train"), "cpu").class_count == 1597
    assert all(name.startswith("Latin/") for name in latin.tasks(Part("test"), "cpu").names)
    with pytest.raises(UserError, match="no classes 'val'"):
        latin.tasks(Part("val"), "cpu")
    store = source.tasks(Part(), "cpu")
    assert 0.02 < store.images.float().mean() / 255 < 0.2  # light strokes on dark
    draw = source.tasks(Part("train"), "cpu").draw(
        100, TaskSpec("classification", 5, 1, 5), torch.Generator().manual_seed(3)
    )
    drawn = draw.classes.numpy().tobytes() + draw.rows.numpy().tobytes()
    assert hashlib.sha256(drawn).hexdigest()[:10] == "c9fe92f113"  # as ever: a seed means the same episodes
