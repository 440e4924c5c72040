"""What is known of operations decides what a trace may leave out."""

from __future__ import annotations

import torch

from metagap.engine.internals import operations
from metagap.engine.tracing import peak_bytes, trace

X = torch.arange(6.0)


def twice(x, _):
    return [(x + 1).exp().view(2, 3), (x + 1).exp().view(3, 2)]


def in_place(x, _):
    y = x.clone()
    before = y + 1
    y.mul_(2)
    torch._foreach_add_([y], 1.0)
    return [before, y + 1]


def test_without_schemas_numbers_are_the_same(monkeypatch):
    known = [trace(function, X, X, share=True) for function in (twice, in_place)]
    monkeypatch.setattr(operations, "_schema", lambda _: None)
    for function, trace_known in zip((twice, in_place), known, strict=True):
        blind = trace(function, X, X, share=True)
        assert len(blind.graph.nodes) >= len(trace_known.graph.nodes)
        for found, expected, again in zip(blind(X, X), function(X, X), trace_known(X, X), strict=True):
            assert torch.equal(found, expected)
            assert torch.equal(again, expected)


def test_without_schemas_memory_is_not_taken_for_less(monkeypatch):
    known = peak_bytes(trace(twice, X, X, share=False))
    monkeypatch.setattr(operations, "_schema", lambda _: None)
    assert peak_bytes(trace(twice, X, X, share=False)) >= known


def test_equal_operations_on_unlike_values_are_not_shared():
    """As torch's own pass over such graphs does."""

    def function(x, _):
        zero, other = torch.full((2,), 0.0), torch.full((2,), -0.0)
        return [x * 1, x * 1.0, 1 / zero, 1 / other]

    whole, real, up, down = trace(function, torch.arange(3), X, share=True)(torch.arange(3), X)
    assert (whole.dtype, real.dtype) == (torch.int64, torch.float32)
    assert up[0] > 0 > down[0]


def test_random_numbers_are_not_shared():
    first, second = trace(lambda x, _: [torch.rand_like(x), torch.rand_like(x)], X, X, share=True)(X, X)
    assert not torch.equal(first, second)


def test_what_is_written_in_through_a_view_that_hides_it_is_not_shared():
    """As a linear layer does with its bias, where its input is not contiguous."""

    def function(x, _):
        first, second = (torch.ops.aten._unsafe_view(x * 2, [2, 3]) for _ in range(2))
        return [first.add_(1), second.add_(10)]

    first, second = trace(function, X, X, share=True)(X, X)
    assert torch.equal(first, X.view(2, 3) * 2 + 1)
    assert torch.equal(second, X.view(2, 3) * 2 + 10)
