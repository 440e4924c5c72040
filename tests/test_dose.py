"""`[[responses]]`: the splits that they stand for, and how these are scored."""

from __future__ import annotations

import numpy as np
import pytest

from metagap.analysis.grids import Grids
from metagap.api import run
from metagap.errors import UserError
from metagap.report.figures.samples import pictures
from metagap.report.frames import Frames
from metagap.results import read
from metagap.suite import load_suite, written_suite

TURNED = {"name": "turned", "key": "source.rotation", "values": [20, 40.5]}
NOISY = {"name": "noisy", "shift": "gaussian-noise", "values": [1, 5], "reference": "digits", "episodes": 4}


def test_responses_are_splits(tiny_suite):
    suite = load_suite(str(tiny_suite("images", responses=[TURNED, NOISY])))
    shifted = {split.name: split for split in suite.splits if split.role == "shifted"}
    assert list(shifted) == ["turned 20", "turned 40.5", "noisy 1", "noisy 5"]
    new, digits = suite.split("new"), suite.split("digits")
    turned, noisy = shifted["turned 40.5"], shifted["noisy 5"]
    assert turned.source == {**new.source, "rotation": 40.5} and turned.classes == "test" and turned.shift is None
    assert (noisy.source, noisy.classes, noisy.episodes) == (digits.source, digits.classes, 4)
    assert noisy.shift.model_dump() == {"kind": "gaussian-noise", "severity": 5}
    assert turned.dose.model_dump() == {"of": "turned", "strength": 40.5, "reference": "new", "neutral": 0.0}
    assert [split.name for split in written_suite(str(tiny_suite("images", responses=[TURNED]))).splits][
        -1
    ] == "turned 40.5"
    by_range = {
        "name": "wide",
        "key": "source.amplitude",
        "values": [[0.1, 10], [0.1, 20]],
        "strengths": [2, 4],
        "neutral": 1,
    }
    waves = load_suite(str(tiny_suite(responses=[by_range | {"reference": "square"}])))
    assert [(one.name, one.source["amplitude"], one.source["waveform"]) for one in waves.splits[-2:]] == [
        ("wide 2", [0.1, 10.0], "square"),
        ("wide 4", [0.1, 20.0], "square"),
    ]


WRONG = [
    ({"values": [0, 10]}, r"responses\.turned: a strength is 0, which is neutral"),
    ({"values": [-10, 10]}, r"responses\.turned: strengths lie on both sides of neutral = 0"),
    ({"values": ["a"]}, r"responses\.turned: values has 'a', which is no number; `strengths` says"),
    ({"values": []}, r"responses\.turned: key 'values'"),
    ({"values": None}, r"responses\.turned: key 'values' is missing"),
    ({"strengths": [1]}, r"responses\.turned: 1 strengths for 2 values"),
    ({"key": "ways"}, r"responses\.turned: key = 'ways'; allowed: a key of the source"),
    ({"key": "source.rotatoin"}, r"responses\.turned\.source: unknown key 'rotatoin'; did you mean 'rotation'"),
    ({"shift": "jpeg"}, r"responses\.turned: a response has either key or shift"),
    ({"key": None, "shift": "jpeg", "values": [0]}, r"responses\.turned: values has 0; allowed: severities from"),
    ({"key": None, "shift": "jpg", "values": [1]}, r"responses\.turned\.shift: key 'kind': unknown shift 'jpg'"),
    ({"reference": "nwe"}, r"responses\.turned: key 'reference' = 'nwe': there is no such split; did you mean 'new'"),
    ({"nam": 3}, r"responses\.turned: unknown key 'nam'; did you mean 'name'"),
]  # fmt: skip


@pytest.mark.parametrize("changes, message", WRONG)
def test_what_is_wrong_is_said(changes, message, tiny_suite):
    row = {key: value for key, value in {**TURNED, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=message) as error:
        load_suite(str(tiny_suite("images", responses=[row])))
    assert len(str(error.value).splitlines()) == 1


def test_splits_of_the_role_are_checked(tiny_suite):
    new = {"name": "new", "role": "in-distribution", "classes": "test"}
    dose = {"of": "r", "strength": 1, "reference": "new"}
    for split, message in (
        ({}, "role shifted and key 'dose' go together"),
        ({"dose": dose | {"reference": "s"}}, "responses.r: key 'reference' = 's'; allowed: new"),
        ({"dose": dose, "ways": 2}, "split 's' has other ways than 'new'"),
    ):
        shifted = {"name": "s", "role": "shifted", "classes": "test", **split}
        with pytest.raises(UserError, match=message):
            load_suite(str(tiny_suite("images", splits=[new, shifted])))
    leak = {"name": "s", "role": "shifted", "classes": "train", "dose": dose, "shift": {"kind": "jpeg", "severity": 1}}
    with pytest.raises(UserError, match="role shifted must not contain training classes"):
        load_suite(str(tiny_suite("images", splits=[new, leak])))
    with pytest.raises(UserError, match="none is for the test"):
        load_suite(str(tiny_suite("images", splits=[{**leak, "classes": "test"}])))


def test_a_response_is_scored_on_the_tasks_of_its_reference(tiny_suite, tmp_path, in_process):
    same = {"name": "same", "key": "source.rotation", "values": [0.0], "strengths": [1], "episodes": 4}
    suite = tiny_suite("images", responses=[same, NOISY], evaluation={"curve_steps": 2, "diagnostics": ["open"]})
    run(str(suite), results=tmp_path / "results", engine="loop plain eager", algorithms=["maml"])
    results = read(tmp_path / "results", "tiny")
    rows = results.episodes[results.episodes["role"] == "shifted"]
    assert set(rows["condition"]) == {"standard"} and set(rows["step"]) == {1}
    assert rows.groupby("split", observed=True)["episode"].nunique().to_dict() == {
        "same 1": 4,
        "noisy 1": 4,
        "noisy 5": 4,
    }

    grids = Grids(results)
    home, again = grids.get("maml", "new"), grids.get("maml", "same 1")
    assert home is not None and again is not None
    np.testing.assert_array_equal(home.to_numpy()[:, :4], again.to_numpy())  # the same tasks, not shifted at all
    assert list(grids.splits.index) == ["old", "new", "digits"] and list(grids.shifted.index) == [
        "same 1",
        "noisy 1",
        "noisy 5",
    ]
    clear, noisy = (results.samples[name]["query_x"] for name in ("digits", "noisy 5"))
    assert clear.shape == noisy.shape and not np.array_equal(clear, noisy)
    assert results.suite.split("noisy 5").dose.of == "noisy"  # of a record

    frames = Frames.of(results)
    assert set(frames.splits) == {"old", "new", "digits"} and "shifted" not in {
        role for role, _ in frames.split_groups()
    }
    assert [picture.title for picture in pictures(frames)] == ["old", "new", "digits"]
