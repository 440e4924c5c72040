"""What was trained on is not new, however it is spelled; and what is the same in two places is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metagap.errors import UserError
from metagap.runner.preflight import check
from metagap.suite import expand, load_suite
from metagap.tasks.sources import UserImages

SUITE = """
title = "Mine"
task = { ways = 2, shots = 1, queries = 1 }
model = { name = "mlp", hidden = [4] }
source = { name = "path:mine", image_size = 8, split_seed = 0 }
training = { iterations = 1 }
evaluation = { steps = 0, episodes = 2 }
algorithms.protonet = {}
[[splits]]
name = "digits"
role = "cross-domain"
source = { name = "digits", image_size = 8 }
[[splits]]
name = "tested"
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch) -> Path:
    """Twenty classes of four images each, without parts."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in [f"{c:02}/{i}.png" for c in range(20) for i in range(4)]:
        Path("mine", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(Path("mine", name))
    return Path("mine")


def checked(source: str, role: str = "in-distribution", classes: str = "test") -> list[str]:
    split = f'role = "{role}"\nclasses = "{classes}"\nsource = {{ name = {source}, image_size = 8'
    Path("mine.toml").write_text(f"{SUITE}{split} }}\n")
    return check(expand(load_suite("mine.toml")))


@pytest.mark.parametrize("role", ["in-distribution", "meta-val"])
@pytest.mark.parametrize(
    "source",
    [
        '"path:./mine", classes_ = "train"',
        '"path:mine/", classes_ = "train"',
        '"path:link", classes_ = "train"',
        '"path:copy", classes_ = "all"',
        '"path:mine.zip", classes_ = "train"',
        '"path:mine", rotations = true, classes_ = "train"',
        '"path:mine", invert = true, classes_ = "train"',
        '"path:mine", split_seed = 1',
        '"path:mine", shares = [0.2, 0.2, 0.6]',
        '"path:mine", held_out_images = 1, classes_ = "train"',
    ],
)
def test_training_classes_are_not_new(source, role):
    Path("link").symlink_to("mine")
    shutil.copytree("mine", "copy")
    shutil.make_archive("mine", "zip", "mine")
    source, _, classes = source.partition(", classes_ = ")
    with pytest.raises(UserError, match=rf"split 'tested': \d+ of its \d+ classes are .*role {role} needs new classes"):
        checked(source, role, classes.strip('"') or "test")


@pytest.mark.parametrize("source", ['"path:mine"', '"path:./mine"', '"path:mine", rotations = true, invert = true'])
def test_new_classes_are_new(source):
    assert checked(source) == checked(source, "meta-val", "val") == []


def test_a_domain_may_show_training_classes_in_another_way():
    assert checked('"path:mine", invert = true', "cross-domain", "train") == []
    (note,) = checked('"path:./mine"', "cross-domain", "train")
    assert "'tested' shares 48 exact images with the training classes, in 12 of its 12 classes" in note


def test_single_duplicates_are_said(mine):
    parts = {part: UserImages(path="mine", image_size=8).classes(part).names for part in ("train", "test")}
    shutil.copy(mine / parts["train"][0] / "0.png", mine / parts["test"][0] / "3.png")
    said = " ".join(checked('"path:mine"'))
    assert "path:mine: 1 exact image is in more than one class" in said
    assert "Split 'tested' shares 1 exact image with the training classes, in 1 of its 4 classes" in said


def test_duplicates_across_parts_are_said_at_load(mine):
    for part, first in (("train", 0), ("test", 10)):
        for c in range(3):
            shutil.copytree(mine / f"{first + c:02}", Path("parted", part, f"{part}{c}"))
    assert UserImages(path="parted").remark() == ""
    shutil.copy("parted/train/train0/0.png", "parted/test/test0/0.png")
    shutil.copy("parted/train/train1/0.png", "parted/train/train2/0.png")  # in one part
    said = UserImages(path="parted").remark()
    assert "1 exact image is in more than one part, such as in 'test0' and 'train0'" in said


def test_glyphs_are_the_same_characters_whatever_their_shift_parameters():
    glyphs = '"glyphs", alphabets = 5, characters = 2, image_size = 8'
    text = SUITE.replace('"path:mine", image_size = 8, split_seed = 0', glyphs)
    split = f'role = "in-distribution"\nclasses = "train"\nsource = {{ name = {glyphs}, noise = 0.2'
    for more, fails in (("", True), (", seed = 1", False)):
        Path("glyphs.toml").write_text(f"{text}{split}{more} }}\n")
        if fails:
            with pytest.raises(UserError, match="6 of its 6 classes are training classes"):
                check(expand(load_suite("glyphs.toml")))
        else:
            assert check(expand(load_suite("glyphs.toml"))) == []
