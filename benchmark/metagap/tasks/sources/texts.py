"""Texts of the user's own, as weighted counts of their words or of runs of characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.records import Records
from metagap.tasks.sources import columns
from metagap.tasks.sources.frames import BINARY, TEXT, located, read_frame
from metagap.tasks.sources.hashed import HashedTexts

LINES = (".jsonl", ".ndjson")
ALLOWED = "a .csv, .tsv, .parquet, .feather or .jsonl file"


class TextSource(HashedTexts):
    """Texts with a class each, as `text:FILE`: a row of a table, or a line of JSON, for each.

    Its words, or runs of characters, are hashed into `dimensions` counts, whose vector is scaled to length 1 and, with
    scaling = "train" or "support", multiplied with their inverse document frequencies in the part train.
    """

    licence = "yours"
    citation = "yours"
    named_by = "file"

    file: str = Field(description=ALLOWED)
    text: str = Field(default="text", description="the column of texts")
    target: str = Field(default="target", description="the column of classes")
    task: str | None = Field(
        default=None, description="the column that says which task a row belongs to; default: tasks are made of classes"
    )
    domain: str | None = Field(default=None, description="the column that `domains` is about")

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
        task, domain = (None if name is None else table[name].to_numpy(dtype=str) for name in (self.task, self.domain))
        return self.hashed(table[self.text].tolist(), table[self.target].tolist(), task, domain, notes)

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
