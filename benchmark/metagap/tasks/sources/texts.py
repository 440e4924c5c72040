"""Texts of the user's own, as weighted counts of their words or of runs of characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sources import columns
from metagap.tasks.sources.frames import BINARY, TEXT, located, read_frame

LINES = (".jsonl", ".ndjson")
ALLOWED = "a .csv, .tsv, .parquet, .feather or .jsonl file"


def _ascending(value: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= value[0] <= value[1]:
        raise ValueError("allowed: the least and the largest length, such as [1, 2]")
    return value


class TextSource(RecordSource):
    """Texts with a class each, as `text:FILE`: a row of a table, or a line of JSON, for each.

    Its words, or runs of characters, are hashed into `dimensions` counts, whose vector is scaled to length 1 and, with
    scaling = "train" or "support", multiplied with their inverse document frequencies in the part train.
    """

    licence = "yours"
    citation = "yours"
    named_by = "file"
    chooses_kind = False

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    file: str = Field(description=ALLOWED)
    text: str = Field(default="text", description="the column of texts")
    target: str = Field(default="target", description="the column of classes")
    task: str | None = Field(
        default=None, description="the column that says which task a row belongs to; default: tasks are made of classes"
    )
    domain: str | None = Field(default=None, description="the column that `domains` is about")
    units: Literal["words", "characters"] = Field(default="words", description="what is counted: runs of these")
    ngrams: Annotated[tuple[int, int], AfterValidator(_ascending)] = Field(
        default=(1, 1), description="the least and the largest length of a run"
    )
    dimensions: int = Field(default=512, ge=2, le=2**20, description="of the vector of a text")

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"text:{self.file}"

    def stamp(self) -> Any:
        """That of the file."""
        return stamp(self._path)

    def records(self) -> Records:
        """All texts that are not blank."""
        roles = {role: getattr(self, role) for role in ("text", "target", "task", "domain")}
        roles = {role: name for role, name in roles.items() if name is not None}
        table, notes = self._table(frozenset(roles.values()))
        for role, name in roles.items():
            if name not in table:
                hint = registry.suggest(name, [str(head) for head in table])
                raise UserError(f"{self.called}: {role} = '{name}': there is no such column{hint}")
        table = table[[*roles.values()]].apply(columns.names)
        for role, name in roles.items():
            missing = table[name].isna()
            if missing.all():
                raise UserError(f"{self.called}: {role} = '{name}': no row has a value there and in the other columns")
            if missing.any():
                notes.append(f"{missing.sum()} rows without '{name}' left out")
                table = table[~missing]
        analyzer = "word" if self.units == "words" else "char_wb"
        hashing = HashingVectorizer(analyzer=analyzer, ngram_range=self.ngrams, n_features=self.dimensions)
        x = sparse.csr_array(hashing.transform(table[self.text].tolist()), dtype=np.float32).toarray()
        if empty := int((x == 0).all(1).sum()):
            notes.append(f"{empty} texts have no {self.units} to count, and are all 0")
        classes = columns.ordered(table[self.target].tolist())
        y = pd.Categorical(table[self.target], classes).codes.astype(np.int64)
        task, domain = (None if name is None else table[name].to_numpy(dtype=str) for name in (self.task, self.domain))
        levels = np.full(self.dimensions, -1)
        return Records(x, y, classes, task, domain, notes=notes, levels=levels)

    @property
    def _path(self) -> Path:
        return located(self.file, self.called, (*TEXT, *BINARY, *LINES), ALLOWED)

    def _table(self, names: frozenset[str]) -> tuple[pd.DataFrame, list[str]]:
        """The table of the file, and how it was read."""
        if not (path := self._path).name.lower().endswith(LINES):
            frame = read_frame(path, self.called, names)
            return frame.table, [*frame.notes]
        rows, number = [], 0
        try:
            for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
                if line.strip():
                    rows.append(json.loads(line))
                    if not isinstance(rows[-1], dict):
                        raise UserError(
                            f"{self.called}: '{path}', line {number}: no object; allowed: {{...}} in each line"
                        )
        except UnicodeDecodeError:
            raise UserError(f"{self.called}: '{path}' is no UTF-8, which JSON is written in") from None
        except ValueError as error:
            raise UserError(f"{self.called}: '{path}', line {number}: no JSON: {error}") from None
        if not rows:
            raise UserError(f"{self.called}: '{path}' is empty")
        return pd.DataFrame(rows), []
