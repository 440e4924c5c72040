"""Words of many languages, by how often they are used."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource

SCRIPTS = {
    "Latin": "ca cs da de en es fi fil fr hu id is it lt lv ms nb nl pl pt ro sh sk sl sv tr vi",
    "Cyrillic": "bg mk ru uk",
    "other": "ar bn el fa he hi ja ko ta ur zh",
}
"""The languages of each domain, by their ISO 639 codes."""


class Words(PackagedSource):
    """A few words of one of 42 languages, as counts of hashed groups of letters: which language is it?

    A class is a language, the domain is its script. The most frequent words of each language, or some that are rarer,
    are shuffled and dealt into examples, so that no word is in two examples of a language. Words in which a character
    is no letter are left out.
    """

    licence = "CC BY-SA 4.0 (the word lists of the package wordfreq)"
    citation = "Speer (2022), rspeer/wordfreq: v3.0, Zenodo"

    words: PositiveInt = Field(default=3, description="words of an example")
    examples: PositiveInt = Field(default=300, description="examples of each language")
    skipped: int = Field(default=0, ge=0, description="so many of the most frequent words are left out")
    features: PositiveInt = Field(default=256, description="buckets into which groups of 1 to 3 letters are hashed")

    def paths(self) -> list[Path]:
        """The lists that wordfreq ships, in the order of `SCRIPTS`."""
        languages = " ".join(SCRIPTS.values()).split()
        return self.shipped("wordfreq", *(f"data/small_{language}.msgpack.gz" for language in languages))

    def records(self) -> Records:
        """All examples, (n, features): rows of length 1. The shuffle is always the same."""
        from scipy.sparse import csr_array
        from sklearn.feature_extraction.text import HashingVectorizer

        hashed = HashingVectorizer(analyzer="char_wb", ngram_range=(1, 3), n_features=self.features)
        scripts = [script for script, languages in SCRIPTS.items() for _ in languages.split()]
        texts = [self._texts(path) for path in self.paths()]
        counts = [len(of) for of in texts]
        return Records(
            csr_array(hashed.transform([text for of in texts for text in of])).toarray().astype(np.float32),
            np.repeat(np.arange(len(texts)), counts),
            " ".join(SCRIPTS.values()).split(),
            domain=np.repeat(scripts, counts),
        )

    def _texts(self, path: Path) -> list[str]:
        """The examples of a language."""
        import msgpack  # which wordfreq needs, too

        ranked = [word for band in msgpack.unpackb(gzip.decompress(path.read_bytes()))[1:] for word in band]
        chosen = [word for word in ranked if word.isalpha()][self.skipped :][: self.words * self.examples]
        dealt = np.random.default_rng(0).permutation(len(chosen) // self.words * self.words).reshape(-1, self.words)
        return [" ".join(chosen[i] for i in one) for one in dealt.tolist()]
