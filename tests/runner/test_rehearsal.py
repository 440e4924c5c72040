"""Networks that users bring, in a whole cell: refused before training, or trained and resumed like any other."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch

from metagap import results
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.runner.context import TrainingContext
from metagap.runner.preflight import check
from metagap.suite import Cell, expand, load_suite

SUITE = """
title = "Waves with a network of one's own"
[task]
kind = "regression"
shots = 5
queries = 4
[model]
name = "NETS:NAME"
[source]
name = "sinusoid"
[training]
iterations = 8
meta_batch = 2
[evaluation]
episodes = 3
steps = 1
curve_steps = 1
[algorithms.ALGORITHM]
[[splits]]
name = "old"
role = "meta-train"
[[splits]]
name = "square"
role = "cross-domain"
source = { name = "sinusoid", waveform = "square" }
"""

NETS = """
import random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self, x_shape, outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(1, 4), self.middle())
        self.head = nn.Linear(4, outputs)
    def middle(self):
        return nn.Tanh()
    def forward(self, x):
        return self.head(self.features(x))

class Dropout(Net):
    def middle(self):
        return nn.Sequential(nn.Dropout(0.5), nn.Tanh())

class OwnNoise(Net):
    def forward(self, x):
        z = self.features(x)
        if self.training:
            z = z * (1 + random.random() + np.random.rand()) + torch.randn_like(z)
        return self.head(z)

class Running(Net):
    def middle(self):
        return nn.BatchNorm1d(4)

class Between(Net):
    def forward(self, x):
        return self.head(self.features(x).relu())

class OnlyHeadTrains(Net):
    def __init__(self, x_shape, outputs):
        super().__init__(x_shape, outputs)
        self.features.requires_grad_(False)

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]

class Layer(nn.Module):
    def forward(self, z):
        return self.compute(z)

class OldFunction(Net):
    class middle(Layer):
        def compute(self, z):
            return Square.apply(z)

class Checkpointed(Net):
    class middle(Layer):
        def compute(self, z):
            return checkpoint(torch.tanh, z, use_reentrant=False)

class Numbers(Net):
    class middle(Layer):
        def compute(self, z):
            return z * float(z.detach().numpy().mean())

class Bags(Net):
    class middle(Layer):
        def __init__(self):
            super().__init__()
            self.bag = nn.EmbeddingBag(3, 4)
        def compute(self, z):
            return z + self.bag((z.detach().abs() * 3).long() % 3)

class OnlyInTraining(Net):
    class middle(Layer):
        def compute(self, z):
            return z if self.training else z[:, :3]
"""


@pytest.fixture
def cell(tmp_path: Path):
    def cell(name: str, algorithm: str = "maml", *changes: str) -> Cell:
        (tmp_path / "nets.py").write_text(NETS)
        path = tmp_path / "own.toml"
        text = SUITE.replace("NETS", str(tmp_path / "nets.py")).replace("NAME", name)
        path.write_text(text.replace("ALGORITHM", algorithm))
        return next(iter(expand(load_suite(str(path), changes))))

    return cell


@pytest.mark.parametrize(
    ("name", "algorithm", "message"),
    [
        ("OldFunction", "maml", r"in its layer 'features\.1' \(middle\).*nets\.py, line .*setup_context`"),
        ("Checkpointed", "maml", r"in its layer 'features\.1' \(middle\).*leave out torch\.utils\.checkpoint"),
        ("Numbers", "maml", r"in its layer 'features\.1' \(middle\).*compute with torch alone"),
        ("Bags", "maml", r"in its layer 'features\.1\.bag' \(EmbeddingBag\).*second derivative, or take fomaml"),
        ("OnlyInTraining", "maml", r"cannot be tested by maml in its layer 'head' \(Linear\).*mat1 and mat2"),
        ("Between", "anil", r"ANIL needs a network with forward\(x\) = head\(features\(x\)\).* Between does something"),
        ("OnlyHeadTrains", "boil", "BOIL adapts the body"),
    ],
)
def test_what_cannot_be_meta_trained_is_told_before_training(cell, name, algorithm, message):
    with pytest.raises(UserError, match=message) as found:
        check([cell(name, algorithm)])
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "algorithm"), [("Net", "anil"), ("Dropout", "maml"), ("Bags", "fomaml"), ("OnlyHeadTrains", "anil")]
)
def test_what_can_is_let_through(cell, name, algorithm):
    before = torch.get_rng_state()
    check([cell(name, algorithm)])
    assert torch.equal(torch.get_rng_state(), before)


class Stop(Exception): ...


@pytest.mark.parametrize("name", ["Dropout", "OwnNoise"])
@pytest.mark.parametrize("engine", ["auto", "vmap traced"])
def test_random_layers_resume_to_the_last_bit(cell, tmp_path, name, engine):
    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == 5:
            raise Stop

    one, machine = cell(name), Machine("cpu", engine=engine, checkpoint_seconds=0)
    torch.manual_seed(1)
    run_cell(one, tmp_path / "whole", machine)
    torch.manual_seed(2)
    with pytest.raises(Stop):
        run_cell(one, tmp_path / "parts", machine, interrupt)
    run_cell(one, tmp_path / "parts", machine)
    whole, parts = (results.read(tmp_path / folder, "own") for folder in ("whole", "parts"))
    assert whole.curves["loss"].equals(parts.curves["loss"])
    assert whole.episodes.equals(parts.episodes)


def test_dropout_is_on_in_training_and_off_at_test(cell):
    context = TrainingContext(cell("Dropout"), Machine("cpu"))
    x = torch.ones(20, 1)
    train, test = context.bind(context.training_spec), context.bind(context.training_spec, test=True)
    assert not torch.equal(train.forward(context.meta, x), train.forward(context.meta, x))
    assert torch.equal(test.forward(context.meta, x), test.forward(context.meta, x))


def test_what_was_changed_in_a_network_is_said_and_recorded(cell, tmp_path, caplog):
    one = cell("Running")
    run_cell(one, tmp_path, Machine("cpu"))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("uses the statistics of its batch" in text for text in said) == 1
    assert any("uses the statistics of its batch" in note for note in results.read(tmp_path, "own").notes)


def test_frozen_parameters_are_in_no_checkpoint_and_keep_their_values(cell, tmp_path):
    one = cell("OnlyHeadTrains", "reptile")
    run_cell(one, tmp_path, Machine("cpu"))
    state = torch.load(one.folder(tmp_path) / "checkpoint.pt", weights_only=True)
    assert set(state["selected"]) == {"head.weight", "head.bias"}
    again = TrainingContext(dataclasses.replace(one), Machine("cpu"))
    assert set(again.meta) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("select", ["best", "last"])
def test_it_is_said_where_a_validation_split_chooses_nothing(tiny_suite, select):
    splits = [{"name": "old", "role": "meta-train"}, {"name": "val", "role": "meta-val"}]
    cells = expand(load_suite(str(tiny_suite("waves", splits=splits, training={"select": select}))))
    said = [note for note in check(cells) if "meta-val" in note]
    assert [note.split(";")[0] for note in said] == (
        ["Split 'val' of the role meta-val chooses no checkpoint, for select = 'last'"] if select == "last" else []
    )
