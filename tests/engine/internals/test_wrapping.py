"""Tensors inside of function transforms."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, vmap

from metagap.engine.internals import wrapping
from metagap.engine.internals.wrapping import bare

X = torch.arange(6.0).view(2, 3)


def looked_at(transform):
    """What `bare` gives inside of a transform, looked at once this is over."""
    seen = []

    def function(x):
        seen.append(bare(2 * x))
        return x.square().sum()

    transform(function)(X)
    return seen


@pytest.mark.parametrize("transform", [grad, vmap, lambda f: vmap(grad(f)), lambda f: grad(lambda x: vmap(f)(x).sum())])
def test_the_tensor_beneath_all_of_them(transform):
    (found,) = looked_at(transform)
    assert type(found) is torch.Tensor and torch.equal(found, 2 * X) and not found.requires_grad


def test_without_torchs_insides_the_wrapped_one(monkeypatch):
    monkeypatch.setattr(wrapping, "functorch", None)
    (found,) = looked_at(grad)
    assert torch.equal(found, 2 * X)
