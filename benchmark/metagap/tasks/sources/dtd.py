"""DTD: textures, by the word that describes them."""

from __future__ import annotations

from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures


class DTD(Pictures):
    """Describable Textures: 47 textures with 120 images each, in the split of Meta-Dataset (33/7/7)."""

    title = "DTD"
    licence = "for research"
    citation = (
        "Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi (2014), Describing Textures in the Wild; split: Triantafillou et al. "
        "(2020), Meta-Dataset"
    )
    download_size = "600 MB"
    remotes = (
        Remote(
            "dtd/dtd-r1.0.1.tar.gz",
            "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
            "fff73e5086ae6bdbea199a49dfb8a4c1",
        ),
    )
    places = (("dtd/dtd-r1.0.1.tar.gz", "dtd/dtd/images", "describable_textures/dtd/images"),)
    split_file = "dtd"
    per_class = 120
