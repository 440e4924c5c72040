"""Speech Commands, from small sounds in the publishers' layout: a folder for each word, and lists of two parts."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from layouts import Files, write_folder, write_tar
from metagap.errors import UserError
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.speech_commands import FILE, SpeechCommands

FOLDER = Path("SpeechCommands") / "speech_commands_v0.02"


def sound(seed: int, count: int = 1600) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, 16000, np.random.default_rng(seed).integers(-9999, 9999, count, dtype=np.int16))
    return buffer.getvalue()


def published(prefix: str = "") -> Files:
    """Three speakers for training, two for validation and one for testing, who say three words."""
    speakers = {f"{i:08x}_nohash_0.wav": i for i in range(6)}
    words = ["yes", "no", "bed"]
    files = {f"{word}/{name}": sound(10 * i + w) for w, word in enumerate(words) for name, i in speakers.items()}
    lists = {"validation_list.txt": [3, 4], "testing_list.txt": [5]}
    for name, chosen in lists.items():
        files[name] = "".join(f"{word}/{i:08x}_nohash_0.wav\n" for word in words for i in chosen).encode()
    files |= {"_background_noise_/pink_noise.wav": sound(99, 4000), "README.md": b"", "LICENSE": b""}
    return {prefix + name: content for name, content in files.items()}


def source(**options) -> SpeechCommands:
    return SpeechCommands(**{"seconds": 0.1, "mels": 8, **options})


def test_classes_are_words_and_domains_the_publishers_parts(data):
    write_folder(data / FOLDER, published())
    records = source().records()
    assert list(records.classes) == ["bed", "no", "yes"] and records.x.shape == (18, 8, 8)
    assert records.domain is not None
    assert Counter(records.domain.tolist()) == {"train": 9, "val": 6, "test": 3}
    assert np.bincount(records.y).tolist() == [6, 6, 6] and not records.notes
    examine(source().tasks(Part(), "cpu"), TaskSpec("classification", 2, 1, 2))
    assert source(domains=["train"]).tasks(Part(), "cpu").size.tolist() == [3, 3, 3]


def test_the_archive_gives_the_same_and_the_first_sounds_are_used(data):
    write_folder(data / FOLDER, published())
    unpacked = source(examples=2).digest()
    (data / FOLDER).rename(data / "elsewhere")
    write_tar(data / "SpeechCommands" / FILE, published("./"))
    assert source(examples=2).digest() == unpacked
    notes = source(examples=2).records().notes
    assert list(notes) == ["3 further sounds are left out"]


def test_what_is_not_right_is_refused(data):
    def refused(message: str, **options) -> None:
        with pytest.raises(UserError, match=f"^Speech-Commands: {message}"):
            source(**options).records()

    refused("no file '.*'; fetch it with `metagap data get speech-commands")
    write_folder(data / FOLDER, {"testing_list.txt": b"", "README.md": b""})
    refused("no file 'validation_list.txt' in")
    write_folder(data / FOLDER, {"validation_list.txt": b""})
    refused("'.*' has no sounds; allowed: WORD/NAME.wav")
    write_folder(data / FOLDER, {"yes/0_nohash_0.wav": sound(0)[:100]})
    refused("'.*yes/0_nohash_0.wav' cannot be read")
    refused("mels = 500: bands are narrower", mels=500)
