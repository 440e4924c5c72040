"""COCO: things in everyday scenes, cut out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Picture, Pictures, images

SERVER = "https://s3.amazonaws.com/images.cocodataset.org"
TABLES = "annotations_trainval2017.zip"
LARGER = 0.2


class COCO(Pictures):
    """COCO 2017: what is in the annotated boxes of photographs, 80 classes of things, cut out one by one.

    Boxes are made larger by a fifth, as in Meta-Dataset; crowds and boxes smaller than `smallest` are left out. The
    validation photographs are used by default, which are a twentieth of the download. There are no parts but `all`.
    """

    title = "COCO"
    licence = "annotations: CC BY 4.0; photographs: the terms of Flickr"
    citation = (
        "Lin et al. (2014), Microsoft COCO: Common Objects in Context; as a benchmark: Triantafillou et al. (2020)"
    )
    download_size = "1.1 GB"
    remotes = (
        Remote("coco/val2017.zip", f"{SERVER}/zips/val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80"),
        Remote(f"coco/{TABLES}", f"{SERVER}/annotations/{TABLES}", "f4bbac642086de4f52a3fdda2de5fa2c"),
    )

    subset: Literal["val2017", "train2017"] = Field(
        default="val2017",
        description="which photographs; those for training (18 GB) are to be laid at coco/train2017.zip",
    )
    smallest: PositiveInt = Field(default=32, description="boxes narrower or lower than this many pixels are left out")

    def paths(self) -> list[Path]:
        """The photographs and the annotations."""
        return [
            self.find(f"coco/{self.subset}.zip", f"coco/{self.subset}"),
            self.find(f"coco/{TABLES}", "coco/annotations"),
        ]

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """By the table of instances, which has the boxes of every photograph."""
        here = {PurePosixPath(name).name: name for name in images(archives[0])}
        file = f"instances_{self.subset}.json"
        try:
            table = json.loads(archives[1].one(file))
            classes = {row["id"]: row["name"] for row in table["categories"]}
            photographs = {row["id"]: row for row in table["images"]}
            for row in table["annotations"]:
                photograph, (left, upper, width, height) = photographs[row["image_id"]], row["bbox"]
                if row["iscrowd"] or min(width, height) < self.smallest:
                    continue
                box = (
                    max(0, round(left - LARGER * width / 2)),
                    max(0, round(upper - LARGER * height / 2)),
                    min(photograph["width"], round(left + (1 + LARGER / 2) * width)),
                    min(photograph["height"], round(upper + (1 + LARGER / 2) * height)),
                )
                yield Picture(here[photograph["file_name"]], classes[row["category_id"]], box=box)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.title}: '{file}' of '{archives[1].path}' is damaged, or not of these photographs: {error!r}"
            ) from None
