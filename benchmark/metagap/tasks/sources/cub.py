"""CUB: birds of two hundred species."""

from __future__ import annotations

from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures


class CUB(Pictures):
    """Caltech-UCSD Birds 200-2011: 11,788 photographs of 200 species, in the split of Chen et al. (100/50/50)."""

    title = "CUB"
    licence = "not stated; the photographs belong to their takers"
    citation = (
        "Wah, Branson, Welinder, Perona, Belongie (2011), The Caltech-UCSD Birds-200-2011 Dataset; split: Chen et al. "
        "(2019), A Closer Look at Few-shot Classification"
    )
    download_size = "1.1 GB"
    remotes = (Remote("cubirds200/CUB_200_2011.tgz", "https://zenodo.org/record/8000562/files/CUB_200_2011.tgz"),)
    places = (("cubirds200/CUB_200_2011.tgz", "cubirds200/CUB_200_2011/images", "CUB_200_2011/images"),)
    split_file = "cub"
    complete = 11788
    related = {
        name: "43 photographs of CUB are in ImageNet too, as learn2learn lists them"
        for name in ("mini-imagenet", "tiered-imagenet")
    }

    def label(self, name: str) -> str:
        """The folder, which begins with the number of the species; the archive holds more than the photographs."""
        folder = super().label(name)
        return folder if folder[:3].isdigit() else ""
