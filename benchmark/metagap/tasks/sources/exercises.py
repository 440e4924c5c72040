"""Shoulder exercises, as a smart watch records them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource

SIDES = ("left", "right")


class Exercises(PackagedSource):
    """Seven shoulder exercises of ten people with each arm, by the six motion sensors of a watch, 50 times a second.

    A task is one person; the domain is the arm. Each person did a set of about twenty repetitions of every exercise
    with each arm, which is one recording. It is cut into windows that do not overlap, whose remainder is left out.
    """

    licence = "BSD 3-Clause, of the package seglearn that ships them"
    citation = (
        "Burns, Leung, Hardisty, Whyne, Henry, McLachlin (2018), Shoulder physiotherapy exercise recognition: machine "
        "learning the inertial signals from a smartwatch, Physiological Measurement"
    )

    window: PositiveInt = Field(default=100, description="length of a window in samples, of 20 ms each")

    def paths(self) -> list[Path]:
        """The file that seglearn ships."""
        return self.shipped("seglearn", "data/watch_dataset.npy")

    def records(self) -> Records:
        """All windows, (n, 6, window): acceleration in g, angular velocity in rad/s."""
        data = np.load(self.paths()[0], allow_pickle=True).item()
        counts = np.array([len(recording) // self.window for recording in data["X"]])
        of = np.repeat(np.arange(len(counts)), counts)
        whole = [
            recording[: count * self.window].reshape(count, self.window, -1)
            for recording, count in zip(data["X"], counts.tolist(), strict=True)
        ]
        people = np.array([f"person {int(person)}" for person in data["subject"]])
        return Records(
            np.concatenate(whole).transpose(0, 2, 1).astype(np.float32),
            data["y"][of].astype(np.int64),
            data["y_labels"],
            people[of],
            np.array(SIDES)[data["side"].astype(int)][of],
            notes=["windows of one recording do not overlap, but may be in support set and queries of a task"],
            features=data["X_labels"],
        )
