from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither read nor fill the user's data and cache folders."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("METAGAP_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch):
    """Gives the folder of real data that holds a file, or skips the test with the name of the file."""

    def need(file: str) -> Path:
        if not (SHARED_DATA / file).exists():
            pytest.skip(f"needs {file} in the folder of real data")
        monkeypatch.setenv("METAGAP_DATA", str(SHARED_DATA))
        return SHARED_DATA

    return need
