"""Flowers: a hundred and two kinds of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Picture, Pictures, images

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
LABELS = "imagelabels.mat"


class Flowers(Pictures):
    """Oxford Flowers: 8,189 photographs of 102 kinds, in the split of Meta-Dataset (71/15/16)."""

    title = "Flowers"
    licence = "not stated"
    citation = (
        "Nilsback, Zisserman (2008), Automated Flower Classification over a Large Number of Classes; split: "
        "Triantafillou et al. (2020), Meta-Dataset"
    )
    download_size = "345 MB"
    remotes = (
        Remote("flowers-102/102flowers.tgz", f"{PAGE}/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
        Remote(f"flowers-102/{LABELS}", f"{PAGE}/{LABELS}", "e0620be6f572b9609742df49c70aed4d"),
    )
    places = (("flowers-102/102flowers.tgz", "flowers-102/jpg", "vgg_flower102/jpg"),)
    split_file = "flowers"
    complete = 8189

    def paths(self) -> list[Path]:
        """The images and the file with their labels."""
        return [*super().paths(), self.find(f"flowers-102/{LABELS}", f"vgg_flower102/{LABELS}")]

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """Image number i, counted from 1, is of the i-th label, counted from 1 as well."""
        from scipy.io import loadmat

        path = archives[-1].path
        try:
            labels = loadmat(io.BytesIO(path.read_bytes()))["labels"].ravel()
        except Exception as error:  # scipy raises whatever comes up
            raise UserError(f"{self.title}: '{path}' is damaged: {error!r}") from None
        names = {int(name[:3]): name for part in self.pinned().values() for name in part}
        for name in images(archives[0]):
            number = int(PurePosixPath(name).stem.rpartition("_")[2])
            if number > len(labels):
                raise UserError(f"{self.title}: '{name}' is not among the {len(labels)} labels in '{path}'")
            yield Picture(name, names[int(labels[number - 1])])
