"""Scores along training: every split at every snapshot, at the headline step and on the first of its test episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from metagap import results
from metagap.conditions import STANDARD
from metagap.runner.context import Report, TrainingContext
from metagap.runner.receipts import intact, write_receipt
from metagap.runner.score import Evaluators, Scored, conditions, digest_of_draw, missing, score_draw, stem_of
from metagap.runner.snapshots import Snapshots


def score_along(context: TrainingContext, snapshots: Snapshots, folder: Path, report: Report) -> dict[str, Any]:
    """Score the snapshots on every split that is not scored yet, in `folder`.

    Returns `along`, the stem of each split's file, and `sha256`, the digests of these files. The episodes are the first
    ones of the split's own test: those of the meta-val split are others than those that checkpoints are selected by.
    """
    files, sha256 = {}, {}
    scored = scored_along(context)
    # Evaluators of their own: how the others compute depends on how many episodes they are for.
    evaluators, weights = Evaluators(context, scored, last_only=True), snapshots.digest()
    settings = context.cell.evaluation.model_dump(include={"steps", "batch_norm", "settings"})
    for split, condition, count in scored:
        sampler = context.sampler(split, "test")
        drawn = sampler.draw(conditions(context, split)[condition])[: count // len(snapshots.points)]
        about = [split.model_dump(), context.cell.suite.task.model_dump(), settings, context.cell.measured]
        stem = stem_of(split.name, [*about, digest_of_draw(drawn), snapshots.points])
        known, name = intact(folder, stem, weights), f"{stem}.parquet"
        if name not in known:
            frames, done = [], 0

            def advance(episodes: int, split: str = split.name, total: int = count) -> None:
                nonlocal done
                done += episodes
                report(f"{split}, along training", done, total)

            for point in snapshots.points:
                meta = snapshots.load(point)
                rows = score_draw(evaluators, meta, split, sampler, drawn, condition, advance)
                frames.append(rows.assign(iteration=point))
            known[name] = results.write_frame(folder / name, pd.concat(frames, ignore_index=True))
            write_receipt(folder, stem, weights, known)
        files[split.name] = stem
        sha256 |= known
    return {"along": files, "sha256": sha256}


def scored_along(context: TrainingContext) -> list[Scored]:
    """The splits that are scored along training, with the episodes of all points together; no optional ones whose data
    are missing."""
    evaluation, suite = context.cell.evaluation, context.cell.suite
    return [
        (split, STANDARD, len(context.points) * evaluation.episodes_along(split))
        for split in suite.splits_along
        if not (split.optional and missing(split))
    ]
