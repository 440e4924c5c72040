"""Quantities: what a suite wants to know of a learner beside its scores, at every snapshot, on every split."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from metagap import quantities, results
from metagap.algorithms.base import Params
from metagap.conditions import STANDARD
from metagap.errors import UserError
from metagap.quantities import Quantity, Watched
from metagap.runner import randomness
from metagap.runner.context import Report, TrainingContext, log, seed_of
from metagap.runner.receipts import digest_of, intact, write_receipt
from metagap.runner.score import conditions, digest_of_draw, missing, stem_of
from metagap.runner.snapshots import Snapshots, copied
from metagap.suite import Split
from metagap.tasks.episode import Episode
from metagap.tasks.sampling import Drawn, Sampler

TRIED = 4
"""Episodes that a quantity is tried on, to see how long it takes."""
WHOLE = -1
"""The `episode` of a value that is not one of several."""


def measure(
    context: TrainingContext, snapshots: Snapshots, selected: dict[int, Params], folder: Path, report: Report
) -> dict[str, Any]:
    """Measure every quantity of the suite that there is no intact file of in `folder` yet.

    selected: the trained meta-parameters by their iteration, which are measured where the suite has no checkpoints.
    Returns `quantities`, the stem of the file of each; `sha256`, the digests of these files; and `notes` on what could
    not be measured.
    """
    files, sha256, notes = {}, {}, []
    places = [_Place.of(context, split) for split in _splits(context)]
    points = snapshots.points or list(selected)
    weights = snapshots.digest() if snapshots.points else digest_of(next(iter(selected.values())))
    evaluation = context.cell.evaluation.model_dump(include={"steps", "batch_norm", "settings", "quantity_episodes"})
    settings = [context.cell.suite.task.model_dump(), evaluation, points]
    settings += [[place.split.model_dump(), digest_of_draw(place.drawn)] for place in places]
    for name in context.cell.suite.evaluation.quantities or ():
        quantity = quantities.find(name)
        stem = stem_of(quantity.name, [context.cell.quantities[quantity.name], settings])
        known, file = intact(folder, stem, weights), f"{stem}.parquet"
        if file in known:
            rows = results.read_frame(folder / file, known[file])
        else:
            there = places if quantity.of == "split" else [_main(places)]
            frames: list[pd.DataFrame] = []
            for point, place in itertools.product(points, there):
                meta = snapshots.load(point) if snapshots.points else copied(selected[point])
                watched = place.watched(context, quantity, point, meta, copied(snapshots.initial))
                frames.append(_rows(quantity, watched, place.split.name if quantity.of == "split" else ""))
                report(f"quantity {quantity.name}", len(frames), len(points) * len(there))
            rows = pd.concat(frames, ignore_index=True)
            known[file] = results.write_frame(folder / file, rows)
            write_receipt(folder, stem, weights, known)
        files[quantity.name] = stem
        sha256 |= known
        notes += _notes(context.cell.label, quantity, rows)
    return {"quantities": files, "sha256": sha256, "notes": notes}


def seconds_of_quantities(context: TrainingContext) -> float:
    """How long all of them take: each is tried once, on few episodes of the untrained learner."""
    seconds = 0.0
    names = context.cell.suite.evaluation.quantities
    places = [_Place.of(context, split) for split in _splits(context)] if names else []
    for name in names or ():
        quantity, place = quantities.find(name), _main(places)
        watched = place.watched(context, quantity, 0, copied(context.meta), copied(context.meta))
        few = min(TRIED, watched.episodes)
        began = time.perf_counter()
        _measured(quantity, replace(watched, episodes=few))
        times = max(1, len(context.points)) * (len(places) if quantity.of == "split" else 1)
        seconds += (time.perf_counter() - began) * times * watched.episodes / few
    return seconds


@dataclass(frozen=True)
class _Place:
    """A split whose tasks are looked at. drawn: its test tasks."""

    split: Split
    sampler: Sampler[Any]
    drawn: Drawn[Any]

    @classmethod
    def of(cls, context: TrainingContext, split: Split) -> _Place:
        sampler = context.sampler(split, "test")
        return cls(split, sampler, sampler.draw(conditions(context, split)[STANDARD]))

    def watched(
        self, context: TrainingContext, quantity: Quantity, point: int, meta: Params, initial: Params
    ) -> Watched:
        """What a quantity gets to see. Its random numbers belong to the split, as those of episodes do."""
        cell, spec = context.cell, self.sampler.spec
        seed = partial(context.seed, self.split)

        def moved(episode: Episode) -> Episode:
            return episode.to(context.device, context.dtype)

        def source(count: int) -> Episode:
            sampler = Sampler(context.training_tasks, spec, seed("training tasks of quantities"))
            return moved(sampler.episodes(count))

        def target(count: int) -> Episode:
            if count > len(self.drawn):
                raise UserError(f"split '{self.split.name}' has {len(self.drawn)} test tasks, not {count}")
            return moved(self.sampler.episode(self.drawn[:count]))

        def generator(purpose: str) -> torch.Generator:
            return torch.Generator().manual_seed(seed_of(f"{quantity.name} {purpose}", seed("quantities")))

        randomness.seed(seed(f"forward passes, quantity {quantity.name}"))
        return Watched(
            algorithm=context.bind(spec, test=True),
            meta=meta,
            initial=initial,
            steps=cell.evaluation.steps,
            spec=spec,
            training=cell.training,
            iteration=point,
            source=source,
            target=target,
            source_tasks=context.training_tasks,
            target_tasks=self.sampler.tasks,
            episodes=cell.evaluation.episodes_measured(self.split),
            generator=generator,
        )


def _splits(context: TrainingContext) -> list[Split]:
    """The tested splits whose data are here, without those of responses."""
    splits = [split for split in context.cell.suite.test_splits if split.dose is None]
    return [split for split in splits if not (split.optional and missing(split))]


def _main(places: list[_Place]) -> _Place:
    """Where a quantity of a whole cell finds its test tasks: in-distribution."""
    return next((place for place in places if place.split.role == "in-distribution"), places[0])


def _rows(quantity: Quantity, watched: Watched, split: str) -> pd.DataFrame:
    """A row for each value; `note` says why one is NaN."""
    values, note = _measured(quantity, watched)
    episodes = [WHOLE] if values.ndim == 0 else np.arange(len(values))
    rows = pd.DataFrame({"episode": episodes, "value": np.atleast_1d(values)})
    rows["note"] = np.where(np.isnan(rows["value"]), note, "")
    return rows.assign(quantity=quantity.name, iteration=watched.iteration, split=split)


def _measured(quantity: Quantity, watched: Watched) -> tuple[np.ndarray, str]:
    """The values, () or (episodes,), NaN where they are not finite, and why."""
    kind = watched.spec.kind.name
    try:
        reason = "" if kind in quantity.kinds else f"it is for {' and '.join(quantity.kinds)}, not for {kind}"
        if reason := reason or quantity.applies(watched):
            return np.array(np.nan), reason
        value = quantity.measure(watched)
        found = (value.detach() if isinstance(value, Tensor) else torch.tensor(value)).double().cpu().numpy()
    except UserError as error:
        return np.array(np.nan), str(error)
    except Exception as error:
        log.warning("quantity '%s' cannot be measured", quantity.name, exc_info=True)
        return np.array(np.nan), f"it raised {error!r}"
    if found.ndim > 1 or not found.size:
        return np.array(np.nan), f"it gave the shape {found.shape}; allowed: a number, or one for each episode"
    return np.where(np.isfinite(found), found, np.nan), "it is not finite"


def _notes(label: str, quantity: Quantity, rows: pd.DataFrame) -> Iterator[str]:
    """A sentence for every reason why values are not there."""
    lacking = rows[rows["note"] != ""]
    for note, some in lacking.groupby("note", sort=False):
        everywhere = len(some) == len(rows)
        where = "" if everywhere else f" in {len(some)} of {len(rows)} values"
        yield f"Quantity '{quantity.name}' of {label} is not there{where}: {str(note).rstrip('.')}."
