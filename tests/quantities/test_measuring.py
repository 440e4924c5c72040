"""Quantities of real cells: their values, what they get to see, and what becomes of those that fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metagap import quantities, results
from metagap.machine import Machine
from metagap.quantities import Quantity, Watched
from metagap.runner import quantities as measuring
from metagap.runner.cell import is_done, run_cell
from metagap.runner.context import TrainingContext
from metagap.runner.score import conditions
from metagap.suite import Cell, expand, load_suite
from tiny_suites import write

EAGER = Machine("cpu", engine="loop plain eager")
PLUGIN = """
import torch
from metagap.quantities import Quantity

def one(name, measure, **more):
    return Quantity(name=name, about="One.", citation="none", cost="nothing", measure=measure, **more)

def spoil(watched):
    for value in watched.meta.values():
        value.zero_()
    torch.rand(5)
    return 1.0

def fails(watched):
    return watched.target(1000)

def half(watched):
    return torch.tensor([1.0, float("nan")])

SPOIL = one("spoil", spoil, of="cell")
FAILS = one("fails", fails)
BROKEN = one("broken", lambda watched: 1 / 0)
HALF = one("half", half)
MOVED = one("moved", lambda w: sum(float((w.meta[k] - w.initial[k]).abs().sum()) for k in w.meta), of="cell")
"""


def first(folder: Path, names: list[str], algorithms=None, **evaluation) -> list[Cell]:
    (folder / "plugin.py").write_text(PLUGIN)
    named = [f"{folder}/plugin.py:{name}" if name.isupper() else name for name in names]
    evaluation = {"steps": 2, "quantities": named, "quantity_episodes": 3, **evaluation}
    return expand(load_suite(str(write(folder, algorithms=algorithms or {}, evaluation=evaluation))))


def watched(cell: Cell, split: str = "square") -> Watched:
    context = TrainingContext(cell, EAGER)
    place = measuring._Place.of(context, cell.suite.split(split))
    named = quantities.find("adaptation-norm")
    return place.watched(context, named, 0, context.meta, context.meta)


def values(found: results.Results, quantity: str) -> np.ndarray:
    return found.quantities[found.quantities["quantity"] == quantity]["value"].to_numpy()


def test_a_plugin_is_measured_and_harms_nothing(tmp_path):
    names = ["SPOIL", "MOVED", "adaptation-norm", "FAILS", "BROKEN", "HALF"]
    cell, scratch = first(tmp_path, names, checkpoints=2)
    run_cell(cell, tmp_path / "s", EAGER)
    run_cell(scratch, tmp_path / "s", EAGER)
    assert is_done(cell, tmp_path / "s")
    found = results.read(tmp_path / "s", "tiny")
    rows = found.quantities.set_index(["algorithm", "quantity"]).sort_index()
    moved = rows.loc[("maml", "moved")]
    assert moved["iteration"].tolist() == [0, 2, 4] and set(moved["split"]) == {""} and set(moved["episode"]) == {-1}
    assert moved["value"].iloc[0] == 0 < moved["value"].iloc[1] < moved["value"].iloc[2]
    norm = rows.loc[("maml", "adaptation-norm")]
    assert norm.groupby(["iteration", "split"])["episode"].apply(list).tolist() == [[0, 1, 2]] * 6
    assert (norm["value"] > 0).all()
    assert rows.loc[("scratch", "adaptation-norm")]["iteration"].unique().tolist() == [0]
    assert rows.loc[("maml", "half")]["value"].isna().tolist() == [False, True] * 6
    notes = [note for note in found.notes if note.startswith("Quantity") and " of maml " in note]
    assert notes == [
        "Quantity 'fails' of maml is not there in 3 of 6 values: split 'old' has 5 test tasks, not 1000.",
        "Quantity 'fails' of maml is not there in 3 of 6 values: split 'square' has 5 test tasks, not 1000.",
        "Quantity 'broken' of maml is not there: it raised ZeroDivisionError('division by zero').",
        "Quantity 'half' of maml is not there in 6 of 12 values: it is not finite.",
    ]


def test_only_what_is_missing_is_measured(tmp_path, monkeypatch):
    measured: list[str] = []
    usual = measuring._measured

    def counted(quantity: Quantity, watched: Watched):
        measured.append(quantity.name)
        return usual(quantity, watched)

    monkeypatch.setattr(measuring, "_measured", counted)
    run_cell(first(tmp_path, ["adaptation-norm"])[0], tmp_path / "s", EAGER)
    before = values(results.read(tmp_path / "s", "tiny"), "adaptation-norm")
    assert measured == ["adaptation-norm"] * 2
    more = first(tmp_path, ["adaptation-norm", "support-query-loss-gap"])[0]
    assert not is_done(more, tmp_path / "s")
    run_cell(more, tmp_path / "s", EAGER)
    assert measured == ["adaptation-norm"] * 2 + ["support-query-loss-gap"] * 2
    found = results.read(tmp_path / "s", "tiny", more.variant)
    assert (values(found, "adaptation-norm") == before).all()
    assert found.quantities["iteration"].unique().tolist() == [4]  # of the trained weights
    path = next(more.folder(tmp_path / "s").glob("quantities/adapt*.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    assert not is_done(more, tmp_path / "s")
    named = results.read(tmp_path / "s", "tiny", more.variant)
    assert any("'adaptation-norm' of maml seed 0 is left out of the quantities" in note for note in named.notes)
    run_cell(more, tmp_path / "s", EAGER)
    assert measured[4:] == ["adaptation-norm"] * 2
    assert (values(results.read(tmp_path / "s", "tiny", more.variant), "adaptation-norm") == before).all()


def test_what_is_watched_is_the_same_at_every_call(tmp_path):
    cell = first(tmp_path, ["adaptation-norm"])[0]
    one, other = watched(cell), watched(cell)
    for look in (lambda w: w.source(3), lambda w: w.target(3)):
        first_look, again, elsewhere = look(one), look(one), look(other)
        assert all(torch.equal(*pair) for pair in zip(first_look, again, strict=True))
        assert all(torch.equal(*pair) for pair in zip(first_look, elsewhere, strict=True))
    assert torch.equal(one.target(2).query_x, one.target(3).query_x[:2])
    assert not torch.equal(one.source(3).query_x, one.target(3).query_x)
    drawn = [w.generator(purpose).initial_seed() for w in (one, other) for purpose in ("a", "b")]
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1]
    context = TrainingContext(cell, EAGER)
    split = cell.suite.split("square")
    sampler = context.sampler(split, "test")
    episodes = sampler.episode(sampler.draw(next(iter(conditions(context, split).values())))[:3])
    assert torch.equal(one.target(3).query_y, episodes.query_y)


def test_values_are_those_of_a_loop(tmp_path):
    seen = watched(first(tmp_path, ["adaptation-norm"], {"maml": {"inner_lr": 0.1}})[0])
    found = {name: quantities.find(name).measure(seen) for name in ("adaptation-norm", "support-query-loss-gap")}
    episodes, algorithm = seen.target(3), seen.algorithm
    for i in range(3):
        fast, length = {name: value.clone() for name, value in seen.meta.items()}, 0.0
        x, y = episodes.support_x[i], episodes.support_y[i]
        start = torch.cat([value.flatten() for value in fast.values()]).norm()
        for _ in range(2):
            leaves = {name: value.requires_grad_() for name, value in fast.items()}
            slopes = torch.autograd.grad(((algorithm.forward(leaves, x) - y) ** 2).mean(), list(leaves.values()))
            length += 0.1 * float(torch.cat([slope.flatten() for slope in slopes]).norm())
            fast = {k: (v - 0.1 * g).detach() for (k, v), g in zip(leaves.items(), slopes, strict=True)}
        support = float(((algorithm.forward(fast, x) - y) ** 2).mean())
        query = float(((algorithm.forward(fast, episodes.query_x[i]) - episodes.query_y[i]) ** 2).mean())
        assert float(found["adaptation-norm"][i]) == pytest.approx(length / float(start), rel=1e-4)
        assert float(found["support-query-loss-gap"][i]) == pytest.approx(query - support, rel=1e-4)


def test_an_algorithm_without_inner_gradient_steps_has_no_path(tmp_path):
    cell = first(tmp_path, ["adaptation-norm"])[0]
    steps = quantities.find("adaptation-norm").applies
    assert steps(watched(cell)) == ""
    none = first(tmp_path, ["adaptation-norm"], steps=0)[0]
    assert steps(watched(none)) == "there are no inner steps: evaluation.steps is 0"
