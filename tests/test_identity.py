"""The content of the data is a part of what a cell is, and of what its scores are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metagap import results
from metagap.machine import Machine
from metagap.runner.cell import is_done, run_cell
from metagap.runner.preflight import check
from metagap.suite import Cell, expand, load_suite
from metagap.tasks.sources import UserImages

CPU = Machine("cpu", engine="loop plain eager")

SUITE = """
title = "Mine"
task = { ways = 2, shots = 1, queries = 2 }
model = { name = "mlp", hidden = [8] }
source = { name = "path:mine", image_size = 8 }
training = { iterations = 1 }
evaluation = { steps = 0, episodes = 20, diagnostics = [] }
algorithms.protonet = {}
[[splits]]
name = "test"
role = "in-distribution"
classes = "test"
[[splits]]
name = "far"
role = "cross-domain"
optional = true
source = { name = "path:far.npz", image_size = 8 }
"""


def draw(folder: Path, spread: int, seed: int = 0) -> None:
    """Folders train and test, of six classes each: eight noisy drawings of a pattern."""
    rng, noise = np.random.default_rng(0), np.random.default_rng(seed)
    for name in [f"{part}/{part[1]}{c}" for part in ("train", "test") for c in range(6)]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        pattern = rng.integers(0, 256, (8, 8))
        for i in range(8):
            pixels = (pattern + noise.integers(-spread, spread + 1, (8, 8))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def far(file: Path, seed: int = 0) -> None:
    np.savez(file, images=np.random.default_rng(seed).integers(0, 256, (3, 6, 8, 8), dtype=np.uint8))


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """A folder of images, in the working folder."""
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "mine", 10)
    return tmp_path / "mine"


def cell(text: str = SUITE) -> Cell:
    Path("mine.toml").write_text(text)
    return expand(load_suite("mine.toml"))[0]


def score(one: Cell) -> float:
    run_cell(one, Path("results"), CPU)
    return results.read(Path("results"), "mine", one.variant).episodes.query_score.mean()


def test_changed_images_make_another_cell_with_other_scores(mine):
    before = cell()
    assert score(before) > 0.9
    draw(mine, 500)
    after = cell()
    assert not is_done(after, Path("results"))
    assert after.variant != before.variant
    assert score(after) < 0.8


def test_the_data_may_lie_anywhere_and_be_packed(mine):
    known = cell()
    shutil.copytree(mine, "elsewhere/mine")
    os.utime(mine / "train/r0/0.png", (10**9, 10**9))
    shutil.make_archive("mine", "zip", mine)
    for place in ("elsewhere/mine", "mine.zip"):
        there = UserImages(path=place, image_size=8)
        assert there.digest("train") == known.training_data
        assert there.digest("test") == known.split_data["test"] != known.training_data
    assert cell().hash == known.hash


def test_a_change_that_hides_is_seen(mine):
    before, file = cell(), mine / "train/r0/0.png"
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save("a.bmp")
    Image.fromarray(np.full((8, 8), 8, np.uint8)).save("b.bmp")
    shutil.copy("a.bmp", file)
    first, about = cell(), file.stat()
    file.write_bytes(Path("b.bmp").read_bytes())
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (about.st_size, about.st_mtime_ns)
    assert len({before.hash, first.hash, cell().hash}) == 3


def test_changed_test_images_are_scored_and_nothing_is_trained_again(mine):
    before = cell()
    run_cell(before, Path("results"), CPU)
    trained = before.folder(Path("results")) / "checkpoint.pt"
    stamp = trained.stat().st_mtime_ns
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(mine / "test/e0/0.png")
    after = cell()
    assert after.hash == before.hash and after.variant != before.variant
    assert not is_done(after, Path("results"))
    run_cell(after, Path("results"), CPU)
    assert trained.stat().st_mtime_ns == stamp
    assert is_done(before, Path("results")) and is_done(after, Path("results"))
    markers = [results.read_json(before.folder(Path("results")) / f"done-{c.variant}.json") for c in (before, after)]
    assert markers[0]["files"] != markers[1]["files"]
    assert markers[0]["episodes"] != markers[1]["episodes"]


def test_data_of_an_optional_split_come_and_change(mine):
    run_cell(cell(), Path("results"), CPU)
    far(Path("far.npz"))
    came = cell()
    assert not is_done(came, Path("results"))
    run_cell(came, Path("results"), CPU)
    assert is_done(cell(), Path("results"))
    far(Path("far.npz"), seed=1)
    assert not is_done(cell(), Path("results"))
    Path("far.npz").unlink()
    assert is_done(cell(), Path("results"))


def test_the_data_that_choose_a_checkpoint_count(mine):
    text = SUITE + '[[splits]]\nname = "val"\nrole = "meta-val"\nsource = { name = "path:val", image_size = 8 }\n'
    draw(Path("val"), 10)
    before = cell(text).hash
    draw(Path("val"), 20)
    assert cell(text).hash != before


def test_what_was_digested_is_not_read_again(mine, monkeypatch):
    far(Path("far.npz"))
    before = cell()
    monkeypatch.setattr(UserImages, "read", None)
    assert cell().hash == before.hash


PLUGIN = '''
import numpy as np, torch
from metagap.tasks.images import ImageStore
from metagap.tasks.source import Source

class Mine(Source):
    """Patterns from a file."""
    licence = citation = "none"
    kind: str = "classification"
    file: str = ""

    def tasks(self, part, device):
        images = torch.from_numpy(np.load(self.file or "hidden.npy"))
        return ImageStore.from_labels(images.flatten(0, 1)[:, None], torch.arange(4).repeat_interleave(5), list("abcd"))
'''


@pytest.mark.parametrize("option", [', file = "named.npy"', ""])
def test_a_plugin_that_does_not_say_what_its_content_is(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    Path("plugin.py").write_text(PLUGIN)
    text = SUITE.replace('"path:mine", image_size = 8', f'"plugin.py:Mine"{option}')
    text = text.replace("training =", 'training_classes = "all"\ntraining =', 1)
    text = text.replace('role = "in-distribution"\nclasses = "test"', 'role = "meta-train"')
    file, images = option[10:-1] or "hidden.npy", np.zeros((4, 5, 8, 8), np.uint8)
    hashes = []
    for last in (0, 0, 9):
        images[3] = last
        np.save(file, images)
        hashes.append(cell(text).hash)
    assert hashes[0] == hashes[1] != hashes[2]
    check([cell(text)])
