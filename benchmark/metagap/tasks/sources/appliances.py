"""Appliances, by what they take from the mains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource
from metagap.tasks.sources.series_files import read_series
from metagap.tasks.sources.windows import resampled

DOMAINS = {
    "PLAID": (
        "air conditioner",
        "fluorescent lamp",
        "fan",
        "fridge",
        "hairdryer",
        "heater",
        "light bulb",
        "laptop",
        "microwave",
        "vacuum cleaner",
        "washing machine",
    ),
    "ACSF1": (
        "phone charger",
        "coffee machine",
        "desktop computer",
        "fridge",
        "hi-fi system",
        "fluorescent lamp",
        "laptop",
        "microwave",
        "printer",
        "television",
    ),
}
"""The data sets, as files and domains are called, and their classes by number."""


class Appliances(PackagedSource):
    """Seventeen kinds of appliances, by the current or the power that they take: which is it?

    A class is a kind of appliance, the domain is the data set: "PLAID" has the current of 11 kinds in homes in
    Pittsburgh when they are switched on (30,000 values a second, 1,074 series of 100 to 1,344 values), "ACSF1" the
    power of 10 kinds in Switzerland over an hour (200 series of 1,460 values). Four kinds are in both. Every series is
    stretched or squeezed to `length` values, and scaled to mean 0 and standard deviation 1.
    """

    licence = "CC BY 4.0 (PLAID); free for research (ACS-F1); shipped with the package sktime"
    citation = (
        "Gao, Giri, Kara, Berges (2014), PLAID: a public dataset of high-resolution electrical appliance measurements, "
        "BuildSys; Gisler, Ridi, Zufferey, Abou Khaled, Hennebert (2013), Appliance consumption signature database and "
        "recognition test protocols, WoSSPA"
    )

    length: PositiveInt = Field(default=256, description="values of a series, interpolated linearly")

    def paths(self) -> list[Path]:
        """The files that sktime ships."""
        files = (f"datasets/data/{name}/{name}_{part}.ts" for name in DOMAINS for part in ("TRAIN", "TEST"))
        return self.shipped("sktime", *files)

    def records(self) -> Records:
        """All series, (n, 1, length)."""
        classes = list(dict.fromkeys(name for names in DOMAINS.values() for name in names))
        x, y, domain = [], [], []
        for path in self.paths():
            name = path.parent.name
            for channels, label in read_series(path, self.called):
                x.append(self._scaled(channels[0]))
                y.append(classes.index(DOMAINS[name][int(label)]))
                domain.append(name)
        return Records(np.stack(x)[:, None].astype(np.float32), np.array(y), classes, domain=np.array(domain))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        found = resampled(values, self.length)
        return (found - found.mean()) / max(found.std(), np.finfo(np.float32).tiny)
