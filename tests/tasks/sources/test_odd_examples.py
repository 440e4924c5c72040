"""Files of series, texts and sounds as people have them: each is read right, or refused in one message."""

from __future__ import annotations

import cmath
import json
import math
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from sklearn.feature_extraction.text import TfidfTransformer

from metagap.errors import UserError
from metagap.tasks.episode import TaskSpec
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.source import Part
from metagap.tasks.sources.audio import AudioSource
from metagap.tasks.sources.mel import log_mel
from metagap.tasks.sources.series import SeriesSource
from metagap.tasks.sources.texts import TextSource
from metagap.tasks.sources.ucr import UCRSource

HEAD = "@problemName P\n@timeStamps false\n@univariate false\n@dimensions 2\n@classLabel true a b\n@data\n"
TS = HEAD + "1,2,3:4,5,6:a\n7,?,9:1,1,1:b\n"
PLAIN = "@problemName P\n@classLabel true a b\n@data\n"
ARFF = "@relation P\n@attribute t0 numeric\n@attribute t1 numeric\n@attribute target {a,b}\n@data\n1,2,a\n3,?,b\n"
RELATIONAL = (
    "@relation P\n@attribute r relational\n@attribute t0 numeric\n@attribute t1 numeric\n@attribute t2 numeric\n"
    "@end r\n@attribute target {a,b}\n@data\n'1,2,3\\n4,5,6',a\n'7,?,9\\n1,1,1',b\n"
)
STEPS = [("2020-01-01", 1, "a"), ("2020-01-02", 2, "a"), ("2020-01-03", 3, "b"), ("2020-01-04", 4, "b")]
TEXTS = "text,target\nthe cat sat,pet\na dog ran,pet\nred car,thing\nold car,thing\n"


def steps(rows: list[tuple[Any, ...]] = STEPS, head: str = "day,level,state") -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def series(**options: Any) -> Callable[[Path], RecordSource]:
    return lambda path: SeriesSource(**{"file": str(path), "target": "state", "time": "day", "window": 2, **options})


def ucr(**options: Any) -> Callable[[Path], RecordSource]:
    return lambda path: UCRSource(**{"file": str(path), **options})


def text(**options: Any) -> Callable[[Path], RecordSource]:
    return lambda path: TextSource(**{"file": str(path), "dimensions": 16, **options})


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


NAN = float("nan")
TWO = [[[1, 2, 3], [4, 5, 6]], [[7, NAN, 9], [1, 1, 1]]]
DAYS = [[[1, 2]], [[3, 4]]]
RIGHT: dict[str, tuple[str, str | bytes, Callable[[Path], RecordSource], list[Any], str]] = {
    ".ts": ("p.ts", TS, ucr(), TWO, "1 of 12 values are missing"),
    ".ts with remarks that are no UTF-8": ("p.ts", b"# caf\xe9\n" + TS.encode(), ucr(), TWO, ""),
    ".ts of other lengths": ("p.ts", PLAIN + "1,2,3:a\n4:b\n", ucr(length=2), [[[1, 2]], [[4, NAN]]], "1 to 3 steps"),
    ".arff": ("p.arff", ARFF, ucr(), [[[1, 2]], [[3, NAN]]], ""),
    ".arff of several channels": ("p.arff", RELATIONAL, ucr(), TWO, ""),
    "steps in no order": ("s.csv", steps(STEPS[::-1]), series(), DAYS, "put in the order of 'day'"),
    "dates with points": ("s.csv", steps([(f"{13 + i}.01.2020", *row[1:]) for i, row in enumerate(STEPS)]), series(),
                          DAYS, ""),
    "a missing value": ("s.csv", steps([*STEPS[:3], ("2020-01-04", "", "b")]), series(), [[[1, 2]], [[3, NAN]]],
                        "count as the mean"),
    "a column of remarks": ("s.csv", steps([(*row, "fine") for row in STEPS], "day,level,state,note"), series(), DAYS,
                            "left out, as no columns of numbers: note"),
}  # fmt: skip
REFUSED: dict[str, tuple[str, str | bytes, Callable[[Path], RecordSource], str]] = {
    "an empty .ts": ("p.ts", "", ucr(), "no line @data"),
    ".ts without @data": ("p.ts", HEAD.replace("@data", ""), ucr(), "no line @data"),
    ".ts without series": ("p.ts", HEAD, ucr(), "holds no series"),
    ".ts with timestamps": ("p.ts", TS.replace("false", "true", 1), ucr(), "allowed: @timeStamps false"),
    ".ts without classes": ("p.ts", TS.replace("true a b", "false"), ucr(), "allowed: @classLabel true"),
    ".ts with another class": ("p.ts", TS.replace(":b", ":c"), ucr(), "line 8: class 'c'; allowed: a, b"),
    ".ts with another channel": ("p.ts", TS.replace("7,?,9:", ""), ucr(), "line 8: 1 channels; allowed: 2"),
    ".ts with a word": ("p.ts", TS.replace("?", "x"), ucr(), "line 8: could not convert string to float: 'x'"),
    ".ts of one class": ("p.ts", PLAIN + "1,2:a\n3,4:a\n", ucr(), "needs two classes or more, and there are 1"),
    ".ts of other lengths, with none set": ("p.ts", PLAIN + "1,2,3:a\n4:b\n", ucr(), "1 to 3 steps; set `length`"),
    "an empty .arff": ("p.arff", "", ucr(), "no line @data"),
    ".arff with texts": ("p.arff", ARFF.replace("t0 numeric", "t0 string"), ucr(), "String attributes not supported"),
    ".arff without a class": ("p.arff", ARFF.replace("{a,b}", "numeric").partition("1,2,a")[0], ucr(),
                              "allowed: nominal, the class"),
    ".arff with another class": ("p.arff", ARFF.replace(",b\n", ",c\n"), ucr(), "c value not in"),
    "half of a pair": ("P_TRAIN.ts", TS, lambda path: UCRSource(file=str(path.parent / "P")), "without the other"),
    "an empty table": ("s.csv", "", series(), "is empty"),
    "no such column": ("s.csv", steps(), series(target="stat"), "target = 'stat': there is no such column; did"),
    "one class": ("s.csv", steps([(*row[:2], "a") for row in STEPS]), series(), "two classes or more"),
    "two rows at a time": ("s.csv", steps([STEPS[0], *STEPS]), series(), "two rows at 2020-01-01; allowed"),
    "dates as words": ("s.csv", steps([("monday", *row[1:]) for row in STEPS]), series(), "'monday' and others are"),
    "dates that are not clear": ("s.csv", steps([(f"0{i}/01/2020", 1, "a") for i in range(1, 5)]), series(), "first"),
    "no run is long enough": ("s.csv", steps(), series(window=3), "window = 3: an example is 3 steps"),
    "words in a channel": ("s.csv", steps([*STEPS, ("2020-01-05", "low", "b")]), series(channels=["level"]), "'low'"),
    "an infinite value": ("s.csv", steps([*STEPS, ("2020-01-05", "inf", "b")]), series(), "1 infinite values"),
    "forecasts without tasks": ("s.csv", steps(), series(kind="regression", target="level"), "needs `task`"),
    "a broken line of JSON": ("t.jsonl", '{"text": "a", "target": "b"}\n{"text": "a"\n', text(), "line 2: no JSON"),
    "a list as a line of JSON": ("t.jsonl", "[1]\n", text(), "line 1: no object"),
    "JSON that is no UTF-8": ("t.jsonl", b'{"text": "caf\xe9"}\n', text(), "is no UTF-8"),
    "no line of JSON": ("t.jsonl", "\n", text(), "is empty"),
    "no text": ("t.csv", TEXTS.replace("text", "words"), text(), "text = 'text': there is no such column"),
    "blank texts only": ("t.csv", 'text,target\n" ",a\n" ",b\n', text(), "text = 'text': no row has a value"),
    "texts of one class": ("t.csv", TEXTS.replace("thing", "pet"), text(), "needs two classes or more"),
}  # fmt: skip


def read(made: RecordSource) -> Records:
    """The records, checked as all are."""
    return made._read().records


@pytest.mark.parametrize("case", RIGHT)
def test_is_read_right(tmp_path, case):
    name, data, source, x, note = RIGHT[case]
    records = read(source(written(tmp_path, name, data)))
    np.testing.assert_array_equal(records.x, np.array(x, np.float32))
    assert records.y.tolist() == [0, 1] and list(records.classes) == ["a", "b"]
    assert note in "; ".join(records.notes)


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(tmp_path, case):
    name, data, source, message = REFUSED[case]
    path = written(tmp_path, name, data)
    with pytest.raises(UserError) as refused:
        read(source(path))
    said = str(refused.value)
    assert message in said and ("/P" if case == "half of a pair" else name) in said and "\n" not in said


def test_a_pair_is_two_domains(tmp_path):
    for part in ("TRAIN", "TEST"):
        written(tmp_path, f"P_{part}.ts", TS)
    records = read(UCRSource(file=str(tmp_path / "P")))
    assert records.domain is not None and records.domain.tolist() == ["train", "train", "test", "test"]


def test_blank_texts_are_left_out_and_lines_of_json_are_rows(tmp_path):
    table = read(text()(written(tmp_path, "t.csv", TEXTS + '" ",pet\n')))
    assert len(table.x) == 4 and "1 rows without 'text' left out" in table.notes
    rows = [dict(zip(("text", "target"), line.split(","), strict=True)) for line in TEXTS.splitlines()[1:]]
    lines = read(text()(written(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))))
    np.testing.assert_array_equal(table.x, lines.x)


def tone(rate: int) -> np.ndarray:
    """A second of 440 Hz."""
    return np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2


def of_24_bits(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 3, 8000, 0, "NONE", ""))
        whole = (tone(8000) * 2**23).astype("<i4")
        file.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())


def sounds(place: Path, write: Callable[[Path], Any], **options: Any) -> RecordSource:
    """A sound for each of two classes."""
    for name in ("a", "b"):
        (place / name).mkdir(parents=True)
        write(place / name / "x.wav")
    return AudioSource(**{"folder": str(place), "rate": 8000, "mels": 20, **options})


FORMS: dict[str, Callable[[Path], Any]] = {
    "16 bits": lambda path: wavfile.write(path, 8000, (tone(8000) * 2**15).astype(np.int16)),
    "8 bits": lambda path: wavfile.write(path, 8000, (tone(8000) * 2**7 + 128).round().astype(np.uint8)),
    "24 bits": of_24_bits,
    "stereo": lambda path: wavfile.write(path, 8000, np.stack([tone(8000) * 2, 0 * tone(8000)], 1)),
    "another rate": lambda path: wavfile.write(path, 44100, tone(44100)),
}


@pytest.mark.parametrize("form", FORMS)
def test_sounds_of_any_form_are_alike(tmp_path, form):
    plain = read(sounds(tmp_path / "plain", lambda path: wavfile.write(path, 8000, tone(8000))))
    power, wanted = np.exp(read(sounds(tmp_path / form, FORMS[form])).x), np.exp(plain.x)
    assert power.shape == (2, 20, 98) and list(plain.classes) == ["a", "b"]
    inner = np.s_[:, :, 2:-2]  # resampling rings at the ends
    assert np.abs(power - wanted)[inner].max() < 0.02 * wanted.max()


def test_short_sounds_end_with_silence_and_long_ones_are_cut(tmp_path):
    short = read(sounds(tmp_path / "short", lambda path: wavfile.write(path, 8000, tone(8000)[:4000])))
    assert np.allclose(short.x[:, :, 50:], np.log(1e-6)) and (short.x[:, :, :48].max(1) > 0).all()
    assert "2 of 2 sounds are filled up with silence, to 1 s" in short.notes
    long = read(sounds(tmp_path / "long", FORMS["16 bits"], seconds=0.5))
    assert long.x.shape == (2, 20, 48) and "2 of 2 sounds are cut, to 0.5 s" in long.notes


def truncated(path: Path) -> None:
    FORMS["16 bits"](path)
    path.write_bytes(path.read_bytes()[:-1001])


BAD_SOUNDS: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "truncated": (truncated, {}, "a/x.wav' cannot be read: Reached EOF"),
    "an empty file": (lambda path: path.write_bytes(b""), {}, "a/x.wav' cannot be read"),
    "no sound": (lambda path: path.write_text("hello, hello, hello"), {}, "a/x.wav' cannot be read"),
    "no samples": (lambda path: wavfile.write(path, 8000, tone(8000)[:0]), {}, "a/x.wav' holds no sound"),
    "NaN": (lambda path: wavfile.write(path, 8000, tone(8000) * NAN), {}, "a/x.wav' holds values that are no numbers"),
    "narrow bands": (FORMS["8 bits"], {"mels": 300}, "mels = 300: bands are narrower than the 40 Hz"),
    "another layout": (FORMS["8 bits"], {"layout": "task/class"}, "'a/x.wav' is not in TASK/CLASS/FILE"),
    "no folder": (FORMS["8 bits"], {"folder": "gone"}, "audio:gone: there is no such folder"),
    "no files": (lambda path: None, {}, "there are no .wav or .flac files"),
}


@pytest.mark.parametrize("case", BAD_SOUNDS)
def test_bad_sounds_are_refused(tmp_path, case):
    write, options, message = BAD_SOUNDS[case]
    with pytest.raises(UserError) as refused:
        read(sounds(tmp_path / "sounds", write, **options))
    assert message in str(refused.value)


def test_flac_is_read_or_its_extra_named(tmp_path):
    path = tmp_path / "a" / "x.flac"
    try:
        import soundfile
    except ImportError:
        sounds(tmp_path, lambda wav: wav.with_suffix(".flac").write_bytes(b""))
        with pytest.raises(UserError, match=r"x\.flac' needs soundfile: pip install 'metagap\[audio\]'"):
            read(AudioSource(folder=str(tmp_path)))
        return
    made = sounds(tmp_path, lambda wav: soundfile.write(wav.with_suffix(".flac"), tone(8000), 8000))
    assert path.exists() and read(made).x.shape == (2, 20, 98)


def test_log_mel_against_its_formula():
    """Sums over samples and frequencies, written out."""
    rate, mels, samples = 2000, 5, np.random.default_rng(0).normal(size=120)
    mel = lambda f: 2595 * math.log10(1 + f / 700)  # noqa: E731
    edges = [700 * (10 ** (mel(rate / 2) * i / (mels + 1) / 2595) - 1) for i in range(mels + 2)]
    found = log_mel(torch.from_numpy(samples.astype(np.float32)), rate, mels)
    assert found.shape == (mels, 4)  # frames of 50 samples every 20
    for frame, band in [(0, 0), (1, 2), (3, 4)]:
        total = 0.0
        for k in range(26):
            hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 50) for n in range(50)]
            part = sum(hann[n] * samples[20 * frame + n] * cmath.exp(-2j * math.pi * k * n / 50) for n in range(50))
            low, middle, high = edges[band : band + 3]
            f = k * rate / 50
            weight = max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle)))
            total += weight * abs(part) ** 2
        assert found[band, frame].item() == pytest.approx(math.log(total + 1e-6), rel=1e-4)


def test_texts_are_weighted_by_the_training_texts(tmp_path):
    """Against scikit-learn's own weights, of the part train only."""
    rows = [f"w{i % 7} w{i % 3} both,class {i % 6}" for i in range(60)]
    made = text(dimensions=32)(written(tmp_path, "t.csv", "\n".join(["text,target", *rows])))
    store, training = made.tasks(Part("test"), "cpu"), made.tasks(Part("train"), "cpu")
    counts = training.examples[training.rows].numpy()
    weights = TfidfTransformer(norm=None).fit(counts != 0).idf_
    spec = TaskSpec("classification", len(store.classes), 1, 1)
    draw = store.draw(1, spec, torch.Generator().manual_seed(0))
    episode = store.episode(draw, spec)
    wanted = store.examples[draw.rows[0, :, 0]].numpy() * weights
    np.testing.assert_allclose(episode.support_x[0].numpy(), wanted, rtol=1e-5)
    assert not np.allclose(weights, TfidfTransformer(norm=None).fit(store.examples.numpy() != 0).idf_)
