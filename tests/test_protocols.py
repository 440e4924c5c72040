"""What the built-in suites describe can be run: with next to no budget, on noise, or on real data that are here."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from metagap import results
from metagap.files import SUITES
from metagap.machine import Machine
from metagap.report.frames import Frames
from metagap.report.page import make, tables_of
from metagap.report.tables.settings import SETTINGS
from metagap.runner.cell import run_cell
from metagap.runner.preflight import check
from metagap.suite import Cell, expand, load_suite, resolve

NOISE = '''"""A hundred classes of noise, in parts like those of mini-ImageNet."""
import numpy as np
from metagap.tasks.source import ImageSource


class Noise(ImageSource):
    """Noise, another one for every seed."""

    licence = citation = "none"
    seed: int = 0

    def stamp(self):
        return f"noise {self.seed}"

    def read(self):
        images = np.random.default_rng(self.seed).integers(0, 256, (4000, 16, 16), dtype=np.uint8)
        return images, np.repeat(np.arange(100), 40), [f"class {i}" for i in range(100)]

    def parts(self, store):
        return {"train": list(range(64)), "val": list(range(64, 80)), "test": list(range(80, 100))}
'''

TINY: dict[str, dict[str, Any]] = {
    "conv4": {"filters": 4},
    "resnet10": {"filters": 2},
    "resnet18": {"filters": 2},
    "mlp": {"hidden": [8, 8]},
    "r2d2-embedding": {"filters": [2, 2, 2, 2]},
}
CPU = Machine("cpu", engine="loop plain eager")


@pytest.fixture
def tiny(tmp_path: Path):
    """Gives the cells of a built-in suite with noise instead of its images, and next to no network and budget."""
    noise = tmp_path / "noise.py"
    noise.write_text(NOISE)

    def replaced(source: Any, **more: Any) -> dict[str, Any]:
        """The same source of functions, or noise with those options that all images have."""
        table = {"name": source} if isinstance(source, str) else source
        if table["name"] == "sinusoid":
            return table
        if table["name"].startswith("half-cheetah"):
            pytest.importorskip("mujoco", reason="needs the extra metagap[mujoco]")
            return table | {"horizon": 3}
        kept = {key: value for key, value in table.items() if key in ("channels", "rotations", "normalise")}
        return {"name": f"{noise}:Noise", "image_size": 16, "seed": zlib.crc32(table["name"].encode()), **kept, **more}

    def reduced(table: dict[str, Any], **limits: int) -> dict[str, Any]:
        return table | {key: min(table[key], limit) for key, limit in limits.items() if key in table}

    def tiny(name: str) -> list[Cell]:
        path = SUITES.folder / f"{name}.toml"
        table = SUITES.read(path)
        table["seeds"] = [0]
        table["task"] = reduced(table["task"], ways=3)
        table["model"] |= TINY[table["model"]["name"]]
        table["source"] = replaced(table["source"])
        table["training"] = reduced(table["training"], iterations=2, meta_batch=2)
        table["training"] |= {"validations": 1, "validation_episodes": 2}
        table["evaluation"] = reduced(table["evaluation"], episodes=3, steps=2, curve_steps=3)
        table["evaluation"]["diagnostic_episodes"] = 2
        for entry in table["algorithms"].values():
            entry |= reduced(entry, inner_steps=2)
            for section, limits in (
                ("training", {"iterations": 2, "meta_batch": 2}),
                ("evaluation", {"steps": 2, "curve_steps": 3}),
            ):
                if section in entry:
                    entry[section] = reduced(entry[section], **limits)
        for split in table["splits"]:
            split |= reduced(split, episodes=3, ways=3)
            if "source" in split:
                split["source"] = replaced(split["source"], held_out_images=1)  # not the source that is trained on
        return expand(resolve(table, path))

    return tiny


PROTOCOLS = [name for name in SUITES.names() if "deviations" in SUITES.read(SUITES.path(name))]


def test_there_are_protocols():
    assert {"omniglot-5way-1shot", "mini-imagenet-5way-5shot", "closer-look-cub-resnet18-5shot"} <= set(PROTOCOLS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_tasks_can_be_drawn(tiny, name):
    check(tiny(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_algorithm_is_scored_on_every_split(tiny, tmp_path, name):
    cells = tiny(name)
    for cell in cells:
        run_cell(cell, tmp_path, CPU)
    found = results.read(tmp_path, name)
    splits = {split.name for split in cells[0].suite.test_splits}
    scored = found.episodes.groupby("algorithm").split.unique()
    assert {label: set(names) for label, names in scored.items()} == {cell.label: splits for cell in cells}
    frames = Frames.of(found)
    reached = frames.published[frames.published["step"].fillna(0) <= 2]
    assert len(reached) or frames.published.empty
    assert not (reached["verdict"] == "not run").any()
    assert "settings" in tables_of(make(frames, [SETTINGS])[1])


REAL = [name for name in PROTOCOLS if "omniglot-" in name and "emnist" not in name]
REAL += ["omniglot-small"]
SLOW = ["anil-omniglot-20way-1shot", "anil-omniglot-20way-5shot"]  # with a sibling of the same data
CIFAR = ["cifar-fs-small", "cifar-fs-5way-1shot", "cifar-fs-r2d2-5way-5shot"]  # 17 s to decode its images


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in [*CIFAR, *SLOW])) for name in [*REAL, *CIFAR]]
)
def test_there_are_images_enough(real_data, name):
    real_data("cifarfs/cifarfs_100x100.zip" if "cifar" in name else "omniglot-py/images_background.zip")
    check(expand(load_suite(name)))


def shortened(name: str, steps: int, episodes: int) -> list[Cell]:
    """The cells of a suite as they are, but with two small iterations and few tests, on the training source alone."""
    path = SUITES.folder / f"{name}.toml"
    table = SUITES.read(path)
    table["seeds"] = [0]
    table["splits"] = [
        {key: value for key, value in split.items() if key != "episodes"}
        for split in table["splits"]
        if "source" not in split or split["role"] == "in-distribution"
    ]
    table["training"] |= {"meta_batch": 2, "validations": 1, "validation_episodes": 2}
    table["evaluation"] |= {"episodes": episodes, "diagnostic_episodes": 2}
    for entry in table["algorithms"].values():
        entry["training"] = entry.get("training", {}) | {"iterations": 2, "meta_batch": 2}
        entry["evaluation"] = entry.get("evaluation", {}) | {"steps": steps, "curve_steps": steps}
    return expand(resolve(table, path))


@pytest.mark.parametrize("name", ["omniglot-5way-1shot", "omniglot-5way-1shot-no-conv", "reptile-omniglot-5way-1shot"])
def test_it_runs_on_the_real_images(real_data, tmp_path, name):
    real_data("omniglot-py/images_background.zip")
    cells = [cell for cell in shortened(name, 2, 3) if cell.label in ("maml", "reptile")]
    for cell in cells:
        run_cell(cell, tmp_path, CPU)
    found = results.read(tmp_path, name)
    ours = Frames.of(found).published.set_index("algorithm")
    assert set(found.cells.algorithm) == {cell.label for cell in cells}
    assert all(0 <= ours.loc[cell.label, "ours"] <= 1 for cell in cells)
    assert found.episodes.query_loss.gt(0).all()


def test_the_sinusoids_of_reptile_run(tmp_path):
    for cell in shortened("reptile-sinusoid", 3, 50):
        run_cell(cell, tmp_path, CPU)
    episodes = results.read(tmp_path, "reptile-sinusoid").episodes
    loss = episodes[episodes.condition == "standard"].groupby(["algorithm", "step"]).query_loss.median().unstack()
    assert list(loss.columns) == [0, 1, 2, 3]
    assert (loss[3] < loss[0]).all()  # adaptation helps from the start
