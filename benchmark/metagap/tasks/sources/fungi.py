"""Fungi: mushrooms of more than a thousand species."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Picture, Pictures, images

PAGE = "https://labs.gbif.org/fgvcx/2018"
IMAGES, TABLES = "fungi_train_val.tgz", "train_val_annotations.tgz"


class Fungi(Pictures):
    """FGVCx Fungi 2018: 89,760 photographs of 1,394 species, in the split of Meta-Dataset (994/200/200)."""

    title = "Fungi"
    licence = "the terms of use of the FGVCx Fungi competition"
    citation = (
        "Schroeder, Cui (2018), FGVCx Fungi Classification Challenge; split: Triantafillou et al. (2020), Meta-Dataset"
    )
    download_size = "12.9 GB"
    remotes = tuple(Remote(f"fgvc_fungi/{file}", f"{PAGE}/{file}") for file in (IMAGES, TABLES))
    places = ((f"fgvc_fungi/{IMAGES}", "fgvc_fungi/images"), (f"fgvc_fungi/{TABLES}", "fgvc_fungi"))
    split_file = "fungi"
    complete = 89760

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """By the two tables, in which every image has the number of its species."""
        species = {int(name[:4]): name for part in self.pinned().values() for name in part}
        found: dict[str, str] = {}
        for file in ("train.json", "val.json"):
            try:
                table = json.loads(archives[1].one(file))
                files = {image["id"]: image["file_name"] for image in table["images"]}
                for row in table["annotations"]:
                    found[_short(files[row["image_id"]])] = species[row["category_id"]]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.title}: '{file}' of '{archives[1].path}' is damaged: {error!r}") from None
        for name in images(archives[0]):
            if _short(name) in found:
                yield Picture(name, found[_short(name)])


def _short(file: str) -> str:
    """Folder and name, wherever the archive was unpacked."""
    return "/".join(file.split("/")[-2:])
