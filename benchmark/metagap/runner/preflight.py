"""Everything that would stop cells after they have started, looked for before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from metagap.errors import UserError, at, foreign
from metagap.memory import require
from metagap.runner.context import like, shifted, spec_of, training_specs
from metagap.runner.overlap import overlap
from metagap.runner.rehearsal import rehearse
from metagap.runner.score import missing, remarks
from metagap.suite import Cell, make_source
from metagap.tasks.contract import examine, examine_metrics
from metagap.tasks.episode import TaskSpec, formed, input_shape
from metagap.tasks.source import Part


def check(cells: Sequence[Cell]) -> list[str]:
    """Look for everything that would stop the cells after they have started: missing data, too few classes or images,
    a network that cannot be meta-trained.

    Returns sentences on what may surprise, such as that some classes are too small. Raises UserError with the place.
    """
    suite = cells[0].suite
    with at("training"), foreign("its source"):
        source = make_source(suite.source)
        training = source.tasks(Part(suite.training_classes, source.trained_images), "cpu")
        source.digest(suite.training_classes)
    notes: list[str] = []
    for cell in {cell.label: cell for cell in cells}.values():
        with at(f"training of {cell.label}"):
            with foreign("its source"):
                specs = training_specs(cell, training)
                _require(specs[0], training.x_shape, cell.training.meta_batch)
            for spec in specs:
                examine(training, spec)
                notes += remarks(suite.source, training, spec, "Training")
            rehearse(cell, training)
    for split in suite.splits:
        if split.optional and missing(split):
            continue
        with at(f"split '{split.name}'"):
            with foreign("its source"):
                source = make_source(split.source)
                tasks = like(shifted(source.tasks(Part(split.classes, split.images), "cpu"), split), training)
                source.digest(split.classes)
                spec = formed(tasks, spec_of(suite.split_task(split)), 1)
                _require(spec, tasks.x_shape, 1)
            examine(tasks, spec)
            examine_metrics(suite.metrics, tasks, spec)
            notes += remarks(split.source, tasks, spec, f"Split '{split.name}'")
            keys = "image_size and channels" if source.has_images else "the options"
            if (shape := input_shape(tasks)) != (trained := input_shape(training)):
                what = f"inputs of shape {shape}, but the networks are trained on {trained}"
                raise UserError(f"{what}; set {keys} of its source to match")
            if suite.kind.acts and (actions := _actions(tasks)) != (trained := _actions(training)):
                raise UserError(f"{actions}, but policies are trained on {trained}; set {keys} of its source to match")
        notes += overlap(suite, split)
    if suite.validation is not None and all(cell.training.select == "last" for cell in cells):
        notes.append(
            f"Split '{suite.validation.name}' of the role meta-val chooses no checkpoint, for select = 'last'; it is "
            "in the training curves, and not scored after training."
        )
    return list(dict.fromkeys(notes))


def _actions(tasks: Any) -> str:
    """The form of the actions in tasks that answer back."""
    actions = tasks.world.actions
    return f"{type(actions).__name__.lower()} actions of size {actions.size}"


def _require(spec: TaskSpec, x_shape: tuple[int, ...], tasks: int) -> None:
    """Raise UserError where a batch of this number of tasks cannot fit into this machine's memory.

    Examples are counted eight times: where they are drawn, as an episode, and as what small networks make of them.
    """
    examples = tasks * spec.ways * (spec.shots + spec.queries)
    of_each = f"{spec.ways} ways with {spec.shots} shots and {spec.queries} queries"
    require(8 * 4 * examples * math.prod(x_shape), f"a batch of {tasks} tasks of {of_each} of shape {x_shape}")
