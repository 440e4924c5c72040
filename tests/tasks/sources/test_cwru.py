"""CWRU's recordings, from small MATLAB files with the names and variables that the publishers give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import io

from metagap.errors import UserError
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.cwru import CWRU, FIRST

NUMBERS = [first + load for first in FIRST.values() for load in range(4)]


def write(folder: Path, number: int, length: int = 25, pattern: str = "{}.mat", **others: np.ndarray) -> np.ndarray:
    """A recording (length, 1) at both ends of the motor, and its speed."""
    values = np.random.default_rng(number).normal(size=(length, 1))
    own = {f"X{number:03}_DE_time": values, f"X{number:03}_FE_time": -values, f"X{number:03}RPM": np.array([[1797]])}
    folder.mkdir(parents=True, exist_ok=True)
    io.savemat(folder / pattern.format(number), others | own)
    return values[:, 0]


@pytest.fixture
def recordings(data) -> dict[int, np.ndarray]:
    return {number: write(data / "cwru", number) for number in NUMBERS}


def test_classes_are_faults_and_domains_loads(recordings):
    records = CWRU(window=10).records()
    assert records.x.shape == (80, 1, 10) and len(records.classes) == 10
    place = 2 * NUMBERS.index(211)  # under two horsepower
    assert records.classes[records.y[place]] == "inner race 21 mils"
    assert records.domain is not None and records.domain[place] == "2 hp"
    np.testing.assert_allclose(records.x[place : place + 2].ravel(), recordings[211][:20], rtol=1e-6)
    assert np.bincount(records.y).tolist() == [8] * 10
    store = CWRU(window=10, domains=["0 hp", "1 hp"]).tasks(Part(), "cpu")
    assert store.size.tolist() == [4] * 10
    examine(store, TaskSpec("classification", 3, 1, 2))


def test_a_second_recording_in_a_file_does_not_count(data, recordings):
    """As in 99.mat, which has that of 98.mat, too, and before its own."""
    write(data / "cwru", 99, X098_DE_time=np.zeros((25, 1)))
    np.testing.assert_allclose(CWRU(window=25).records().x[2, 0], recordings[99], rtol=1e-6)


def test_files_may_have_longer_names_and_other_variables(data):
    for number in NUMBERS:
        write(data / "cwru" / "12k", number, pattern="12k_Drive_End_IR007_0_{}.mat" if number > 104 else "{}.mat")
    io.savemat(data / "cwru" / "12k" / "97.mat", {"X096_DE_time": np.ones((25, 1))})
    assert CWRU(window=25).records().x[0, 0].tolist() == [1] * 25


def test_what_is_not_right_is_refused(data, recordings):
    def refused(message: str, window: int = 10) -> None:
        with pytest.raises(UserError, match=f"^CWRU: {message}"):
            CWRU(window=window).records()

    refused(r"window = 26: '.*97\.mat' is shorter", window=26)
    io.savemat(data / "cwru" / "98.mat", {"X1_DE_time": np.ones(3), "X2_DE_time": np.ones(3)})
    refused(r"'.*98\.mat' holds 'X1_DE_time', 'X2_DE_time'; allowed: X098_DE_time")
    io.savemat(data / "cwru" / "98.mat", {"X098_FE_time": np.ones(3)})
    refused(r"'.*98\.mat' holds nothing; allowed: X098_DE_time")
    (data / "cwru" / "98.mat").write_bytes(b"<html>no such file</html>" * 10)
    refused(r"'.*98\.mat' is no readable MATLAB file")
    (data / "cwru" / "98.mat").unlink()
    refused(r"no file '.*98\.mat'; fetch it with `metagap data get cwru")
    assert len({remote.url for remote in CWRU().addresses()}) == 40
