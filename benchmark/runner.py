"""One cell: meta-train, checkpoint, resume, evaluate on every split."""

from __future__ import annotations

import hashlib
import logging
import platform
import subprocess
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from benchmark import __version__, registry, results
from benchmark.algorithms.base import Algorithm, Params
from benchmark.engine.evaluate import evaluate, null_loss, shuffled_support
from benchmark.engine.mapping import Mapping, best_mapping
from benchmark.engine.outer import OuterLoop
from benchmark.errors import UserError
from benchmark.suite import Cell, Condition, Split, Task, as_json, digest, make_source
from benchmark.tasks.episode import Episode, Tasks, TaskSpec
from benchmark.tasks.functions import Waves
from benchmark.tasks.images import ImageBank, pixel_statistics
from benchmark.tasks.source import Part

log = logging.getLogger("metagap")

SAMPLE_TASKS = 4

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Machine:
    """Where and how a cell runs. None of this is part of what the cell is."""

    device: torch.device
    compile: bool | None = None
    """None: where it pays, which is for long training of small networks."""
    checkpoint_seconds: float = 30


def is_done(cell: Cell, folder: Path) -> bool:
    """Whether the cell is trained and evaluated on every split of its suite."""
    marker = cell.folder(folder) / f"done-{cell.suite.variant}.json"
    return marker.is_file() and results.read_json(marker)["files"].keys() >= {
        split.name for split in cell.suite.splits if split.role != "meta-val" and not split.optional
    }


def run_cell(cell: Cell, store: Path, machine: Machine, report: Report = lambda *_: None) -> None:
    """Train what is not trained, evaluate what is not evaluated, and mark the cell as done.

    store: the results folder. Raises UserError where data are missing or unfit, or another process has the cell.
    """
    folder = cell.folder(store)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            if not is_done(cell, store):
                _Run(cell, folder, machine, report).run()
    except Timeout:
        raise UserError(f"{cell}: another process is running it in '{folder}'") from None


class _Run:
    """The run of one cell."""

    def __init__(self, cell: Cell, folder: Path, machine: Machine, report: Report):
        self.cell, self.folder, self.machine, self.report = cell, folder, machine, report
        self.notes: list[str] = []
        suite, training = cell.suite, cell.training
        self.dtype = torch.float64 if training.precision == "float64" else torch.float32
        torch.set_float32_matmul_precision("high" if training.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = training.precision == "tf32"

        held_out = suite.source.get("held_out_images")
        self.normalisation = (0.0, 1.0)
        self.training_tasks = self._tasks(suite.source, Part("train", "train" if held_out else "all"))
        if suite.source.get("normalise"):
            self.normalisation = pixel_statistics(self.training_tasks)
            self.training_tasks = self.training_tasks.normalised(*self.normalisation)
        own = {"shots": training.shots, "queries": training.queries}
        task = suite.task.model_copy(update={key: value for key, value in own.items() if value is not None})
        self.training_spec = spec_of(task)

        torch.manual_seed(cell.seed)
        network_class = registry.load("model", suite.model["name"])
        options = {key: value for key, value in suite.model.items() if key != "name"}
        self.network = network_class(self.training_tasks.x_shape, suite.task.ways, **options)
        self.generator = torch.Generator().manual_seed(seed_of("meta-parameters", cell.seed))
        self.algorithm: Algorithm = registry.load("algorithm", cell.algorithm)(**cell.hyperparameters)
        examples = task.ways * (task.shots + task.queries)
        self.mapping: Mapping = best_mapping(self.network, self.training_tasks.x_shape, examples, machine.device)
        bound = self._bind(self.training_spec)
        meta = bound.init(self.network, self.training_tasks.class_count, self.generator)
        self.meta: Params = {name: value.to(machine.device, self.dtype) for name, value in meta.items()}

    def run(self) -> None:
        """Train, evaluate, mark."""
        self._write_identity()
        state = self._train()
        started = time.monotonic()
        files = self._evaluate()
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        record = {**state, "eval_seconds": time.monotonic() - started, "parameters": parameters}
        done = {**as_json(self.cell), "files": files, "record": record, "notes": self.notes}
        results.write_json(self.folder / f"done-{self.cell.suite.variant}.json", done)

    # Training.

    def _train(self) -> dict[str, Any]:
        """Leave the selected meta-parameters in `self.meta`; returns what the record says about training."""
        cell, training, path = self.cell, self.cell.training, self.folder / "checkpoint.pt"
        state = self._load(path)
        if state is not None and state["finished"]:
            self.meta = state["selected"]
            return state["record"]
        if not self.algorithm.trains:
            record = {"iterations": 0, "selected_iteration": 0, "selection": "none", "train_seconds": 0.0}
            results.write_frame(self.folder / "curve.parquet", curve_frame([]))
            self._save(path, {"finished": True, "selected": self.meta, "record": record})
            return record

        validation = self._validation_episodes()
        compile = self.machine.compile
        if compile is None:
            compile = self.mapping.how == "vmap" and training.iterations >= 20_000
        if state is not None:  # the same numbers to the last bit need the same kernels
            compile, self.mapping = state["compile"], Mapping(*state["mapping"])
        bound = self._bind(self.training_spec)
        outer = OuterLoop(bound, self.meta, training, self.mapping, compile)
        # Training episodes are drawn on the device; a generator's stream depends on where it runs.
        sampler = torch.Generator(self.machine.device).manual_seed(seed_of("training", cell.seed))
        curve: list[dict[str, float]] = []
        best: dict[str, Any] = {"score": -float("inf"), "iteration": 0, "meta": _copy(self.meta)}
        before = 0.0
        if state is not None:
            outer.load_state_dict(state["outer"])
            sampler.set_state(state["sampler"].cpu())
            curve, best, before = state["curve"], state["best"], state["seconds"]

        every = max(1, training.iterations // training.validations)
        records = max(1, training.iterations // 1000)
        started = saved = time.monotonic()
        sums: dict[str, torch.Tensor] = state["sums"] if state is not None else {}
        while outer.iteration < training.iterations:
            draw = self.training_tasks.draw(training.meta_batch, self.training_spec, sampler)
            episodes = self.training_tasks.episode(draw, self.training_spec).to(self.machine.device, self.dtype)
            metrics = outer.step(episodes)
            sums = {name: sums.get(name, 0.0) + value.detach() for name, value in metrics.items()}
            done = outer.iteration
            if done % records == 0:
                row = {name: float(value) / records for name, value in sums.items()}
                seconds = before + time.monotonic() - started
                curve.append({"iteration": done, "seconds": seconds, **row})
                sums = {}
                self.report("training", done, training.iterations)
            if validation is not None and (done % every == 0 or done == training.iterations):
                score, loss = self._validate(outer.meta, validation)
                if not curve or curve[-1]["iteration"] != done:
                    curve.append({"iteration": done, "seconds": before + time.monotonic() - started})
                curve[-1].update(val_score=score, val_loss=loss)
                if score > best["score"]:
                    best = {"score": score, "iteration": done, "meta": _copy(outer.meta)}
            if time.monotonic() - saved > self.machine.checkpoint_seconds or done == training.iterations:
                saved = time.monotonic()
                self._save(
                    path,
                    {
                        "finished": False,
                        "outer": outer.state_dict(),
                        "sampler": sampler.get_state(),
                        "curve": curve,
                        "sums": sums,
                        "best": best,
                        "seconds": before + saved - started,
                        "compile": outer.compiled,
                        "mapping": tuple(self.mapping),
                    },
                )
        pick_best = training.select == "best" and validation is not None
        selected = best if pick_best else {"iteration": training.iterations, "meta": _copy(outer.meta)}
        finite = [bool(np.isfinite(row["loss"])) for row in curve if "loss" in row]
        if not all(finite):
            log.warning("%s: meta-training diverged: its loss is no longer a number", cell)
        record = {
            "diverged": not all(finite),
            "iterations": training.iterations,
            "selected_iteration": selected["iteration"],
            "selection": "best on validation" if pick_best else "last",
            "train_seconds": before + time.monotonic() - started,
            "compiled": outer.compiled,
        }
        results.write_frame(self.folder / "curve.parquet", curve_frame(curve))
        self._save(path, {"finished": True, "selected": selected["meta"], "record": record})
        self.meta = selected["meta"]
        return record

    def _validation_episodes(self) -> Episode | None:
        split = next((split for split in self.cell.suite.splits if split.role == "meta-val"), None)
        if split is None:
            return None
        spec = spec_of(self.cell.suite.split_task(split))
        tasks = self._tasks(split.source, Part(split.classes, split.images))
        generator = torch.Generator().manual_seed(split_seed(split, self.cell.suite.task, "validation"))
        draw = tasks.draw(self.cell.training.validation_episodes, spec, generator)
        return tasks.episode(draw, spec).to(self.machine.device, self.dtype)

    def _validate(self, meta: Params, episodes: Episode) -> tuple[float, float]:
        """Mean score and loss after the headline number of inner steps; a score that is not finite is the worst."""
        split = next(split for split in self.cell.suite.splits if split.role == "meta-val")
        spec = spec_of(self.cell.suite.split_task(split))
        bound = self._bind(spec)
        scores = evaluate(bound, meta, episodes, spec, self.cell.evaluation.steps, self.mapping, last_only=True)
        score, loss = float(scores["query_score"].mean()), float(scores["query_loss"].mean())
        return (score if np.isfinite(score) else -float("inf")), loss

    # Evaluation.

    def _evaluate(self) -> dict[str, str]:
        """Score every split that has no file yet; returns the stem of the file of each split."""
        suite, files = self.cell.suite, {}
        splits = [split for split in suite.splits if split.role != "meta-val"]
        for split in splits:
            settings = [split.model_dump(), suite.task.model_dump(), self.cell.evaluation.model_dump()]
            stem = f"{slug(split.name)}-{digest(settings)}"
            path = self.folder / "evaluation" / f"{stem}.parquet"
            if not path.is_file():
                try:
                    tasks = self._tasks(split.source, Part(split.classes, split.images))
                except UserError as error:
                    if not split.optional:
                        raise
                    self.notes.append(f"Split '{split.name}' was left out: {str(error).partition(';')[0]}.")
                    continue
                frame = self._evaluate_split(split, tasks)
                results.write_arrays(path.with_suffix(".npz"), self._sample(split, tasks))
                results.write_frame(path, frame)
            files[split.name] = stem
        return files

    def _evaluate_split(self, split: Split, tasks: Tasks) -> pd.DataFrame:
        evaluation, spec = self.cell.evaluation, spec_of(self.cell.suite.split_task(split))
        count = split.episodes or evaluation.episodes
        few = min(count, evaluation.diagnostic_episodes)
        plan: list[tuple[Condition, int]] = [("standard", count)]
        if "batch-norm" in evaluation.diagnostics and split.role == "in-distribution" and self._has_batch_norm():
            plan.append(("inductive" if evaluation.batch_norm == "transductive" else "transductive", few))
        if "shuffled" in evaluation.diagnostics and split.role == "in-distribution":
            plan.append(("shuffled", few))
        if "open" in evaluation.diagnostics:
            plan.append(("open", few))
        total, done, frames = sum(count for _, count in plan), 0, []

        def advance(episodes: int) -> None:
            nonlocal done
            done += episodes
            self.report(split.name, done, total)

        for condition, count in plan:
            generator = torch.Generator().manual_seed(split_seed(split, self.cell.suite.task, "test"))
            if condition == "open":
                draw = tasks.draw_open(count, spec, generator)
                if draw is None:
                    continue
            else:  # every condition meets the first of the same episodes
                draw = tasks.draw(split.episodes or evaluation.episodes, spec, generator)[:count]
            frames.append(self._score(split, tasks, draw, spec, condition, advance))
        return pd.concat(frames, ignore_index=True)

    def _score(
        self,
        split: Split,
        tasks: Tasks,
        draw: Any,
        spec: TaskSpec,
        condition: Condition,
        advance: Callable[[int], None],
    ) -> pd.DataFrame:
        evaluation = self.cell.evaluation
        bound = self._bind(spec)
        mode = condition if condition in ("transductive", "inductive") else evaluation.batch_norm
        standard = condition == "standard"
        steps = evaluation.path_steps if standard else evaluation.steps
        labels = torch.Generator().manual_seed(split_seed(split, self.cell.suite.task, "shuffled"))
        frames = []
        for start in range(0, len(draw), EPISODES_IN_MEMORY):
            part = draw[start : start + EPISODES_IN_MEMORY]
            episodes = tasks.episode(part, spec).to(self.machine.device, self.dtype)
            if condition == "shuffled":
                episodes = shuffled_support(episodes, labels)
            scores = evaluate(
                bound,
                self.meta,
                episodes,
                spec,
                steps,
                self.mapping,
                inductive=mode == "inductive" and self._has_batch_norm(),
                last_only=not standard,
                advance=advance,
            )
            n, recorded = scores["query_loss"].shape
            columns = {name: value.flatten().numpy() for name, value in scores.items()}
            frames.append(
                pd.DataFrame(
                    {
                        "episode": np.repeat(np.arange(start, start + n), recorded),
                        "step": np.tile(np.arange(steps + 1 - recorded, steps + 1), n),
                        **columns,
                        "null_loss": np.repeat(null_loss(episodes, spec).numpy(), recorded),
                    }
                )
            )
        frame = pd.concat(frames, ignore_index=True)
        fields = {
            "split": split.name,
            "role": split.role,
            "condition": condition,
            "ways": spec.ways,
            "shots": spec.shots,
        }
        return frame.assign(**fields)

    def _sample(self, split: Split, tasks: Tasks) -> dict[str, np.ndarray]:
        """A first look at the split: its first test episode (regression: the first few) as arrays."""
        spec = spec_of(self.cell.suite.split_task(split))
        generator = torch.Generator().manual_seed(split_seed(split, self.cell.suite.task, "test"))
        draw = tasks.draw(split.episodes or self.cell.evaluation.episodes, spec, generator)
        if isinstance(tasks, Waves):
            draw = draw[:SAMPLE_TASKS]
            episode = tasks.episode(draw, spec)
            low, high = tasks.family.x
            x = torch.linspace(low, high, 200).view(1, -1, 1).expand(len(draw), -1, -1)
            fields = episode._asdict() | {"curve_x": x, "curve_y": tasks.value(draw, x)}
            return {name: value.cpu().numpy() for name, value in fields.items() if name != "classes"}
        assert isinstance(tasks, ImageBank)
        episode = Episode(*(field[0] for field in tasks.normalised(0.0, 1.0).episode(draw[:1], spec)))
        names = np.array([tasks.names[c] for c in episode.classes.tolist()])
        images = {name: (getattr(episode, name) * 255).round().to(torch.uint8) for name in ("support_x", "query_x")}
        fields = {**images, "support_y": episode.support_y, "query_y": episode.query_y}
        return {"class_names": names, **{name: value.cpu().numpy() for name, value in fields.items()}}

    def _bind(self, spec: TaskSpec) -> Algorithm:
        precision = torch.bfloat16 if self.cell.training.precision == "bfloat16" else None
        return self.algorithm.bind(self.network, spec, precision)

    def _tasks(self, table: dict[str, Any], part: Part) -> Any:
        tasks = make_source(table).tasks(part, self.machine.device)
        return tasks.normalised(*self.normalisation) if isinstance(tasks, ImageBank) else tasks

    def _has_batch_norm(self) -> bool:
        norms = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d
        return any(isinstance(module, norms) for module in self.network.modules())

    # Files.

    def _write_identity(self) -> None:
        results.write_json(self.folder / "config.json", self.cell.identity)
        results.write_json(self.folder / "environment.json", environment(self.machine.device))

    def _load(self, path: Path) -> dict[str, Any] | None:
        if not path.is_file():
            return None
        try:
            return torch.load(path, map_location=self.machine.device, weights_only=True)
        except Exception as error:
            raise UserError(
                f"'{path}' cannot be read ({error}); remove it to train {self.cell} from the start"
            ) from None

    def _save(self, path: Path, state: dict[str, Any]) -> None:
        with results.atomic(path) as temporary:
            torch.save(state, temporary)


EPISODES_IN_MEMORY = 200


def spec_of(task: Task) -> TaskSpec:
    """The form of a task, for samplers and algorithms."""
    return TaskSpec(task.kind, task.ways, task.shots, task.queries)


def seed_of(purpose: str, seed: int) -> int:
    """A stream of random numbers of its own for every purpose of a seed."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:7], "big")


def split_seed(split: Split, task: Task, purpose: str) -> int:
    """The seed of a split's episodes: it belongs to the split, so all algorithms and seeds meet the same ones."""
    return seed_of(f"{purpose} {split.name} {task.model_dump_json()}", zlib.crc32(split.name.encode()))


def slug(name: str) -> str:
    """A name as part of a file name."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-").lower() or "split"


def curve_frame(rows: list[dict[str, float]]) -> pd.DataFrame:
    """The training curve with all its columns, whatever was recorded."""
    columns = ["iteration", "seconds", "loss", "score", "val_loss", "val_score"]
    return pd.DataFrame(rows, columns=list(dict.fromkeys(columns + [key for row in rows for key in row]))).astype(float)


def environment(device: torch.device) -> dict[str, Any]:
    """What the numbers may depend on besides the configuration."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "metagap": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _copy(params: Params) -> Params:
    return {name: value.detach().clone() for name, value in params.items()}
