"""ChestX: what radiographs of the chest show."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.pictures import Picture, Pictures, images

FINDINGS = {"Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumothorax"}
TABLES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")


class ChestX(Pictures):
    """ChestX: radiographs of the NIH (ChestX-ray8) with one of 7 findings and no other; a far domain of BSCD-FSL.

    Few-shot studies test on all classes, so there are no parts but `all`.
    """

    title = "ChestX"
    licence = "unrestricted, with the NIH Clinical Center named"
    citation = "Wang et al. (2017), ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks"
    download_size = "by hand"
    by_hand = (
        "fetch https://www.kaggle.com/nih-chest-xrays/data (an account is needed) and lay the zip, or what comes of "
        "it, in the folder chestx of the data folder: Data_Entry_2017.csv, and the radiographs in any folders"
    )
    places = (("chestx/*.zip", "chestx"),)

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """By the table, which has the findings of each radiograph."""
        archive = archives[0]
        present = {PurePosixPath(name).name for name in archive.names}
        table = next((name for name in TABLES if name in present), TABLES[0])
        rows = csv.DictReader(archive.one(table).decode(errors="replace").splitlines())
        findings = {row.get("Image Index", ""): row.get("Finding Labels", "") for row in rows}
        for name in images(archive):
            if (finding := findings.get(PurePosixPath(name).name, "")) in FINDINGS:
                yield Picture(name, finding)
