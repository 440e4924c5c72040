"""GTSRB: German traffic signs."""

from __future__ import annotations

from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures


class GTSRB(Pictures):
    """German Traffic Signs: 43 signs, photographed from a car; the 26,640 training images that torchvision has.

    Meta-Dataset tests on all classes, so there are no parts but `all`; it takes them from the later release of 39,209
    images, which is read as well where it is laid at `gtsrb/GTSRB_Final_Training_Images.zip`.
    """

    title = "GTSRB"
    licence = "not stated"
    citation = (
        "Stallkamp, Schlipsing, Salmen, Igel (2012), Man vs. computer: Benchmarking machine learning algorithms for "
        "traffic sign recognition"
    )
    download_size = "not stated"
    remotes = (
        Remote(
            "gtsrb/GTSRB-Training_fixed.zip",
            "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/GTSRB-Training_fixed.zip",
            "513f3c79a4c5141765e10e952eaa2478",
        ),
    )
    places = (("gtsrb/GTSRB_Final_Training_Images.zip", "gtsrb/GTSRB-Training_fixed.zip", "gtsrb/GTSRB/Training"),)
    complete = 26640
