"""Omniglot: handwritten characters of fifty alphabets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.source import ImageSize, Seed
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures
from metagap.tasks.sources.stored import pinned

HALVES = ("images_background", "images_evaluation")


class Omniglot(Pictures):
    """1,623 handwritten characters of 50 alphabets, 20 drawings each.

    `split = "vinyals"` has the 1,028 / 172 / 423 training, validation and test characters of Vinyals et al. (2016);
    `split = "random"` shuffles all characters into 1,100 / 100 / 423 as the MAML code does; `split = "no-latin"` keeps
    the 26 of the Latin alphabet for testing, for what is tested on EMNIST (Chen et al. 2019). With `rotations` every
    character counts four times. Strokes are white on black.
    """

    title = "Omniglot"
    licence = "MIT"
    citation = (
        "Lake, Salakhutdinov, Tenenbaum (2015), Human-level concept learning through probabilistic program induction"
    )
    download_size = "15 MB"
    places = tuple((f"omniglot-py/{half}.zip", f"omniglot-py/{half}", half) for half in HALVES)
    split_file = "omniglot_vinyals"
    about_parts = Pictures.about_parts | {"split", "split_seed"}
    related = {
        "emnist": "one of the 50 alphabets is the Latin one, and its letters are classes of EMNIST: published results "
        "from Omniglot to EMNIST are without it"
    }

    image_size: ImageSize = Field(default=28, description="images are resized to this many pixels a side")
    channels: Literal[1, 3] = Field(default=1, description="1 for grey, 3 for colour")
    split: Literal["vinyals", "random", "no-latin"] = Field(
        default="vinyals", description="which characters are for training"
    )
    split_seed: Seed = Field(default=0, description="seed of the random split")

    def addresses(self) -> Sequence[Remote]:
        """As torchvision has them."""
        from torchvision.datasets import Omniglot as Known

        return [
            Remote(f"omniglot-py/{half}.zip", f"{Known.download_url_prefix}/{half}.zip", Known.zips_md5[half])
            for half in HALVES
        ]

    def label(self, name: str) -> str:
        """Alphabet and character."""
        return "/".join(PurePosixPath(name).parts[-3:-1])

    def decode(self, image: Image.Image) -> np.ndarray:
        """The drawing as it is, (105, 105), white on black."""
        return 255 * (1 - np.asarray(image.convert("1"), np.uint8))

    def check_classes(self, names: Sequence[str]) -> None:
        """Nothing: `read` counts the drawings too."""

    def read(self) -> Reading:
        """Both halves, character by character; raises UserError unless they are complete."""
        reading = super().read()
        counts = np.bincount(reading.labels)
        if len(counts) != 1623 or set(counts) != {20}:
            raise UserError(
                f"Omniglot: {len(counts)} characters with {counts.min()} to {counts.max()} drawings in "
                f"'{self.paths()[0].parent}'; complete are 1623 characters with 20"
            )
        return reading

    def pinned(self) -> dict[str, list[str]]:
        """The split of Vinyals et al.; its file has the numbers of the characters by alphabet."""
        return {
            part: [f"{alphabet}/character{n:02}" for alphabet, numbers in alphabets.items() for n in numbers]
            for part, alphabets in pinned(self.split_file).items()
        }

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """Characters of the chosen split."""
        if self.split == "vinyals":
            return super().parts(store)
        if self.split == "no-latin":
            latin = [name.startswith("Latin/") for name in store.names]
            return {"train": np.flatnonzero(~np.array(latin)).tolist(), "test": np.flatnonzero(latin).tolist()}
        order = np.random.default_rng(self.split_seed).permutation(store.class_count).tolist()
        return {"train": order[:1100], "val": order[1100:1200], "test": order[1200:]}
