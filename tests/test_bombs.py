"""Files that grow without end when they are unpacked are refused by the sizes that they state, before that."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metagap import memory
from metagap.errors import UserError
from metagap.results.files import DamagedError
from metagap.results.tables import read_arrays
from metagap.tasks.sources import UserImages
from metagap.tasks.sources.archives import gunzipped, opened

ZEROS = bytes(2**20)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Bombs of megabytes will do."""
    monkeypatch.setattr(memory, "FREE", 2**18)
    monkeypatch.setattr("metagap.tasks.sources.archives.FREE", 2**18)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_an_npz_bomb(tmp_path):
    path = npz(tmp_path / "bomb.npz", images=np.zeros((1024, 32, 32), np.uint8), labels=np.arange(1024) % 4)
    with pytest.raises(UserError, match=r"bomb\.npz' would grow from .* kB to 1\.1 MB when it is unpacked"):
        UserImages(path=str(path)).store()
    with pytest.raises(DamagedError, match="would grow"):
        read_arrays(path)


def test_what_is_larger_than_half_of_the_memory(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), np.uint8)
    path = npz(tmp_path / "large.npz", images=images, labels=np.arange(64) % 4)
    UserImages(path=str(path)).store()
    monkeypatch.setattr(memory, "installed", lambda: 2**16)
    with pytest.raises(UserError, match=r"large\.npz' takes 66.* when it is unpacked; allowed: half of .* 65\.5 kB"):
        UserImages(path=str(path), image_size=16).store()


@pytest.mark.parametrize("spread", [1, 8])
def test_a_zip_bomb_in_one_file_or_in_several(tmp_path, spread):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(spread):
            archive.writestr(f"a/{i}.png", ZEROS[::spread])
    with pytest.raises(UserError, match=r"Set: '.*bomb\.zip' would grow"):
        opened(path, "Set").names  # noqa: B018


def test_a_zip_member_that_hides_among_others(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/noise.png", np.random.default_rng(0).bytes(2**16))
        archive.writestr("a/zeros.png", ZEROS)
    archive = opened(path, "Set")
    with pytest.raises(UserError, match=r"Set: 'a/zeros\.png' in '.*bomb\.zip' would grow"):
        dict(archive.read(archive.names))


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_a_tar_bomb(tmp_path, packing):
    path = tmp_path / f"bomb.tar.{packing}"
    with tarfile.open(path, f"w:{packing}") as archive:
        member = tarfile.TarInfo("a/0.png")
        member.size = len(ZEROS)
        archive.addfile(member, io.BytesIO(ZEROS))
    with pytest.raises(UserError, match=r"Set: '.*bomb\.tar\.\w+' would grow"):
        opened(path, "Set").names  # noqa: B018


def test_a_gzip_bomb():
    with pytest.raises(UserError, match="would grow"):
        gunzipped(gzip.compress(ZEROS), "idx")
    assert gunzipped(gzip.compress(ZEROS[:9]), "idx") == ZEROS[:9]
