"""Banking77: what customers ask their bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources.columns import names
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.frames import read_frame
from metagap.tasks.sources.hashed import HashedTexts
from metagap.tasks.sources.stored_records import StoredRecords

STORE = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/master/banking_data"
FILES = ("train", "test")
HEADS = ["text", "category"]


class Banking77(StoredRecords, HashedTexts):
    """Banking77: 13,083 questions of the customers of a bank, with 77 intents.

    A class is an intent; classes are dealt into parts by `shares`, as there is no split in general use. The domain says
    which of the publishers' files a question is in, "train" or "test".
    """

    title = "Banking77"
    licence = "CC BY 4.0"
    citation = (
        "Casanueva, Temčinas, Gerz, Henderson, Vulić (2020), Efficient Intent Detection with Dual Sentence Encoders, "
        "NLP4ConvAI"
    )
    download_size = "1.1 MB"
    remotes = tuple(Remote(f"banking77/{name}.csv", f"{STORE}/{name}.csv") for name in FILES)

    def paths(self) -> list[Path]:
        """Both files."""
        return [self.find(f"banking77/{name}.csv", f"banking_data/{name}.csv") for name in FILES]

    def records(self) -> Records:
        """All questions."""
        tables = [read_frame(path, self.called, frozenset(HEADS)).table for path in self.paths()]
        for path, table in zip(self.paths(), tables, strict=True):
            if list(table.columns) != HEADS or table.isna().any(axis=None):
                raise UserError(
                    f"{self.called}: '{path}': allowed: the columns text and category, with values in all rows"
                )
        text, category = (names(column) for _, column in pd.concat(tables).items())
        domain = np.repeat(FILES, [len(table) for table in tables])
        return self.hashed(text.tolist(), category.tolist(), domain=domain)
