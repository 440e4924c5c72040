"""EuroSAT: land use seen from a satellite."""

from __future__ import annotations

from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures

COPY = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd"
"""The copy that torchvision fetches."""


class EuroSAT(Pictures):
    """EuroSAT: 27,000 satellite images of 10 kinds of land use, 64x64 pixels in colour; a far domain of BSCD-FSL.

    Few-shot studies test on all classes, so there are no parts but `all`.
    """

    title = "EuroSAT"
    licence = "MIT"
    citation = (
        "Helber, Bischke, Dengel, Borth (2019), EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and "
        "Land Cover Classification"
    )
    download_size = "94 MB"
    remotes = (
        Remote(
            "eurosat/EuroSAT.zip",
            f"{COPY}/EuroSAT.zip",
            "c8fa014336c82ac7804f0398fcb19387",
        ),
    )
    places = (("eurosat/EuroSAT.zip", "eurosat/2750"),)
    complete = 27000
