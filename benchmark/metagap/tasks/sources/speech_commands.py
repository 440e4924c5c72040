"""Speech Commands: single words of many speakers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.sound import read_sound
from metagap.tasks.sources.spectrograms import Spectrograms
from metagap.tasks.sources.stored_records import StoredRecords

FILE = "speech_commands_v0.02.tar.gz"
LISTS = {"validation_list.txt": "val", "testing_list.txt": "test"}
NOISE = "_background_noise_"


class SpeechCommands(StoredRecords, Spectrograms):
    """Speech Commands v0.02: 35 English words, spoken 105,829 times by 2,618 people, a second each.

    A class is a word; classes are dealt into parts by `shares`, as there is no split in general use. The domain is the
    publishers' part of a sound, "train", "val" or "test", which have no speaker in common. Of each word and domain the
    first `examples` are used, in the order of their names, which are hashes of their speakers. Noise is left out.
    """

    title = "Speech-Commands"
    licence = "CC BY 4.0"
    citation = "Warden (2018), Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition"
    download_size = "2.4 GB"
    remotes = (
        Remote(
            f"SpeechCommands/{FILE}",
            f"https://storage.googleapis.com/download.tensorflow.org/data/{FILE}",
            "6b74f3901214cb2c2934e98196829835",
        ),
    )

    examples: PositiveInt = Field(default=100, description="sounds of each word in each domain, at most")

    def paths(self) -> list[Path]:
        """The folder that torchaudio or others have made of the archive, or the archive."""
        folder = FILE.removesuffix(".tar.gz")
        return [self.find(f"SpeechCommands/{folder}", folder, f"SpeechCommands/{FILE}", FILE)]

    def records(self) -> Records:
        """The first sounds of every word and domain."""
        self.check_bands()
        (path,) = self.paths()
        archive = opened(path, self.called)
        listed = {
            line.strip(): LISTS[name]
            for name, data in zip(LISTS, archive.several(*LISTS), strict=True)
            for line in data.decode("utf-8").splitlines()
        }
        chosen: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in sorted(archive.names):
            word, _, file = name.removeprefix("./").partition("/")
            if file.lower().endswith(".wav") and word != NOISE:
                chosen[word, listed.get(f"{word}/{file}", "train")].append(name)
        of = {name: key for key, names in chosen.items() for name in names[: self.examples]}
        if not of:
            raise UserError(f"{self.called}: '{path}' has no sounds; allowed: WORD/NAME.wav")
        names: list[str] = []

        def sounds() -> Iterator[np.ndarray]:
            for name, data in archive.read(of.keys()):
                names.append(name)
                yield read_sound(data, f"{path}/{name}", self.rate, self.called)

        x, notes = self.spectrograms(sounds())
        order = sorted(range(len(names)), key=lambda place: names[place].removeprefix("./"))  # that of a folder
        words, domains = zip(*(of[names[place]] for place in order), strict=True)
        classes, y = np.unique(words, return_inverse=True)
        left = sum(map(len, chosen.values())) - len(of)
        notes += [f"{left:,} further sounds are left out"] if left else []
        return Records(x[order], y, classes.tolist(), domain=np.array(domains), notes=notes)
