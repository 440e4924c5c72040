"""`metagap data` without the command line: what is listed, fetched, checked and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from layouts import by_class, write_zip
from metagap.errors import UserError
from metagap.tasks import catalogue
from metagap.tasks.sources import CIFARFS, Digits, EuroSAT, Omniglot, UserImages
from metagap.tasks.sources.download import Remote

KNOWN = {"cifar-fs": CIFARFS, "digits": Digits, "eurosat": EuroSAT, "omniglot": Omniglot, "path": UserImages}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    """An empty data folder, and a few sources, whatever is installed."""
    monkeypatch.setenv("METAGAP_DATA", str(tmp_path))
    monkeypatch.setattr(catalogue.registry, "names", lambda kind: [*KNOWN, "broken"])
    monkeypatch.setattr(catalogue.registry, "load", load)
    return tmp_path


def load(kind: str, name: str):
    if name == "broken":
        raise UserError("source 'broken' cannot be imported")
    return KNOWN[name]


def write_eurosat(folder: Path, each: int = 2) -> None:
    write_zip(folder / "eurosat" / "EuroSAT.zip", by_class(["Forest", "River"], each, "2750/{name}/{i}.jpg"))


def test_a_part_is_said_to_be_one(data):
    write_eurosat(data)
    rows = {row["name"]: row for row in catalogue.listing()}
    assert list(rows) == ["cifar-fs", "digits", "eurosat", "omniglot"]
    assert rows["eurosat"]["state"] == "here"
    assert rows["eurosat"]["on disk"].endswith(" kB")
    assert rows["eurosat"]["remark"] == "EuroSAT here is a part: 4 of 27,000 images"
    assert rows["digits"]["state"] == "ships with scikit-learn"
    assert rows["omniglot"]["state"] == "not here"
    assert all(row["licence"] and row["citation"] and row["download"] for row in rows.values())
    assert catalogue.verify([]) == [
        {"name": "digits", "state": "ok", "found": "1,797 images of 10 classes"},
        {
            "name": "eurosat",
            "state": "ok",
            "found": "4 images of 2 classes; repacked files; EuroSAT here is a part: 4 of 27,000 images",
        },
    ]


def test_damage_is_listed_and_verified(data):
    write_eurosat(data)
    (data / "eurosat" / "EuroSAT.zip").write_bytes(b"PK")
    row = next(row for row in catalogue.listing() if row["name"] == "eurosat")
    assert (row["state"], row["on disk"]) == ("damaged", "2 bytes")
    assert "is not a readable zip archive" in row["remark"]
    assert [row["state"] for row in catalogue.verify(["eurosat", "omniglot"])] == ["damaged", "missing"]


def test_getting_fetches_what_is_missing(data, monkeypatch, capsys):
    asked = []

    def fetch(remote: Remote, folder: Path, title: str) -> None:
        asked.append((remote.path, remote.md5))
        write_eurosat(folder)

    monkeypatch.setattr("metagap.tasks.sources.published.fetch", fetch)
    catalogue.get("eurosat", Console())
    catalogue.get("eurosat", Console())
    assert asked == [("eurosat/EuroSAT.zip", "c8fa014336c82ac7804f0398fcb19387")]
    assert "already in" in capsys.readouterr().out
    with pytest.raises(UserError, match="Digits: there is nothing to download"):
        Digits().download(data)
    with pytest.raises(UserError, match="data get: no data set 'path'"):
        catalogue.get("path", Console())
    with pytest.raises(UserError, match="source 'broken' cannot be imported"):
        catalogue.get("broken", Console())


def test_what_is_there_already_is_not_fetched_again(data, monkeypatch):
    asked = []
    monkeypatch.setattr("metagap.tasks.sources.published.fetch", lambda remote, *_: asked.append(remote.path))
    write_zip(data / "omniglot-py" / "images_background.zip", {})
    Omniglot().download(data)
    assert asked == ["omniglot-py/images_evaluation.zip"]


def test_leaks_between_parts_and_files(data):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 4, 28, 28), dtype=np.uint8)
    np.savez(data / "one.npz", images=images)
    images[7, :2] = images[2, :2]
    np.savez(data / "two.npz", images=images, class_names=[f"class {i}" for i in range(10)])
    found = catalogue.leaks("path:one.npz", "path:two.npz")
    assert found.classes == []
    assert sum(count for *_, count in found.images) == 38  # two of the forty are there twice
    assert found.size == 28
    parts = catalogue.leaks("path:two.npz:train", "path:two.npz:test")
    assert not parts.classes
    assert parts.first == "path:two.npz:train"
    colour = catalogue.leaks("path:one.npz", "digits")
    assert not colour.images
    assert not colour.notes


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("omniglott:train", "no source of images 'omniglott'; did you mean 'omniglot'"),
        ("digits:test", "no classes 'test' in Digits; allowed: all"),
        ("path:none.npz", "path:none.npz: neither a folder"),
        ("omniglot:train", "metagap data get omniglot"),
    ],
)
def test_leaks_of_nothing(first, message):
    with pytest.raises(UserError, match=message):
        catalogue.leaks(first, "digits")


def test_what_is_known_of_two_sources_is_said(data, monkeypatch):
    write_eurosat(data)
    monkeypatch.setattr(EuroSAT, "related", {"digits": "neither is the other"})
    assert catalogue.leaks("digits", "eurosat").notes == ["neither is the other"]
