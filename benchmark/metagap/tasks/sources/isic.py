"""ISIC: skin lesions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Picture, Pictures, images

STORE = "https://isic-challenge-data.s3.amazonaws.com/2018"
IMAGES, TRUTH = "ISIC2018_Task3_Training_Input", "ISIC2018_Task3_Training_GroundTruth"


class ISIC(Pictures):
    """ISIC 2018, task 3: 10,015 dermatoscopic images of 7 kinds of skin lesions; a far domain of BSCD-FSL.

    Few-shot studies test on all classes, so there are no parts but `all`.
    """

    title = "ISIC"
    licence = "CC BY-NC 4.0"
    citation = (
        "Codella et al. (2019), Skin Lesion Analysis Toward Melanoma Detection 2018; images: Tschandl, Rosendahl, "
        "Kittler (2018), The HAM10000 dataset"
    )
    download_size = "not stated"
    remotes = tuple(Remote(f"isic/{file}.zip", f"{STORE}/{file}.zip") for file in (IMAGES, TRUTH))
    places = tuple((f"isic/{file}.zip", f"isic/{file}") for file in (IMAGES, TRUTH))
    complete = 10015

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """By the table, which has a 1 in the column of each image's class."""
        table = archives[1].one(f"{TRUTH}.csv").decode(errors="replace").splitlines()
        kinds = {row.pop("image", ""): [kind for kind, value in row.items() if value in ("1", "1.0")]
                 for row in csv.DictReader(table)}  # fmt: skip
        for name in images(archives[0]):
            match kinds.get(PurePosixPath(name).stem):
                case [kind]:
                    yield Picture(name, kind)
                case _:
                    raise UserError(f"{self.title}: '{name}' has no class in {TRUTH}.csv of '{archives[1].path}'")
