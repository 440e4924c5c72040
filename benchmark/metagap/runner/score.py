"""Meta-testing of a cell: every split under every condition, as rows of a data frame; and a sample of each split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from metagap import digests, results
from metagap.algorithms.base import Params
from metagap.conditions import CONDITIONS, STANDARD, Condition
from metagap.engine.evaluate import Evaluator, null_loss, shuffled_support
from metagap.errors import UserError
from metagap.runner import randomness
from metagap.runner.context import Report, TrainingContext
from metagap.runner.overlap import overlap
from metagap.runner.receipts import digest_of, intact, write_receipt
from metagap.runner.rollouts import shown_rollouts
from metagap.suite import RECORDING, Split, digest, make_source
from metagap.suite.schema.response import EPISODES
from metagap.tasks.episode import Tasks, TaskSpec
from metagap.tasks.folders import data_folder
from metagap.tasks.groups import Grouped
from metagap.tasks.sampling import Drawn, Sampler, raw

EPISODES_IN_MEMORY = 200


def score_splits(context: TrainingContext, meta: Params, folder: Path, report: Report) -> dict[str, Any]:
    """Score every split that these weights have no intact files of in `folder` yet.

    Returns `files`, the stem of each split's files; `sha256`, the digests of these files; `episodes`, a digest of each
    split's test episodes, which is the same for every cell that met the same ones; and `notes` on optional splits that
    were skipped because data are missing, and on data of which only a part is here, or is ever drawn.
    """
    files, sha256, episodes, notes = {}, {}, {}, [f"{note}." for note in context.learner.notes]
    for spec in context.training_specs:
        notes += remarks(context.cell.suite.source, context.training_tasks, spec, "Training")
    evaluators, weights = Evaluators(context), digest_of(meta)
    for split in context.cell.suite.test_splits:
        if split.optional and (fault := missing(split)):
            notes.append(f"Split '{split.name}' was skipped, data missing: {fault}.")
            continue
        sampler = context.sampler(split, "test")
        drawn = _drawn(context, split, sampler)
        episodes[split.name] = digest([context.cell.split_data.get(split.name), digest_of_draw(drawn)])
        notes += remarks(split.source, sampler.tasks, sampler.spec, f"Split '{split.name}'")
        notes += overlap(context.cell.suite, split)
        stem = _stem(context, split, episodes[split.name])
        known = intact(folder, stem, weights)
        sample, scores, holding, shown = (
            f"{stem}.npz",
            f"{stem}.parquet",
            stem + results.CLASSES,
            stem + results.ROLLOUTS,
        )
        classes, acts = sampler.classes(drawn), context.algorithm.acts
        if not {sample, scores, *([] if classes is None else [holding]), *([shown] if acts else [])} <= set(known):
            if sample not in known:
                known[sample] = results.write_arrays(folder / sample, sampler.sample(drawn))
            if classes is not None and holding not in known:
                known[holding] = results.write_arrays(folder / holding, {"classes": classes.astype(np.int32)})
            if acts and shown not in known:
                known[shown] = results.write_arrays(
                    folder / shown, shown_rollouts(context, meta, split, sampler, drawn)
                )
            if scores not in known:
                scored = _score_split(evaluators, meta, split, sampler, drawn, report)
                known[scores] = results.write_frame(folder / scores, scored)
            write_receipt(folder, stem, weights, known)
        files[split.name] = stem
        sha256 |= known
    return {"files": files, "sha256": sha256, "episodes": episodes, "notes": [*dict.fromkeys(notes)]}


def _drawn(context: TrainingContext, split: Split, sampler: Sampler) -> Drawn:
    """The test episodes of a split; those of a shifted one are the first of the split that it is compared with."""
    count = conditions(context, split)[STANDARD]
    if split.dose is None:
        return sampler.draw(count)
    reference = context.cell.suite.split(split.dose.reference)
    return sampler.draw(conditions(context, reference)[STANDARD])[:count]  # what is drawn depends on how many are


def remarks(source: dict[str, Any], tasks: Tasks, spec: TaskSpec, place: str) -> list[str]:
    """Sentences on the data that a reader of results should know: what is here of a source, what is never drawn."""
    small = tasks.remark(spec) if isinstance(tasks, Grouped) else ""
    notes = (make_source(source).remark(), f"{place}: {small}" if small else "")
    return [f"{note}." for note in notes if note]


def missing(split: Split) -> str:
    """What of a split's data is not on this machine; empty where all is there."""
    source = make_source(split.source)
    try:
        source.stamp()
    except UserError as error:
        return str(error).partition(";")[0].replace(f"{data_folder()}/", "")  # records are shown to others
    return ""


Scored = tuple[Split, Condition, int]
"""A split, the condition under which it is scored, and the number of episodes."""


class _Way(NamedTuple):
    """What decides how a task is scored, whatever it shows."""

    spec: TaskSpec
    inductive: bool
    last_only: bool


class Evaluators:
    """The evaluators of a cell: one for all splits and conditions that are scored alike, so that it is traced once."""

    def __init__(self, context: TrainingContext, scored: Iterable[Scored] | None = None, *, last_only: bool = False):
        """scored: what is scored, with the number of episodes, by default all test splits under their conditions.

        last_only: at the headline step only, also under the standard condition.
        """
        self.context, self._last_only = context, last_only
        self._episodes: Counter[_Way] = Counter()
        splits = context.cell.suite.test_splits
        every = ((split, one, n) for split in splits for one, n in conditions(context, split).items())
        for split, condition, count in every if scored is None else scored:
            self._episodes[self._way(split, condition)] += count
        self._made: dict[_Way, Evaluator] = {}

    def of(self, split: Split, condition: Condition) -> Evaluator:
        """Conditions other than the standard one are scored at the headline step only."""
        way, context = self._way(split, condition), self.context
        if way not in self._made:
            settings = context.cell.evaluation
            self._made[way] = Evaluator(
                context.bind(way.spec, test=True),
                way.spec,
                settings.steps if way.last_only else settings.path_steps,
                context.evaluation_strategy(self._episodes[way]),
                inductive=way.inductive,
                last_only=way.last_only,
                cores=context.machine.cores,
                metrics=context.cell.suite.metrics,
            )
        return self._made[way]

    def _way(self, split: Split, condition: Condition) -> _Way:
        usual = self.context.cell.evaluation.batch_norm
        inductive = (condition.batch_norm or usual) == "inductive" and self.context.is_transductive
        last_only = self._last_only or condition != STANDARD or split.dose is not None
        return _Way(self.context.spec(split), inductive, last_only)


def _score_split(
    evaluators: Evaluators, meta: Params, split: Split, sampler: Sampler, drawn: Drawn, report: Report
) -> pd.DataFrame:
    context, under = evaluators.context, conditions(evaluators.context, split)
    total, done, frames = sum(under.values()), 0, []

    def advance(episodes: int) -> None:
        nonlocal done
        done += episodes
        report(split.name, done, total)

    for condition, count in under.items():
        # the first of the same episodes, or others from the same random numbers
        part = context.sampler(split, "test").draw_open(count) if condition.disjoint else drawn[:count]
        if part is not None:
            frames.append(score_draw(evaluators, meta, split, sampler, part, condition, advance))
    return pd.concat(frames, ignore_index=True)


def conditions(context: TrainingContext, split: Split) -> dict[Condition, int]:
    """The conditions under which a split is scored, with their episodes: others than the standard one have fewer."""
    evaluation = context.cell.evaluation
    episodes = split.episodes or evaluation.episodes
    if split.dose is not None:  # a response is about the score alone
        of_reference = context.cell.suite.split(split.dose.reference).episodes or evaluation.episodes
        return {STANDARD: min(split.episodes or EPISODES, of_reference)}
    fewer = min(episodes, evaluation.diagnostic_episodes)
    asked = [one for one in CONDITIONS if one.diagnostic in evaluation.diagnostics and _applies(one, context, split)]
    return {STANDARD: episodes, **dict.fromkeys(asked, fewer)}


def _applies(condition: Condition, context: TrainingContext, split: Split) -> bool:
    """Whether a split of this role is scored under it, and the outcome could differ from the standard one."""
    if condition.diagnostic not in context.cell.suite.kind.diagnostics:
        return False
    if condition.roles and split.role not in condition.roles:
        return False
    usual = context.cell.evaluation.batch_norm
    return condition.batch_norm is None or (context.is_transductive and condition.batch_norm != usual)


def score_draw(
    evaluators: Evaluators,
    meta: Params,
    split: Split,
    sampler: Sampler,
    drawn: Drawn,
    condition: Condition,
    advance: Callable[[int], None],
) -> pd.DataFrame:
    """One row per episode and inner step that is recorded."""
    context, evaluation = evaluators.context, evaluators.of(split, condition)
    spec, last = evaluation.spec, evaluation.steps
    randomness.seed(context.seed(split, f"forward passes, {condition}"))
    labels = torch.Generator().manual_seed(context.seed(split, "shuffled"))
    frames = []
    for start in range(0, len(drawn), EPISODES_IN_MEMORY):
        part = drawn[start : start + EPISODES_IN_MEMORY]
        episodes = sampler.episode(part).to(context.device, context.dtype)
        if condition.shuffles:
            episodes = shuffled_support(episodes, labels)
        scores = evaluation(meta, episodes, advance)
        n, recorded = scores["query_loss"].shape
        rows = {
            "episode": np.repeat(np.arange(start, start + n), recorded),
            "step": np.tile(np.arange(last + 1 - recorded, last + 1), n),
            **{name: value.flatten().numpy() for name, value in scores.items()},
            "null_loss": np.repeat(null_loss(episodes, spec).numpy(), recorded),
        }
        frames.append(pd.DataFrame(rows))
    about = {
        "split": split.name,
        "role": split.role,
        "condition": condition.name,
        "ways": spec.ways,
        "shots": spec.shots,
    }
    return pd.concat(frames, ignore_index=True).assign(**about)


def digest_of_draw(drawn: Drawn) -> str:
    """What identifies drawn episodes: changed data or another way of drawing give another digest."""
    return digests.of_bytes(raw(drawn))[:10]


def _stem(context: TrainingContext, split: Split, episodes: str) -> str:
    """The name of a split's files: another one for other settings or other episodes."""
    evaluation = context.cell.evaluation.model_dump(exclude={"metrics", *RECORDING})
    settings = [split.model_dump(), context.cell.suite.task.model_dump(), evaluation, context.cell.measured, episodes]
    return stem_of(split.name, settings)


def stem_of(name: str, settings: Any) -> str:
    """A name for files that people can read, and another one for other settings."""
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-").lower()
    return f"{readable or 'split'}-{digest(settings)}"
