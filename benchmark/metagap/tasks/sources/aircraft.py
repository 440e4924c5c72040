"""Aircraft: a hundred variants of aeroplanes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Picture, Pictures, images

RELEASE = "fgvc-aircraft-2013b"
HALVES = ("train", "val", "test")


class Aircraft(Pictures):
    """FGVC-Aircraft: 100 variants of aircraft with 100 photographs each, in the split of Meta-Dataset (70/15/15)."""

    title = "Aircraft"
    licence = "non-commercial research"
    citation = (
        "Maji, Rahtu, Kannala, Blaschko, Vedaldi (2013), Fine-Grained Visual Classification of Aircraft; split: "
        "Triantafillou et al. (2020), Meta-Dataset"
    )
    download_size = "2.75 GB"
    remotes = (
        Remote(f"{RELEASE}.tar.gz", f"https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/{RELEASE}.tar.gz"),
    )
    places = ((f"{RELEASE}.tar.gz", RELEASE, f"fgvc_aircraft/{RELEASE}"),)
    split_file = "aircraft"
    per_class = 100

    crop: bool = Field(
        default=True,
        description="the box around the aeroplane alone, as in Meta-Dataset; the rest shows a line of copyright",
    )

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """By the lists of the release, which name every image with its variant and with its box."""
        archive = archives[0]
        *halves, table = archive.several(*(f"data/images_variant_{half}.txt" for half in HALVES), "data/images_box.txt")
        variants, boxes = dict(_pairs(b"".join(halves))), dict(_pairs(table))
        for name in images(archive):
            image = PurePosixPath(name).stem
            try:
                left, upper, right, lower = map(int, boxes[image].split()) if self.crop else (0, 0, 0, 0)
                yield Picture(name, variants[image], box=(left, upper, right, lower) if self.crop else None)
            except (KeyError, ValueError):
                raise UserError(f"{self.title}: '{name}' has no variant or no box in '{archive.path}'") from None


def _pairs(lists: bytes) -> list[tuple[str, str]]:
    """The lines of a list: the number of an image, and what is said of it."""
    lines = lists.decode(errors="replace").splitlines()
    return [(image, rest.strip()) for image, _, rest in (line.partition(" ") for line in lines)]
