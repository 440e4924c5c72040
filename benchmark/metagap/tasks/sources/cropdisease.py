"""CropDisease: leaves of crops, ill and healthy."""

from __future__ import annotations

from metagap.tasks.sources.pictures import Pictures


class CropDisease(Pictures):
    """CropDisease: leaves of crops in 38 states of health (Plant Village); a near domain of BSCD-FSL.

    Few-shot studies test on all classes, so there are no parts but `all`. Where the copy has a folder `train`, as
    that of BSCD-FSL has, only the images in it count.
    """

    title = "CropDisease"
    licence = "as stated on the page it is fetched from"
    citation = (
        "Mohanty, Hughes, Salathe (2016), Using Deep Learning for Image-Based Plant Disease Detection; as a benchmark: "
        "Guo et al. (2020), A Broader Study of Cross-Domain Few-Shot Learning"
    )
    download_size = "by hand"
    by_hand = (
        "fetch https://www.kaggle.com/saroz014/plant-disease (an account is needed) and lay the zip at "
        "cropdisease.zip, or what comes of it at cropdisease, in the data folder, with a folder for each class in it"
    )
    places = (("cropdisease.zip", "cropdisease/*.zip", "cropdisease"),)

    def label(self, name: str) -> str:
        """The folder, outside of test images."""
        return "" if {"test", "valid", "val"} & set(name.split("/")[:-2]) else super().label(name)
