"""The folder in which bad input is given: suites, data, plugins and stores that are right, and next to them such as are
not."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tomli_w
from PIL import Image

from metagap.machine import Machine
from metagap.results.files import write_signed
from metagap.runner.cell import run_cell
from metagap.suite import expand, load_suite
from tiny_suites import write

PAPER = {
    "title": "Doe's waves",
    "citation": "Doe (2017), Waves",
    "source": "Doe (2017)",
    "rows": {"maml": "MAML"},
    "columns": [{"suite": "paper.toml", "label": "5 points"}],
}
"""A table of a paper, whose suite is `paper.toml`."""
VALUE = {"algorithm": "maml", "split": "square", "value": 4.0, "source": "Doe (2017), Table 1", "mark": "V"}


def build(folder: Path) -> None:
    """Make all of it in an empty folder."""
    write(folder, "images")
    write(folder, name="waves")
    write(folder, name="other", seeds=[1])
    write(folder, name="swept", sweep={"key": "training.lr", "values": [0.1, 0.2]})
    write(folder, name="paper", published=[VALUE])
    (folder / "doe.toml").write_text(tomli_w.dumps(PAPER))
    (folder / "file").write_text("hello\n")
    for name in ("folder", "folder.toml", "folder.py"):
        (folder / name).mkdir()
    _data(folder / "data")
    _plugins(folder / "plugins")
    _stores(folder)


def _stores(folder: Path) -> None:
    """`results` has the cells of two suites; beside it are stores that are damaged in one way each."""
    for name in ("waves", "other"):
        for cell in expand(load_suite(str(folder / f"{name}.toml"))):
            run_cell(cell, folder / "results", Machine("cpu", engine="loop plain eager"))
    own = folder / "results" / "waves" / "own.json"
    write_signed(own, {"variant": cell_of(folder)["variant"], "hashes": [], "reference": ""})

    def copied(name: str) -> Path:
        return Path(shutil.copytree(folder / "results" / "waves", folder / "stores" / name / "waves"))

    (copied("own-cut") / "own.json").write_bytes(own.read_bytes()[:20])
    (copied("own-binary") / "own.json").write_bytes(bytes(range(256)))
    (copied("own-list") / "own.json").write_text("[1, 2]")
    (copied("own-deep") / "own.json").write_text("[" * 100_000)
    for marker in copied("markers-cut").glob("*/*/done-*.json"):
        marker.write_bytes(marker.read_bytes()[:100])
    for marker in copied("markers-empty").glob("*/*/done-*.json"):
        marker.write_bytes(b"")
    for marker in copied("markers-of-later").glob("*/*/done-*.json"):
        marker.write_text(json.dumps({"format": 99}))
    store = copied("markers-of-others")
    for ours, theirs in zip(sorted(store.glob("*/*/done-*.json")), _markers(folder, "other"), strict=True):
        ours.unlink()
        shutil.copy(theirs, ours.parent)
    for frame in copied("episodes-gone").glob("*/*/evaluation/*.parquet"):
        frame.unlink()
    for frame in copied("episodes-text").glob("*/*/evaluation/*.parquet"):
        frame.write_text("no parquet")


def _markers(folder: Path, suite: str) -> list[Path]:
    return sorted((folder / "results" / suite).glob("*/*/done-*.json"))


def cell_of(folder: Path) -> dict:
    """What the marker of a finished cell of `waves` says."""
    return json.loads(_markers(folder, "waves")[0].read_text())


def _data(folder: Path) -> None:
    """Data of a user's own: `good` is read, whatever else is here is not."""
    images = np.random.default_rng(0).integers(0, 256, (8, 6, 6), np.uint8)
    labels = np.arange(8) // 4
    folder.mkdir()
    arrays = {
        "good": {"images": images, "labels": labels},
        "no-images": {"pictures": images, "labels": labels},
        "no-labels": {"images": images},
        "no-arrays": {},
        "one-axis": {"images": np.arange(8), "labels": labels},
        "five-axes": {"images": images.reshape(8, 6, 6, 1, 1), "labels": labels},
        "two-channels": {"images": images.reshape(8, 6, 3, 2), "labels": labels},
        "fewer-labels": {"images": images, "labels": labels[:3]},
        "labels-of-two-axes": {"images": images, "labels": labels.reshape(4, 2)},
        "labels-nan": {"images": images, "labels": np.where(labels, np.nan, 0.0)},
        "nan": {"images": np.where(images > 9, np.nan, 0.5), "labels": labels},
        "negative": {"images": images.astype(int) - 200, "labels": labels},
        "texts": {"images": images.astype(str), "labels": labels},
        "complex": {"images": images * 1j, "labels": labels},
        "nothing": {"images": images[:0], "labels": labels[:0]},
        "empty-images": {"images": images[:, :0], "labels": labels},
        "pickled": {"images": np.array([{}, *images], dtype=object), "labels": labels},
        "names": {"images": images, "labels": labels, "class_names": np.array(["a"])},
    }
    for name, stored in arrays.items():
        np.savez(folder / f"{name}.npz", **stored)
    (folder / "text.npz").write_text("no archive")
    (folder / "void.npz").write_bytes(b"")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:300])
    (folder / "image.png").write_bytes(_png(images[0]))
    (folder / "words.txt").write_text("hello")
    (folder / "cut.csv").write_text("label,1,2,3\n0,9,9,9\n")
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\3")

    good = {f"{label}/{i}.png": _png(images[4 * label + i]) for label in (0, 1) for i in range(4)}
    folders: dict[str, dict[str, bytes]] = {
        "broken": {**good, "0/0.png": b"no image"},
        "half": {**good, "0/0.png": good["0/0.png"][:40]},
        "void": {**good, "0/0.png": b""},
        "flat": {Path(name).name: data for name, data in good.items()},
        "words": {"a/words.txt": b"hello"},
        "giant": {**good, "0/0.png": _header(100_000, 100_000)},
        "sizeless": {**good, "0/0.png": _header(0, 0)},
        "table": {**good, "labels.csv": b"file,label\n0/0.png,a\ngone.png,b\n"},
        "headless": {**{Path(name).name: data for name, data in good.items()}, "labels.csv": b"a,b\n1,2\n"},
        "binary-table": {**{Path(name).name: data for name, data in good.items()}, "labels.csv": bytes(range(256))},
        "parts": {"train/a/0.png": good["0/0.png"], "0.png": good["0/1.png"]},
    }
    for name, files in folders.items():
        for file, data in files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    with zipfile.ZipFile(folder / "good.zip", "w") as archive:
        for name, data in good.items():
            archive.writestr(name, data)
    (folder / "cut.zip").write_bytes((folder / "good.zip").read_bytes()[:200])
    (folder / "text.zip").write_text("no archive")
    (folder / "text.tar.gz").write_text("no archive")
    with tarfile.open(folder / "outside.tar", "w") as archive:
        for name, data in {"../outside/0.png": good["0/0.png"]}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (folder / "loop").mkdir()
    (folder / "loop" / "loop").symlink_to(folder / "loop")
    (folder / "nowhere").symlink_to(folder / "gone")
    os.mkfifo(folder / "pipe.npz")
    raw = folder / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        (raw / f"t10k-{name}.gz").write_bytes(b"half a file")


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _header(width: int, height: int) -> bytes:
    """A PNG file that says that it is so large, and has nothing else."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


MAML = "from metagap.algorithms.maml import MAML\n\n\nclass Mine(MAML):\n    'Mine.'\n"
PLUGINS = {
    "good": MAML,
    "syntax": "class Mine(:\n",
    "indented": " x = 1\n",
    "missing": "import nothing_like_this\n",
    "raises": "raise RuntimeError('no\\nidea')\n",
    "exits": "import sys\nsys.exit(3)\n",
    "recursive": "def f():\n    f()\nf()\n",
    "void": "",
    "old": "from benchmark.algorithms.maml import MAML\n",
    "other": "class Mine:\n    pass\n",
    "function": "def Mine():\n    pass\n",
    "number": "Mine = 3\n",
    "half": "from metagap.algorithms.base import Algorithm\n\n\nclass Mine(Algorithm):\n    'Mine.'\n",
    "two": f"{MAML}\n\nclass Yours(Mine):\n    'Yours.'\n",
    "required": f"{MAML}    mine: int\n",
    "constructor": f"{MAML}    def model_post_init(self, context):\n        raise RuntimeError('no idea')\n",
    "validator": f"{MAML}    inner_lr: float = 'x'\n",
    "init": f"{MAML}    def init(self, network, class_count, generator):\n        raise RuntimeError('no idea')\n",
    "bind": f"{MAML}    def check_network(self):\n        raise RuntimeError('no idea')\n",
    "metric": "METRIC = 3\n",
    "net": "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self, x_shape, outputs):\n"
    "        super().__init__()\n        raise RuntimeError('no idea')\n\n\n"
    "class NoArguments(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n\n\n"
    "class Shapeless(torch.nn.Module):\n    def __init__(self, x_shape, outputs):\n        super().__init__()\n"
    "        self.layer = torch.nn.Linear(1, 1)\n\n    def forward(self, x):\n        return x.sum()\n\n\n"
    "class Frozen(torch.nn.Linear):\n    def __init__(self, x_shape, outputs):\n"
    "        super().__init__(1, outputs)\n        self.requires_grad_(False)\n",
    "source": "from metagap.tasks.functions import Sinusoid\n\n\nclass Tasks(Sinusoid):\n    'Tasks.'\n\n"
    "    def tasks(self, part, device):\n        raise RuntimeError('no idea')\n\n\n"
    "class Nothing(Sinusoid):\n    'Nothing.'\n\n    def tasks(self, part, device):\n        return None\n",
    "executor": "from metagap.executors import Executor\n\n\ndef run(cells, store, machine, verbose):\n"
    "    raise RuntimeError('no idea')\n    yield\n\n\ndef silent(*_):\n    return []\n\n\n"
    "RAISES = Executor(name='raises', about='Raises.', run=run)\n"
    "SILENT = Executor(name='silent', about='Says nothing.', run=silent)\n"
    "LOST = Executor(name='lost', about='Lost.', run='nothing_like_this:run')\n",
}
"""What stands in each plugin file."""


def _plugins(folder: Path) -> None:
    folder.mkdir()
    for name, text in PLUGINS.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "binary.py").write_bytes(bytes(range(256)))
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
