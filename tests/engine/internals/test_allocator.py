"""Memory that a process frees."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from metagap.engine import process
from metagap.engine.internals import allocator


def test_what_the_user_set_stays(monkeypatch):
    called = {}
    libc = SimpleNamespace(mallopt=lambda option, value: called.update({option: value}))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    allocator.keep_freed_memory()
    assert called == {-4: 0, -1: -1}


@pytest.mark.parametrize("libc", [SimpleNamespace(), SimpleNamespace(mallopt=lambda *_: 0)], ids=["none", "refuses"])
def test_without_it_numbers_are_the_same(monkeypatch, libc):
    x = torch.randn(200, 200)
    process.set_up()
    kept = x @ x
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: libc)
    process.set_up()
    assert torch.get_num_threads() == 1
    assert torch.equal(x @ x, kept)
