"""The texts of Bao et al. (2020): newsgroups, headlines, reviews and news wires, with their splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.record_source import PARTS
from metagap.tasks.records import Records
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.hashed import HashedTexts
from metagap.tasks.sources.stored import pinned
from metagap.tasks.sources.stored_records import StoredRecords

LONGEST = 500
"""Words of a text that count, as in the paper."""


class FewShotTexts(StoredRecords, HashedTexts):
    """Four of the sets of Bao et al. (2020), as `few-shot-texts:huffpost`, with the classes of their parts.

    `20news`: the 20 Newsgroups (8 classes for training, 5, 7); `huffpost`: headlines (20, 5, 16); `amazon`: reviews
    (10, 5, 9); `reuters`: articles (15, 5, 11). The first 500 words of a text count. Classes of `huffpost` and
    `reuters` have numbers, as the authors' files name none.
    """

    title = "Few-Shot-Texts"
    licence = "not stated by the authors"
    citation = (
        "Bao, Wu, Chang, Barzilay (2020), Few-shot Text Classification with Distributional Signatures, ICLR; texts: "
        "Lang (1995), NewsWeeder; Misra (2018), News Category Dataset; He, McAuley (2016), Ups and downs; Lewis "
        "(1997), Reuters-21578"
    )
    download_size = "a zip of six sets"
    remotes = (
        Remote(
            "few-shot-texts/data.zip", "https://people.csail.mit.edu/yujia/files/distributional-signatures/data.zip"
        ),
    )
    named_by = "dataset"

    dataset: Literal["20news", "huffpost", "amazon", "reuters"] = Field(
        default="20news", description="which set of the paper"
    )

    def paths(self) -> list[Path]:
        """The zip, or what comes of it."""
        file = f"{self.dataset}.json"
        return [self.find("few-shot-texts/data.zip", f"few-shot-texts/{file}", f"few-shot-texts/data/{file}")]

    def records(self) -> Records:
        """All texts."""
        (path,) = self.paths()
        file = f"{self.dataset}.json"
        data = opened(path, self.called).one(file) if path.suffix == ".zip" else path.read_bytes()
        lines = [line for line in data.decode("utf-8", errors="ignore").split("\n") if line.strip()]
        classes, texts, labels = self._known["classes"], [], []
        try:
            for line in lines:
                row = json.loads(line)
                texts.append(" ".join(row["text"][:LONGEST]))
                labels.append(classes[int(row["label"])])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{self.called}: '{path}': {file}, text {len(texts)}: {error!r}") from None
        if not texts:
            raise UserError(f"{self.called}: '{path}': {file} has no texts")
        return self.hashed(texts, labels)

    def split(self) -> dict[str, list[str]]:
        """That of the paper."""
        return {part: [self._known["classes"][i] for i in self._known[part]] for part in PARTS}

    @property
    def _known(self) -> dict[str, Any]:
        """The classes in the order of their numbers, and the numbers of those of each part."""
        return pinned("few_shot_texts")[self.dataset]
