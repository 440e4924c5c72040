"""One cell from start to end: records, resumption to the last bit, the same test episodes for everyone."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from metagap import results, stopping
from metagap.conditions import INDUCTIVE, OPEN, SHUFFLED, STANDARD
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.executors import Executor
from metagap.executors.attempt import attempt
from metagap.executors.running import error_of, run_cells
from metagap.machine import Machine
from metagap.results.lease import LostError, hold
from metagap.runner import context
from metagap.runner.cell import is_done, run_cell
from metagap.runner.context import TrainingContext
from metagap.runner.score import Evaluators, conditions
from metagap.suite import Cell, expand, load_suite, with_algorithms, with_seeds

IMAGES = """
title = "Tiny images"
[task]
ways = 3
shots = 1
queries = 2
[model]
name = "conv4"
filters = 4
[source]
name = "glyphs"
alphabets = 5
characters = 4
instances = 6
image_size = 16
held_out_images = 3
[training]
iterations = 12
meta_batch = 2
validations = 4
validation_episodes = 5
[evaluation]
episodes = 9
steps = 2
curve_steps = 3
diagnostic_episodes = 4
[algorithms.maml]
inner_lr = 0.1
[algorithms.reptile]
training = { optimizer = "sgd", lr = 1.0, schedule = "linear" }
[algorithms.pretrain]
[algorithms.scratch]
[[splits]]
name = "old"
role = "meta-train"
classes = "train"
images = "train"
[[splits]]
name = "val"
role = "meta-val"
classes = "val"
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
[[splits]]
name = "far"
role = "cross-domain"
source = { name = "digits", image_size = 16 }
[[splits]]
name = "two ways"
role = "in-distribution"
classes = "test"
ways = 2
"""

WAVES = """
title = "Tiny waves"
[task]
kind = "regression"
shots = 5
queries = 4
[model]
name = "mlp"
hidden = [8]
[source]
name = "sinusoid"
[training]
iterations = 30
meta_batch = 3
[evaluation]
episodes = 7
steps = 2
[algorithms.maml]
[algorithms.fomaml]
[[splits]]
name = "old"
role = "meta-train"
[[splits]]
name = "square"
role = "cross-domain"
source = { name = "sinusoid", waveform = "square" }
"""

CPU = Machine("cpu")
EAGER = Machine("cpu", engine="loop plain eager")
UNSCORED = ("evaluation.diagnostics=[]", "evaluation.episodes=1")
"""For tests that do not look at the scores of splits, which take longest."""
"""Where nothing depends on how the engine computes: it times and traces nothing then."""
HERE = Executor(
    name="here",
    about="A test's.",
    run=lambda cells, store, machine, _: ((n, attempt(cell, store, machine)) for n, cell in enumerate(cells)),
)


@pytest.fixture
def cells(tmp_path: Path):
    def cells(text: str, *changes: str) -> dict[str, Cell]:
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return {cell.label: cell for cell in expand(load_suite(str(path), changes))}

    return cells


def weights(cell: Cell, store: Path) -> dict[str, torch.Tensor]:
    return torch.load(cell.folder(store) / "checkpoint.pt", weights_only=True)["selected"]


def test_records_of_a_cell(cells, tmp_path):
    every = cells(IMAGES)
    for cell in every.values():
        run_cell(cell, tmp_path, EAGER)
        assert is_done(cell, tmp_path)
    found = results.read(tmp_path, "tiny")
    assert list(found.cells.algorithm) == ["maml", "reptile", "pretrain", "scratch"]
    assert list(found.cells.selection) == ["best on validation"] * 3 + ["none"]
    assert (found.cells.selected_iteration.isin([3, 6, 9, 12]) | (found.cells.algorithm == "scratch")).all()
    episodes = found.episodes
    standard = episodes[episodes.condition == "standard"]
    assert standard.groupby(["algorithm", "split"]).size().unique().tolist() == [9 * 4]
    assert set(standard.step) == {0, 1, 2, 3}
    others = episodes[episodes.condition != "standard"]
    assert set(others.step) == {2}
    assert set(others[others.split == "new"].condition) == {"inductive", "shuffled", "open"}
    assert set(others[others.split == "far"].condition) == {"open"}
    assert episodes.query_score.between(0, 1).all()
    assert set(episodes[episodes.split == "two ways"].ways) == {2}
    np.testing.assert_allclose(standard[standard.ways == 3].null_loss, np.log(3))
    curve = found.curves[found.curves.algorithm == "maml"]
    assert curve.iteration.tolist() == list(range(1, 13))
    assert curve.val_score.notna().sum() == 4
    assert found.samples["far"]["support_x"].shape == (3, 1, 16, 16)
    assert not any(path.name.startswith(".tiny") or ".tmp" in path.name for path in tmp_path.rglob("*"))


PLUGIN = '''"""Knows the order in which sources give their queries, and predicts by it."""

import torch
from pydantic import Field

from metagap.algorithms.maml import FOMAML


class KnowsTheOrder(FOMAML):
    """The class by the place of a query alone: in turn, or in blocks."""

    blocks: bool = Field(False, description="class by class")

    def predict(self, fast, query_x):
        n, ways = len(query_x), self.spec.ways
        place = torch.arange(n, device=query_x.device)
        guess = place * ways // n if self.blocks else place % ways
        return 9 * torch.nn.functional.one_hot(guess, 3).to(query_x.dtype) + 1e-9 * self.forward(fast, query_x)
'''


@pytest.mark.parametrize("blocks", ["true", "false"])
def test_the_place_of_a_query_says_nothing_in_training_validation_and_test(cells, tmp_path, blocks):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    before, _, after = IMAGES.partition("[algorithms.maml]")
    table = f'[algorithms.placed]\nalgorithm = "{tmp_path}/plugin.py:KnowsTheOrder"\nblocks = {blocks}\n'
    cell = cells(before + table + after[after.index("[[splits]]") :])["placed"]
    run_cell(cell, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    scores = found.episodes.groupby(["split", "condition"]).query_score.mean()
    assert len(scores) == 12
    # one of three, or one of two; the inductive condition shows a query after the support set, which is always the last
    assert (scores < 0.65).all(), scores
    assert (found.curves[["score", "val_score"]].mean() < 0.6).all()


def test_the_transduction_gap_is_that_of_the_algorithm_too(cells, monkeypatch):
    context = TrainingContext(cells(WAVES)["maml"], CPU)
    split = next(split for split in context.cell.suite.splits if split.role == "meta-train")
    split = split.model_copy(update={"role": "in-distribution"})
    assert INDUCTIVE not in conditions(context, split)
    monkeypatch.setattr(type(context.algorithm), "transductive", True)
    assert INDUCTIVE in conditions(context, split)


def test_splits_that_are_scored_alike_share_an_evaluation(cells):
    context = TrainingContext(cells(IMAGES)["maml"], CPU)
    splits, made = {split.name: split for split in context.cell.suite.splits}, Evaluators(context)
    new, far, two_ways = (splits[name] for name in ("new", "far", "two ways"))
    assert made.of(new, STANDARD) is made.of(far, STANDARD)
    assert made.of(new, OPEN) is made.of(new, SHUFFLED) is made.of(far, OPEN)
    different = [(new, STANDARD), (new, OPEN), (new, INDUCTIVE), (two_ways, STANDARD)]
    assert len({id(made.of(*one)) for one in different}) == 4
    assert (made.of(new, STANDARD).steps, made.of(new, OPEN).steps) == (3, 2)


@pytest.mark.parametrize(("label", "shots"), [("maml", 2), ("pretrain", 1)])
def test_plans_are_chosen_for_tasks_that_are_mapped(cells, monkeypatch, label, shots):
    chosen = []

    def choose(algorithm, meta, episodes, **how):
        chosen.append(episodes.support_x.shape[1])
        return Strategy()

    monkeypatch.setattr(context, "choose", choose)
    text = IMAGES.replace("iterations = 12", "iterations = 12\nshots = 2\nqueries = 1")
    assert TrainingContext(cells(text)[label], Machine("cpu")).strategy == Strategy()
    assert chosen == [3 * shots]


def test_algorithms_keep_the_order_of_the_fullest_run(cells, tmp_path):
    every = cells(IMAGES, "training.iterations=1", "training.validations=1", *UNSCORED)
    alone = with_seeds(with_algorithms(every["maml"].suite, ["scratch"]), [1])
    for cell in (every["scratch"], every["reptile"], every["maml"], *expand(alone)):
        run_cell(cell, tmp_path, EAGER)
    assert list(results.read(tmp_path, "tiny").suite.algorithms) == ["maml", "reptile", "scratch"]


def test_every_algorithm_meets_the_same_episodes(cells, tmp_path):
    for cell in cells(WAVES).values():
        run_cell(cell, tmp_path, EAGER)
        run_cell(dataclasses.replace(cell, seed=5), tmp_path, EAGER)
    episodes = results.read(tmp_path, "tiny").episodes
    table = episodes[episodes.condition == "standard"].pivot_table(
        index=["split", "episode", "step"], columns=["algorithm", "seed"], values="null_loss"
    )
    assert table.shape == (2 * 7 * 3, 4)
    assert (table.nunique(axis=1) == 1).all()
    assert table.iloc[:, 0].nunique() == 14  # the label power of an episode tells it from all others


def test_other_data_are_scored_anew_and_said(cells, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    split = '[[splits]]\nname = "own"\nrole = "cross-domain"\nsource = {name = "path:own.npz", image_size = 16}\n'
    monkeypatch.setenv("METAGAP_DATA", str(tmp_path))
    several = cells(IMAGES + split, *UNSCORED)
    for label, images in (("scratch", 5), ("pretrain", 9)):
        np.savez(tmp_path / "own.npz", images=rng.integers(0, 256, (4, images, 16, 16), dtype=np.uint8))
        run_cell(several[label], tmp_path, EAGER)
    assert any("'own' differ between cells" in note for note in results.read(tmp_path, "tiny").notes)
    assert not any("'far'" in note for note in results.read(tmp_path, "tiny").notes)
    marker = next(several["scratch"].folder(tmp_path).glob("done-*.json"))
    marker.unlink()
    run_cell(several["scratch"], tmp_path, EAGER)
    assert results.read(tmp_path, "tiny").notes == []


@pytest.mark.parametrize("text", [IMAGES, WAVES], ids=["images", "waves"])
@pytest.mark.parametrize("stop", [5, pytest.param(11, marks=pytest.mark.slow)])
def test_an_interrupted_cell_ends_with_the_same_bits(cells, tmp_path, text, stop):
    cell = cells(text)["maml"]
    run_cell(cell, tmp_path / "whole", CPU)

    class Stop(Exception): ...

    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == stop:
            raise Stop

    eager = dataclasses.replace(CPU, checkpoint_seconds=0)
    with pytest.raises(Stop):
        run_cell(cell, tmp_path / "parts", eager, interrupt)
    state = torch.load(cell.folder(tmp_path / "parts") / "checkpoint.pt", weights_only=True)
    assert not state["finished"]
    assert state["outer"]["iteration"] == stop - 1
    run_cell(cell, tmp_path / "parts", eager)
    whole, parts = weights(cell, tmp_path / "whole"), weights(cell, tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    first, second = (results.read(tmp_path / folder, "tiny") for folder in ("whole", "parts"))
    assert first.episodes.equals(second.episodes)
    columns = ["iteration", "loss", "score", "val_loss", "val_score"]
    assert first.curves[columns].equals(second.curves[columns])


def test_a_cell_that_is_told_to_stop_saves_its_state_first(cells, tmp_path, monkeypatch):
    cell = cells(WAVES)["maml"]
    run_cell(cell, tmp_path / "whole", EAGER)
    monkeypatch.setattr(stopping, "_asked", False)

    def end_in_the_middle(phase: str, done: int, total: int) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(stopping.Stopped):
        run_cell(cell, tmp_path / "parts", EAGER, end_in_the_middle)
    assert signal.getsignal(signal.SIGTERM) == before
    state = torch.load(cell.folder(tmp_path / "parts") / "checkpoint.pt", weights_only=True)
    assert not state["finished"] and state["outer"]["iteration"] == 7
    stopping.ask(False)
    run_cell(cell, tmp_path / "parts", EAGER)
    whole, parts = weights(cell, tmp_path / "whole"), weights(cell, tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_finished_cell_is_not_run_again(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    run_cell(cell, tmp_path, EAGER)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    run_cell(cell, tmp_path, EAGER)
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_a_new_split_is_evaluated_without_training_again(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    run_cell(cell, tmp_path, EAGER)
    trained = (cell.folder(tmp_path) / "checkpoint.pt").stat().st_mtime_ns
    more = cells(WAVES + '[[splits]]\nname = "more"\nrole = "in-distribution"\n')["maml"]
    assert more.hash == cell.hash
    assert not is_done(more, tmp_path)
    run_cell(more, tmp_path, EAGER)
    assert (cell.folder(tmp_path) / "checkpoint.pt").stat().st_mtime_ns == trained
    assert set(results.read(tmp_path, "tiny", more.variant).episodes.split) == {"old", "square", "more"}
    assert set(results.read(tmp_path, "tiny", cell.variant).episodes.split) == {"old", "square"}


def test_a_marker_of_another_format_counts_as_none(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    run_cell(cell, tmp_path, EAGER)
    marker = next(cell.folder(tmp_path).glob("done-*.json"))
    results.write_signed(marker, results.read_signed(marker) | {"format": 0})
    assert not is_done(cell, tmp_path)
    with pytest.raises(UserError, match="no finished results"):
        results.read(tmp_path, "tiny")
    run_cell(cell, tmp_path, EAGER)
    assert is_done(cell, tmp_path)


def test_variants_are_never_mixed(cells, tmp_path):
    run_cell(cells(WAVES)["maml"], tmp_path, EAGER)
    short = cells(WAVES, "training.iterations=3")["fomaml"]
    run_cell(short, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    assert list(found.cells.algorithm) == ["fomaml"]
    assert "1 other configuration" in found.notes[0]
    with pytest.raises(UserError, match=r"no finished results of variant 'abc'.*there are the variants"):
        results.read(tmp_path, "tiny", "abc")
    with pytest.raises(UserError, match=r"no finished results of suite 'none'"):
        results.read(tmp_path, "none")


def test_best_on_validation_is_what_is_kept(cells, tmp_path):
    cell = cells(IMAGES, *UNSCORED)["maml"]
    run_cell(cell, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    validated = found.curves.dropna(subset="val_score")
    assert found.cells.selected_iteration[0] == validated.iteration[validated.val_score.idxmax()]
    last = cells(IMAGES, "training.select=last", "training.iterations=1", "training.validations=1", *UNSCORED)["maml"]
    run_cell(last, tmp_path, EAGER)
    assert results.read(tmp_path, "tiny").cells.selection[0] == "last"


def test_a_training_whose_weights_are_lost_ends_early_and_says_so(cells, tmp_path):
    cell = cells(WAVES, "training.lr=1e30")["maml"]
    run_cell(cell, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    row = found.cells.iloc[0]
    assert row["diverged"] and 0 < row["iterations"] < cell.training.iterations
    assert f"diverged and ended after {row['iterations']} iterations" in " ".join(found.notes)
    assert is_done(cell, tmp_path)


def test_an_optional_split_without_data_is_left_out_and_said(cells, tmp_path):
    extra = '[[splits]]\nname = "gone"\nrole = "cross-domain"\nsource = {name = "path:gone.npz", image_size = 16}\n'
    cell = cells(IMAGES + extra)["scratch"]
    with pytest.raises(UserError, match=r"path:gone\.npz"):
        run_cell(cell, tmp_path, EAGER)
    optional = cells(IMAGES + extra + "optional = true\n")["scratch"]
    run_cell(optional, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    assert "gone" not in set(found.episodes.split)
    assert any("'gone' was skipped, data missing" in note for note in found.notes)


def test_a_cell_in_work_elsewhere_is_left_alone(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    with hold(cell.folder(tmp_path)), pytest.raises(UserError, match=r"process \d+ on .* is at work in '.*/maml/0-"):
        run_cell(cell, tmp_path, EAGER)
    assert not is_done(cell, tmp_path)


def test_a_cell_that_was_taken_over_writes_nothing_more(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    folder = cell.folder(tmp_path)

    def take_over(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("training", 5):
            shutil.rmtree(folder / ".lease")  # as if this process had been suspended for longer than the term
            (folder / ".lease").mkdir()
            (folder / ".lease" / "other.0").touch()

    before = dataclasses.replace(EAGER, checkpoint_seconds=1e9)
    with pytest.raises(LostError, match=r"this process must not write to .* any more: now another process has it"):
        run_cell(cell, tmp_path, before, take_over)
    assert sorted(path.name for path in folder.iterdir()) == [".lease", "attempts.json", "config.json", "log.txt"]
    shutil.rmtree(folder / ".lease")
    run_cell(cell, tmp_path, EAGER)
    assert is_done(cell, tmp_path)


def test_a_cell_that_cannot_be_run_keeps_no_other_from_being_run(cells, tmp_path):
    more = "[algorithms.scratch]\n[algorithms.pretrain]\n"
    first, *others = cells(WAVES + more).values()
    folder = first.folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / ".lease").touch()
    console = Console(file=io.StringIO(), width=400)
    (failed,) = run_cells([first, *others], tmp_path, EAGER, console, HERE)
    assert failed.is_bad_input and "/.lease' is in the way, and no lease" in str(error_of([failed]))
    assert len(others) == 3 and all(is_done(cell, tmp_path) for cell in others)
    assert not is_done(first, tmp_path)
    assert any("maml seed 0 failed on " in note for note in results.read(tmp_path, "tiny").notes)
    (folder / ".lease").unlink()
    run_cell(first, tmp_path, EAGER)
    assert not any("failed" in note for note in results.read(tmp_path, "tiny").notes)
    assert not list(folder.glob("failed*")) and not list(folder.glob("traceback*"))
    said = console.file.getvalue()
    assert "✗ maml seed 0: '" in said and "is in the way" in said and said.count("✓") == 3


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_other_precisions_run(cells, tmp_path, precision):
    cell = cells(IMAGES, f"training.precision={precision}", *UNSCORED)["maml"]
    run_cell(cell, tmp_path, EAGER)
    dtype = next(iter(weights(cell, tmp_path).values())).dtype
    assert dtype == (torch.float64 if precision == "float64" else torch.float32)


def test_normalised_by_the_training_images(cells, tmp_path):
    cell = cells(IMAGES, "source.normalise=true")["maml"]
    run_cell(cell, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    assert found.samples["new"]["support_x"].max() > 200  # samples show the images as they are


def test_settings_at_test_change_the_scores_and_not_the_training(cells, tmp_path):
    own = "[algorithms.maml]\nevaluation = { settings = { inner_lr = 1e-9 } }\n"
    for name, text in (("usual", WAVES), ("own", WAVES.replace("[algorithms.maml]\n", own))):
        run_cell(cells(text)["maml"], tmp_path / name, EAGER)
    usual, own = (cells(text)["maml"] for _ in range(2))
    first, second = (weights(usual, tmp_path / name) for name in ("usual", "own"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    losses = {}
    for name in ("usual", "own"):
        episodes = results.read(tmp_path / name, "tiny").episodes
        episodes = episodes[episodes.condition == "standard"]
        losses[name] = episodes.pivot_table(index=["split", "episode"], columns="step", values="query_loss")
    np.testing.assert_allclose(losses["own"][2], losses["own"][0], rtol=1e-5)  # it hardly moves
    assert (losses["usual"][2] != losses["usual"][0]).all()
    np.testing.assert_array_equal(losses["own"][0], losses["usual"][0])
    assert results.read(tmp_path / "own", "tiny").suite.algorithms["maml"].evaluation["settings"] == {"inner_lr": 1e-9}


def test_checkpoints_are_compared_with_the_settings_at_test(cells, tmp_path):
    own = "[algorithms.maml]\nevaluation = { settings = { inner_lr = 1e-9 } }\n"
    scores = []
    for text in (IMAGES, IMAGES.replace("[algorithms.maml]\n", own)):
        run_cell(cells(text, *UNSCORED)["maml"], tmp_path, EAGER)
        scores.append(results.read(tmp_path, "tiny").curves.val_loss.dropna().tolist())
    assert scores[0] != scores[-1]


def test_a_second_instance_may_be_scored_without_transduction(cells, tmp_path):
    own = '[algorithms.alone]\nalgorithm = "maml"\ninner_lr = 0.1\nevaluation = { batch_norm = "inductive" }\n'
    several = cells(IMAGES.replace("[algorithms.reptile]", own + "[algorithms.reptile]"))
    for label in ("maml", "alone"):
        run_cell(several[label], tmp_path, EAGER)
    episodes = results.read(tmp_path, "tiny").episodes.query("split == 'new' and step == 2").set_index("episode")
    by = {key: group.query_loss for key, group in episodes.groupby(["algorithm", "condition"])}
    few = by["maml", "inductive"].index
    np.testing.assert_allclose(by["alone", "standard"].loc[few], by["maml", "inductive"], rtol=1e-5)
    np.testing.assert_allclose(by["maml", "standard"].loc[few], by["alone", "transductive"], rtol=1e-5)
    assert not np.allclose(by["maml", "inductive"], by["maml", "standard"].loc[few])


def test_all_classes_may_be_trained_on(cells):
    everything = 'training_classes = "all"\n' + IMAGES[: IMAGES.index('[[splits]]\nname = "val"')]
    everything = everything.replace('classes = "train"', 'classes = "all"')
    contexts = [TrainingContext(cells(text)["maml"], CPU) for text in (IMAGES, everything)]
    train, every = (set(context.training_tasks.names) for context in contexts)
    assert train < every
    assert len(every) == 5 * 4
    assert contexts[1].training_tasks.size.tolist() == [3] * 20  # without what is held out


@pytest.mark.slow
def test_compiled_training_agrees_and_resumes(cells, tmp_path):
    cell = cells(WAVES)["maml"]
    machine = dataclasses.replace(CPU, compile=True, checkpoint_seconds=0)
    run_cell(cell, tmp_path / "eager", CPU)
    run_cell(cell, tmp_path / "compiled", machine)
    assert "compiled" in results.read(tmp_path / "compiled", "tiny").cells.engine[0]

    class Stop(Exception): ...

    def interrupt(phase: str, done: int, total: int) -> None:
        if done == 10:
            raise Stop

    with pytest.raises(Stop):
        run_cell(cell, tmp_path / "parts", machine, interrupt)
    run_cell(cell, tmp_path / "parts", machine)
    eager, compiled, parts = (weights(cell, tmp_path / folder) for folder in ("eager", "compiled", "parts"))
    for name in eager:
        torch.testing.assert_close(compiled[name], eager[name])
        assert torch.equal(compiled[name], parts[name])
