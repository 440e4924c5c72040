"""`shift` of a split: what it changes of cells and of what is scored."""

from __future__ import annotations

import dataclasses

import pytest

from metagap import registry
from metagap.errors import UserError
from metagap.suite import expand, load_suite

PLUGIN = """
import dataclasses
from metagap.tasks.corruptions.contrast import CONTRAST
DIM = dataclasses.replace(CONTRAST, name="dim", levels=(0.9, 0.8, 0.7, 0.6, 0.5))
"""


def splits(**changes):
    noisy = {"name": "noisy", "role": "cross-domain", "classes": "test", **changes}
    return [{"name": "new", "role": "in-distribution", "classes": "test"}, noisy]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shift": {"kind": "gausian-noise", "severity": 1}}, r"splits\.noisy\.shift: key 'kind': unknown shift 'gausian-noise'; did you mean 'gaussian-noise'\?"),  # noqa: E501
        ({"shift": {"kind": "jpeg", "severity": 6}}, r"splits\.1\.shift\.severity' = 6: .*less than or equal to 5"),
        ({"shift": {"kind": "jpeg", "severity": 0}}, r"splits\.1\.shift\.severity' = 0: .*greater than or equal to 1"),
        ({"shift": {"kind": "jpeg"}}, r"key 'splits\.1\.shift\.severity' is missing"),
        ({"shift": {"kind": "jpeg", "severity": 2}, "role": "recurring-task"}, r"splits\.noisy: key 'shift': role recurring-task is about images as they are"),  # noqa: E501
        ({"shift": {"kind": "gone.py:DIM", "severity": 1}}, r"splits\.noisy\.shift: key 'kind': no file 'gone\.py'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes, message, tiny_suite):
    with pytest.raises(UserError, match=message):
        load_suite(str(tiny_suite("images", splits=splits(**changes))))


def test_waves_have_no_images(tiny_suite):
    shifted = [{"name": "w", "role": "cross-domain", "shift": {"kind": "jpeg", "severity": 1}}]
    with pytest.raises(UserError, match=r"splits\.w: key 'shift': 'sinusoid' is no source of images"):
        load_suite(str(tiny_suite(splits=shifted)))


def test_a_shift_is_part_of_what_a_split_shows_and_of_no_training(tiny_suite, monkeypatch, tmp_path):
    (tmp_path / "dim.py").write_text(PLUGIN)

    def cell(**changes):
        return expand(load_suite(str(tiny_suite("images", splits=splits(**changes)))))[0]

    plain, dim = cell(), f"{tmp_path / 'dim.py'}:DIM"
    noisy = [
        {"shift": {"kind": kind, "severity": n}} for kind, n in (("jpeg", 1), ("jpeg", 2), ("contrast", 1), (dim, 1))
    ]
    cells = [plain, *(cell(**one) for one in noisy)]
    assert len({one.hash for one in cells}) == 1
    assert len({one.variant for one in cells}) == len({one.split_data["noisy"] for one in cells}) == len(cells)
    assert len({one.split_data["new"] for one in cells}) == 1

    corrected = dataclasses.replace(registry.load("shift", "jpeg"), revision=2)
    monkeypatch.setattr("metagap.tasks.corruptions.jpeg.JPEG", corrected)
    later = cell(**noisy[0])
    assert (
        later.split_data["noisy"] != cells[1].split_data["noisy"] and later.split_data["new"] == plain.split_data["new"]
    )
