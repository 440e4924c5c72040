"""The set-up of a process that computes."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from metagap.engine import process


def test_one_thread_and_what_the_user_set_stays(monkeypatch):
    called = {}
    libc = SimpleNamespace(mallopt=lambda option, value: called.update({option: value}))
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    process.set_up()
    assert torch.get_num_threads() == 1
    assert called == {-4: 0, -1: -1}


def test_a_malloc_without_options_is_left_alone(monkeypatch):
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: SimpleNamespace())
    process.set_up()
