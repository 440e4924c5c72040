from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import registry
from benchmark.suite import suites_folder

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


STAND_IN = '''"""Sources without images."""
from benchmark.tasks.source import ImageSource


class StandIn(ImageSource):
    """Stands in for a source that is not installed."""

    licence = citation = "none"

    def stamp(self): ...
    def read(self): ...
    def parts(self, bank): ...
'''


@pytest.fixture
def every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers what the built-in suites name and an older installation of metagap does not know."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    models = dict(project["entry-points"]["metagap.models"])
    sources = {name: "metagap_stand_ins:StandIn" for name in _named_sources()}
    sources |= project["entry-points"]["metagap.sources"]
    lines = []
    for kind, entries in (("model", models), ("source", sources)):
        missing = entries.keys() - registry.names(kind)
        lines += [f"[metagap.{kind}s]", *(f"{name} = {entries[name]}" for name in sorted(missing)), ""]
    info = tmp_path / "stand-ins" / "metagap_stand_ins-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metagap-stand-ins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
    (info.parent / "metagap_stand_ins.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(info.parent))
    registry._claims.cache_clear()
    yield
    registry._claims.cache_clear()


def _named_sources() -> set[str]:
    """The sources that the built-in suites name."""
    found: set[str] = set()
    for path in suites_folder().glob("*.toml"):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        tables: list[Any] = [table["source"], *(split["source"] for split in table["splits"] if "source" in split)]
        found |= {one if isinstance(one, str) else one["name"] for one in tables}
    return {name for name in found if not name.startswith("path:")}
