"""Texts as weighted counts of their words or of runs of characters: what all sources of texts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sources import columns


def _ascending(value: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= value[0] <= value[1]:
        raise ValueError("allowed: the least and the largest length, such as [1, 2]")
    return value


class HashedTexts(RecordSource):
    """A source of texts with a class each. A subclass reads them and calls `hashed`.

    Words, or runs of characters, are hashed into `dimensions` counts, whose vector is scaled to length 1 and, with
    scaling = "train" or "support", multiplied with their inverse document frequencies in the part train.
    """

    chooses_kind = False

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    units: Literal["words", "characters"] = Field(default="words", description="what is counted: runs of these")
    ngrams: Annotated[tuple[int, int], AfterValidator(_ascending)] = Field(
        default=(1, 1), description="the least and the largest length of a run"
    )
    dimensions: int = Field(default=512, ge=2, le=2**20, description="of the vector of a text")

    def hashed(
        self,
        texts: list[str],
        labels: list[str],
        task: np.ndarray | None = None,
        domain: np.ndarray | None = None,
        notes: Sequence[str] = (),
    ) -> Records:
        """The records of n texts with the names of their classes; the others as in `Records`."""
        analyzer = "word" if self.units == "words" else "char_wb"
        hashing = HashingVectorizer(analyzer=analyzer, ngram_range=self.ngrams, n_features=self.dimensions)
        x = sparse.csr_array(hashing.transform(texts), dtype=np.float32).toarray()
        notes = [*notes]
        if empty := int((x == 0).all(1).sum()):
            notes.append(f"{empty} texts have no {self.units} to count, and are all 0")
        classes = columns.ordered(labels)
        y = pd.Categorical(labels, classes).codes.astype(np.int64)
        return Records(x, y, classes, task, domain, notes=notes, levels=np.full(self.dimensions, -1))
