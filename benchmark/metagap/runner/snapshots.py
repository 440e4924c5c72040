"""Snapshots: copies of the meta-parameters at the points of training that a suite wants to look at."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import torch

from metagap import digests, results
from metagap.algorithms.base import Params
from metagap.runner.context import TrainingContext, log
from metagap.runner.receipts import digest_of


class Snapshots:
    """Those of a cell, a file in `folder` for each point but the untrained start, which the cell begins with anyway.

    All files there are of one training: that whose end is in the cell's checkpoint.
    """

    def __init__(self, context: TrainingContext, folder: Path):
        """Made before the training begins, which changes the meta-parameters of the context in place."""
        self.folder, self.points = folder, context.points
        self.initial = copied(context.meta)
        self._cell, self._device = context.cell, context.device

    def keep(self, iteration: int, meta: Params) -> None:
        """Write the meta-parameters down if this is one of the points. It changes nothing else."""
        if iteration not in self.points:
            return
        state = {"cell": self._cell.hash, "iteration": iteration, "meta": copied(meta)}
        content = io.BytesIO()
        torch.save(state, content)
        self.folder.mkdir(exist_ok=True)
        results.write_sealed(self._path(iteration), content.getvalue())

    def load(self, iteration: int) -> Params:
        """The meta-parameters at a point, a copy; raises DamagedError where they are not what was written."""
        if iteration == 0:
            return copied(self.initial)
        path = self._path(iteration)
        content = results.read_sealed(path)
        try:
            state = torch.load(io.BytesIO(content), map_location=self._device, weights_only=True)
        except Exception as error:  # as from a torch that writes otherwise
            raise results.DamagedError(f"'{path}' cannot be read: {error}") from None
        if (state["cell"], state["iteration"]) != (self._cell.hash, iteration):
            raise results.DamagedError(f"'{path}' is the snapshot of another cell or iteration")
        return state["meta"]

    def lost(self, until: float = float("inf")) -> list[int]:
        """The points up to an iteration whose files are not there; damaged ones are set aside, which is logged."""
        lost = []
        for point in self.points:
            if 0 < point <= until:
                try:
                    self.load(point)
                except results.DamagedError as error:
                    lost.append(point)
                    if (path := self._path(point)).is_file():
                        log.warning("%s; it is kept as '%s'", error, results.set_aside(path).name)
        return lost

    def forget(self, but: Collection[int] = ()) -> None:
        """Remove the files of a training that is no more."""
        for path in self.folder.glob("*.pt"):
            if path.stem not in map(str, but):
                path.unlink()

    def digest(self) -> str:
        """What identifies the meta-parameters at all points."""
        return digests.of_text(" ".join(digest_of(self.load(point)) for point in self.points))

    def sha256(self) -> dict[str, str]:
        """The digests of the files, by name."""
        return {path.name: digests.of_file(path) for path in map(self._path, self.points) if path.is_file()}

    def _path(self, iteration: int) -> Path:
        return self.folder / f"{iteration}.pt"


def copied(params: Params) -> Params:
    """Copies of meta-parameters, which are changed in place where they are trained."""
    return {name: value.detach().clone() for name, value in params.items()}
