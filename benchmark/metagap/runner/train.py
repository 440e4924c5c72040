"""Meta-training of a cell: the outer loop with its curve, validation, checkpoints and resumption."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from metagap import results, stopping
from metagap.algorithms.base import Params
from metagap.engine.capture import Captured
from metagap.engine.distributed import ALONE, Group, Portion
from metagap.engine.evaluate import Evaluator
from metagap.engine.memory import watching_memory
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import Strategy, parse
from metagap.machine import Machine
from metagap.runner import randomness
from metagap.runner.context import Report, TrainingContext, log, seed_of
from metagap.runner.receipts import digest_of
from metagap.runner.several import count_devices, train_together
from metagap.runner.snapshots import Snapshots, copied
from metagap.suite import Cell
from metagap.tasks.sampling import Sampler

CURVE_POINTS = 1000
LOSSES = ("loss", "surrogate")
"""Of the curve, what is no number where a training diverges."""


class Trained(NamedTuple):
    """The end of a meta-training: the selected meta-parameters, what the record says, the curve, and where it ran."""

    meta: Params
    record: dict[str, Any]
    curve: pd.DataFrame
    environment: dict[str, Any]


def train(
    context: TrainingContext, folder: Path, report: Report, environment: dict[str, Any], snapshots: Snapshots
) -> Trained:
    """Meta-train, or go on where a checkpoint in `folder` ends; a finished one is only read.

    environment: what is recorded of the machine if this is where the training ends. A checkpoint that is damaged is set
    aside, which is logged, and the training begins again. So does one that lacks snapshots, and a finished one too.
    """
    path = folder / "checkpoint.pt"
    state = _load(path, context)
    if state is None or not state["finished"]:
        if state is None:
            snapshots.forget()
        state = _finished(context, path, report, environment, snapshots, state)
    elif snapshots.lost():
        state = _repeated(context, path, report, environment, snapshots, state)
    context.shortages[:] = state.get("shortages", ())
    return Trained(state["selected"], state["record"], _curve_frame(state["curve"]), state["environment"])


def _finished(
    context: TrainingContext,
    path: Path,
    report: Report,
    environment: dict[str, Any],
    snapshots: Snapshots,
    state: dict[str, Any] | None,
    plan: Strategy | None = None,
) -> dict[str, Any]:
    """The end of a training that is at `state`, or begins; `plan`: how it is computed then. Saved in `path`."""
    if context.algorithm.trains:
        if state is not None and (lost := snapshots.lost(until=state["outer"]["iteration"])):
            log.info("%s is trained from the start, for it lacks the snapshots of iterations %s", context.cell, lost)
            state, plan = None, Strategy(*state["plan"])
        environment = environment | {"devices": (count := count_devices(context))}
        if count > 1:
            if state is None and plan is None:  # one for all of them
                plan = _in_portions(context.training_strategy, context.cell.training.meta_batch, count)
            train_together(context, _train_portion, (path, environment, state is not None, plan), count, report)
            return _read(path, context)
        finished = _Training(context, path, report, snapshots, state, plan).run()
    else:
        record = {"iterations": 0, "selected_iteration": 0, "selection": "none", "train_seconds": 0.0}
        finished = {"selected": context.meta, "record": record, "curve": []}
    return _ended(context, path, finished, environment)


def _in_portions(plan: Strategy, meta_batch: int, count: int) -> Strategy:
    """`plan` with no more tasks at once than each of `count` devices has.

    One device that goes on, or repeats it, makes the same pieces, so that what two have done it does to the last bit.
    """
    return plan._replace(chunk=min(plan.chunk, Portion(0, count, meta_batch).most))


def _train_portion(
    group: Group,
    report: Report,
    machine: Machine,
    cell: Cell,
    path: Path,
    environment: dict[str, Any],
    resumes: bool,
    plan: Strategy | None,
) -> None:
    """What each of several devices does of a training; the first of them saves it in `path`."""
    context = TrainingContext(cell, machine)
    state = _read(path, context) if resumes else None
    snapshots = Snapshots(context, path.parent / "snapshots")
    with watching_memory(context.shortages):
        finished = _Training(context, path, report, snapshots, state, plan, group).run()
    if group.leads:
        _ended(context, path, finished, environment)


def _ended(
    context: TrainingContext, path: Path, finished: dict[str, Any], environment: dict[str, Any]
) -> dict[str, Any]:
    """The state of a training that has come to its end, saved."""
    state = {"finished": True, **finished, "environment": environment, "shortages": context.shortages}
    _save(path, state, context)
    return state


def _repeated(
    context: TrainingContext,
    path: Path,
    report: Report,
    environment: dict[str, Any],
    snapshots: Snapshots,
    known: dict[str, Any],
) -> dict[str, Any]:
    """A finished training once more, for the sake of its snapshots.

    It ends with the same weights to the last bit, and then everything that is known of it stays. Where it does not, as
    on another machine, the new one takes the place of the old one, so that snapshots and weights belong together.
    """
    log.info("%s is trained again, for the snapshots that it lacks", context.cell)
    again = path.with_name("again.pt")
    state = _load(again, context)
    if state is None or not state["finished"]:
        # The same numbers to the last bit need the same kernels; older versions wrote them down as a text alone.
        plan = Strategy(*known["plan"]) if "plan" in known else parse(known["record"]["engine"], Strategy())
        state = _finished(context, again, report, environment, snapshots, state, plan)
    if digest_of(state["selected"]) == digest_of(known["selected"]):
        state = known
    else:
        aside = results.set_aside(path).name
        log.warning(
            "%s: trained again, it has other weights, as on other devices or with another version of torch; what was "
            "scored is scored again, and the checkpoint of before is kept as '%s'",
            context.cell,
            aside,
        )
        snapshots.forget(but=snapshots.points)
        _save(path, state, context)
    again.unlink()
    return state


def is_finite(meta: Params) -> bool:
    """Whether all meta-parameters are numbers."""
    return bool(torch.stack([value.isfinite().all() for value in meta.values()]).all())


def last_checkpoint(folder: Path) -> int | None:
    """The iteration of the checkpoint in the folder of a cell; None where there is none that can be read."""
    try:
        content = io.BytesIO(results.read_sealed(folder / "checkpoint.pt"))
        state = torch.load(content, map_location="cpu", weights_only=True)
        return state["record"]["iterations"] if state["finished"] else state["outer"]["iteration"]
    except Exception:  # damaged, or of a torch that writes otherwise
        return None


class _Training:
    """A training in progress. Everything that its next step depends on is in `state`."""

    def __init__(
        self,
        context: TrainingContext,
        path: Path,
        report: Report,
        snapshots: Snapshots,
        state: dict[str, Any] | None,
        plan: Strategy | None,
        group: Group = ALONE,
    ):
        self.group, self.portion = group, group.portion(context.cell.training.meta_batch)
        self.context, self.path, self.report, self.snapshots = context, path, report, snapshots
        self.settings = context.cell.training
        self.validation = _Validation.of(context, group)
        # The same numbers to the last bit need the same kernels.
        strategy = (plan or context.training_strategy) if state is None else Strategy(*state["plan"])
        first, *others = (context.bind(spec) for spec in context.training_specs)
        self.outer = outer_loop(
            first, context.meta, self.settings, strategy, context.machine.cores, self.portion, others=others
        )
        # Training episodes are drawn on the device; a generator's stream depends on where it runs.
        seed = seed_of("training", context.cell.seed)
        self.samplers = [
            Sampler(
                context.training_tasks, spec, seed_of(f"training form {form}", seed) if form else seed, context.device
            )
            for form, spec in enumerate(context.training_specs)
        ]
        self.form = torch.Generator().manual_seed(seed_of("forms of tasks", context.cell.seed))
        randomness.seed(seed_of("forward passes", context.cell.seed))
        self.curve: list[dict[str, float]] = []
        self.sums: dict[str, torch.Tensor] = {}
        self.best: dict[str, Any] = {"score": -float("inf"), "iteration": 0, "meta": copied(context.meta)}
        self.good: dict[str, Any] = {"iteration": 0, "meta": copied(context.meta)}
        self.started = time.monotonic()
        if state is not None:
            self.outer.load_state_dict(state["outer"])
            for generator, stream in zip(self.generators, state["sampler"], strict=True):
                generator.set_state(stream.cpu())
            if "randomness" in state:
                randomness.restore(state["randomness"], context.device)
            self.curve, self.sums, self.best = state["curve"], state["sums"], state["best"]
            self.good = state.get("good", self.best)
            context.shortages[:] = state.get("shortages", ())
            self.started -= state["seconds"]
        captures = context.captures and group.size == 1
        self.iterate = Captured(self._iterate, self.generators) if captures else self._iterate

    @property
    def generators(self) -> list[torch.Generator]:
        """Everything that the tasks to come depend on."""
        drawing = [generator for sampler in self.samplers for generator in sampler.generators]
        return [*drawing, self.form] if len(self.samplers) > 1 else drawing

    def run(self) -> dict[str, Any]:
        """Train to the end; returns the selected meta-parameters, the record and the curve.

        Raises Stopped where this process was told to stop, once the state is saved.
        """
        with stopping.saving() as told_to_stop:
            self._iterations(told_to_stop)
        for point in self.snapshots.points:
            if point > self.outer.iteration and self.group.leads:  # training ended; what was to come is as it is now
                self.snapshots.keep(point, self.outer.meta)
        return self._selected()

    def _iterations(self, told_to_stop: Callable[[], bool]) -> None:
        context, total = self.context, self.settings.iterations
        validate_every = max(1, total // self.settings.validations)
        record_every = max(1, total // CURVE_POINTS)
        saved = time.monotonic()
        while self.outer.iteration < total:
            self.outer.schedule()
            self.iterate()
            self.outer.iteration = done = self.outer.iteration + 1
            if done % record_every == 0:
                self._record({name: float(value) / record_every for name, value in self.sums.items()})
                for value in self.sums.values():
                    value.zero_()
                self.report("training", done, total)
                if not is_finite(self.outer.meta):  # no outer step can mend that
                    break
                self.good = {"iteration": done, "meta": copied(self.outer.meta)}
            if done % validate_every == 0 or done == total:
                self.group.check_equal(self.outer.meta.values())
                if self.validation is not None:
                    self._validate()
            if not self.group.leads:
                continue
            self.snapshots.keep(done, self.outer.meta)
            stop, late = told_to_stop(), context.deadline.is_over
            due = time.monotonic() - saved > context.machine.checkpoint_seconds
            if stop or late or due or done == total:
                saved = time.monotonic()
                _save(self.path, self._state(), context)
            if stop:
                stopping.obey()
            if late and done < total:
                self.report("training", done, total)
                context.deadline.check()

    def _iterate(self) -> None:
        """What an iteration does on the device: draw a meta-batch of one form, step, and add the metrics up."""
        context, several = self.context, len(self.samplers)
        form = int(torch.randint(several, (), generator=self.form)) if several > 1 else 0
        sampler = self.samplers[form]
        drawn = sampler.draw(self.settings.meta_batch)  # the same by all devices
        drawn = drawn if self.portion is None else self.portion.of(drawn)
        episodes = sampler.episode(drawn).to(context.device, context.dtype)
        for name, value in self.outer.update(episodes, form).items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name] += value

    def _record(self, values: dict[str, float]) -> None:
        """Add values to the point of the curve at this iteration."""
        iteration = self.outer.iteration
        if not self.curve or self.curve[-1]["iteration"] != iteration:
            self.curve.append({"iteration": iteration, "seconds": time.monotonic() - self.started})
        self.curve[-1].update(values)

    def _validate(self) -> None:
        assert self.validation is not None
        score, loss = self.validation.score(self.outer.meta)
        self._record({"val_score": score, "val_loss": loss})
        if score > self.best["score"]:
            self.best = {"score": score, "iteration": self.outer.iteration, "meta": copied(self.outer.meta)}

    def _state(self) -> dict[str, Any]:
        return {
            "finished": False,
            "outer": self.outer.state_dict(),
            "sampler": [generator.get_state() for generator in self.generators],
            "randomness": randomness.state(self.context.device),
            "curve": self.curve,
            "sums": self.sums,
            "best": self.best,
            "good": self.good,
            "shortages": self.context.shortages,
            "seconds": time.monotonic() - self.started,
            "plan": tuple(self.outer.strategy),
        }

    def _selected(self) -> dict[str, Any]:
        pick_best = self.settings.select == "best" and self.validation is not None
        last: dict[str, Any] = {"iteration": self.outer.iteration, "meta": self.outer.meta}
        selected = self.best if pick_best else last
        lost = not is_finite(selected["meta"])
        bad = [one["iteration"] for one in self.curve if not all(np.isfinite(one.get(name, 0)) for name in LOSSES)]
        diverged = bool(bad) or lost or not is_finite(self.outer.meta)
        if diverged:
            early = self.outer.iteration < self.settings.iterations
            end = f"; it was stopped after {self.outer.iteration:,} iterations" if early else ""
            log.warning("%s: meta-training diverged: its loss is no longer a number%s", self.context.cell, end)
        record = {
            "iterations": self.outer.iteration,
            "selected_iteration": selected["iteration"],
            "selection": "best on validation" if pick_best else "last",
            "train_seconds": time.monotonic() - self.started,
            "engine": self.outer.engine,
            "diverged": diverged,
            "diverged_at": bad[0] if bad else None,
            "lost": lost,
            "last_good": self.good["iteration"],
        }
        plan = tuple(self.outer.strategy)
        good = {"good": self.good} if lost else {}
        return {"selected": copied(selected["meta"]), "record": record, "curve": self.curve, "plan": plan, **good}


class _Validation:
    """The episodes on which checkpoints are compared: the same ones every time."""

    def __init__(self, context: TrainingContext, split: Any, group: Group):
        sampler, count = context.sampler(split, "validation"), context.cell.training.validation_episodes
        drawn, portion = sampler.draw(count), group.portion(count)
        drawn = drawn if portion is None else portion.of(drawn)
        self.episodes = sampler.episode(drawn).to(context.device, context.dtype)
        strategy = context.evaluation_strategy(count * context.cell.training.validations)
        steps, cores = context.cell.evaluation.steps, context.machine.cores
        algorithm, metrics = context.bind(sampler.spec, test=True), context.cell.suite.metrics[:1]
        self.evaluation = Evaluator(
            algorithm, sampler.spec, steps, strategy, last_only=True, cores=cores, metrics=metrics, portion=portion
        )

    @classmethod
    def of(cls, context: TrainingContext, group: Group) -> _Validation | None:
        """Those of the suite's split of the role meta-val, if it has one."""
        split = context.cell.suite.validation
        return None if split is None else cls(context, split, group)

    def score(self, meta: Params) -> tuple[float, float]:
        """Mean score and loss after the headline number of inner steps; a score that is not finite is the worst."""
        scores = self.evaluation(meta, self.episodes)
        score, loss = float(scores["query_score"].mean()), float(scores["query_loss"].mean())
        return (score if np.isfinite(score) else -float("inf")), loss


def _load(path: Path, context: TrainingContext) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return _read(path, context)
    except results.DamagedError as error:
        log.warning(
            "%s; it is kept as '%s', and %s is trained from the start",
            error,
            results.set_aside(path).name,
            context.cell,
        )
        return None


def _read(path: Path, context: TrainingContext) -> dict[str, Any]:
    """A checkpoint of the cell; raises DamagedError."""
    content = results.read_sealed(path)
    try:
        state = torch.load(io.BytesIO(content), map_location=context.device, weights_only=True)
    except Exception as error:  # as from a torch that writes otherwise
        raise results.DamagedError(f"'{path}' cannot be read: {error}") from None
    if state["cell"] != context.cell.hash:
        raise results.DamagedError(f"'{path}' is the checkpoint of another cell")
    return state


def _save(path: Path, state: dict[str, Any], context: TrainingContext) -> None:
    content = io.BytesIO()
    torch.save({"cell": context.cell.hash, **state}, content)
    results.write_sealed(path, content.getvalue())


def _curve_frame(points: list[dict[str, float]]) -> pd.DataFrame:
    """The training curve with all its columns, whatever was recorded."""
    columns = ["iteration", "seconds", "loss", "score", "val_loss", "val_score"]
    further = [key for point in points for key in point]
    return pd.DataFrame(points, columns=list(dict.fromkeys(columns + further))).astype(float)
