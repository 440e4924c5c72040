"""CLINC150: what people ask an assistant, in ten domains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.hashed import HashedTexts
from metagap.tasks.sources.stored_records import StoredRecords

STORE = "https://raw.githubusercontent.com/clinc/oos-eval/master/data"
FILES = ("data_full.json", "domains.json")


class CLINC150(StoredRecords, HashedTexts):
    """CLINC150: 22,500 requests to an assistant with 150 intents, 15 in each of ten domains.

    A class is an intent; classes are dealt into parts by `shares`, as there is no split in general use. The domains are
    the publishers': `domains = ["travel"]`. Their training, validation and test sets hold the same intents and are
    joined; requests that are out of scope are left out.
    """

    title = "CLINC150"
    licence = "CC BY 3.0"
    citation = (
        "Larson et al. (2019), An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, "
        "EMNLP-IJCNLP"
    )
    download_size = "2.5 MB"
    remotes = tuple(Remote(f"clinc150/{name}", f"{STORE}/{name}") for name in FILES)

    def paths(self) -> list[Path]:
        """The requests, and the intents of each domain."""
        return [self.find(f"clinc150/{name}", f"oos-eval/data/{name}") for name in FILES]

    def records(self) -> Records:
        """All requests that are in scope."""
        full, domains = self.paths()
        try:
            read = [json.loads(path.read_text(encoding="utf-8")) for path in (full, domains)]
            rows = [row for part in ("train", "val", "test") for row in read[0][part]]
            outside = sum(len(rows) for part, rows in read[0].items() if part.startswith("oos"))
            of = {intent: domain for domain, intents in read[1].items() for intent in intents}
            texts, intents = ([str(row[i]) for row in rows] for i in (0, 1))
            domain = np.array([of[intent] for intent in intents])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{self.called}: '{full}' or '{domains}' is not what it should hold: {error!r}") from None
        notes = [f"{outside:,} requests that are out of scope are left out"]
        return self.hashed(texts, intents, domain=domain, notes=notes)
