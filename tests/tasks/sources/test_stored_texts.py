"""Published texts, from small files in the layout of their publishers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layouts import write_folder, write_zip
from metagap.errors import UserError
from metagap.tasks import catalogue
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.banking77 import Banking77
from metagap.tasks.sources.clinc150 import CLINC150
from metagap.tasks.sources.few_shot_texts import FewShotTexts
from metagap.tasks.sources.stored_records import StoredRecords

DOMAINS = {"travel": ["book_flight", "visa"], "home": ["timer", "play_music"]}


def write_banking(folder: Path, train: str = "") -> None:
    """As its authors' repository has it: a text with a comma is quoted."""
    rows = [f'"Where, now, is my card {i}?",card_arrival\nis it {i} dollars,exchange_rate' for i in range(3)]
    files = {"train": train or "\n".join(rows), "test": "null,null_card\nwhere,card_arrival"}
    write_folder(folder, {f"banking77/{name}.csv": f"text,category\n{text}\n".encode() for name, text in files.items()})


def write_clinc(folder: Path, **changes: Any) -> None:
    def rows(count: int) -> list[list[str]]:
        return [[f"{intent} {i}", intent] for intents in DOMAINS.values() for intent in intents for i in range(count)]

    full = {
        "train": rows(3),
        "val": rows(1),
        "test": rows(2),
        "oos_val": [["huh", "oos"]],
        "oos_test": [["", "oos"]] * 2,
    }
    files = {"data_full.json": full, "domains.json": DOMAINS} | changes
    write_folder(folder / "clinc150", {name: json.dumps(content).encode() for name, content in files.items()})


def texts_of(count: int, each: int = 3) -> bytes:
    """Lines of JSON, with the words of a text."""
    words = {label: ["it", "is", f"word{label}"] for label in range(count)}
    lines = [{"text": [*words[label], f"text{i}"], "label": label} for label in words for i in range(each)]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_banking77_has_both_files_as_domains(data):
    write_banking(data)
    source = Banking77(dimensions=64)
    records = source.records()
    assert list(records.classes) == ["card_arrival", "exchange_rate", "null_card"]
    assert records.y.tolist() == [0, 1, 0, 1, 0, 1, 2, 0]
    assert records.domain is not None and records.domain.tolist() == ["train"] * 6 + ["test"] * 2
    np.testing.assert_allclose(np.linalg.norm(records.x, axis=1), 1, rtol=1e-6)
    assert catalogue.verify(["banking77"]) == [{"name": "banking77", "state": "ok", "found": "8 examples of 3 classes"}]


def test_clinc150_has_its_ten_domains_and_leaves_out_what_is_out_of_scope(data):
    write_clinc(data)
    records = CLINC150().records()
    assert list(records.classes) == ["book_flight", "play_music", "timer", "visa"]
    assert np.bincount(records.y).tolist() == [6] * 4
    assert records.domain is not None and Counter(records.domain.tolist()) == {"travel": 12, "home": 12}
    assert records.notes == ["3 requests that are out of scope are left out"]
    store = CLINC150(domains=["travel"]).tasks(Part(), "cpu")
    assert store.classes == ("book_flight", "visa")


@pytest.mark.parametrize(
    ("dataset", "sizes", "some"),
    [
        ("20news", [8, 5, 7], ("sci.space", "comp.graphics", "alt.atheism")),
        ("huffpost", [20, 5, 16], ("huffpost-00", "huffpost-20", "huffpost-40")),
        ("amazon", [10, 5, 9], ("Baby", "Video_Games", "Books")),
        ("reuters", [15, 5, 11], ("reuters-14", "reuters-15", "reuters-30")),
    ],
)
def test_the_splits_of_bao_et_al(data, dataset, sizes, some):
    write_zip(data / "few-shot-texts" / "data.zip", {f"data/{dataset}.json": texts_of(sum(sizes))})
    source = FewShotTexts(dataset=dataset, dimensions=64)
    parts = source.parts()
    assert [len(names) for names in parts.values()] == sizes
    assert all(name in names for name, names in zip(some, parts.values(), strict=True))
    assert len({name for names in parts.values() for name in names}) == sum(sizes)
    own = FewShotTexts(dataset=dataset, test=[some[0]])
    assert own.parts()["test"] == [some[0]] and some[0] not in own.parts()["train"]


def test_an_unpacked_set_is_the_same_and_500_words_count(data):
    write_zip(data / "few-shot-texts" / "data.zip", {"data/20news.json": texts_of(20)})
    packed = FewShotTexts().digest()
    (data / "few-shot-texts" / "data.zip").unlink()
    longer = [json.loads(line) for line in texts_of(20).splitlines()]
    for line in longer:
        line["text"] = [*line["text"], *["_"] * 496, "beyond"]
    content = "".join(json.dumps(line) + "\n" for line in longer).encode()
    write_folder(data / "few-shot-texts" / "data", {"20news.json": content.replace(b'"_"', b'""')})
    assert FewShotTexts().digest() == packed


def sources(folder: Path) -> list[StoredRecords]:
    write_banking(folder)
    write_clinc(folder)
    write_zip(folder / "few-shot-texts" / "data.zip", {"data/20news.json": texts_of(20)})
    return [Banking77(dimensions=64), CLINC150(dimensions=64), FewShotTexts(dimensions=64)]


def test_they_keep_the_contract(data):
    for source in sources(data):
        store = source.tasks(Part(), "cpu")
        examine(store, TaskSpec("classification", 2, 1, 1))


def test_what_is_missing_says_how_to_get_it(data):
    named = {"banking77": Banking77(), "clinc150": CLINC150(), "few-shot-texts:amazon": FewShotTexts(dataset="amazon")}
    for name, source in named.items():
        with pytest.raises(UserError, match=rf"no file '.*'; fetch it with `metagap data get {name} --data"):
            source.records()


def test_what_is_not_as_published_is_refused(data):
    def refused(source: StoredRecords, message: str) -> None:
        with pytest.raises(UserError, match=message):
            source.records()

    write_banking(data, train="where is it,")
    refused(Banking77(), r"'.*train\.csv': allowed: the columns text and category, with values")
    write_clinc(data, **{"domains.json": {"travel": ["visa"]}})
    refused(CLINC150(), r"data_full\.json' or '.*domains\.json' is not what it should hold: KeyError\('book_flight'\)")
    write_clinc(data, **{"data_full.json": []})
    refused(CLINC150(), "is not what it should hold")
    write_zip(data / "few-shot-texts" / "data.zip", {"data/20news.json": texts_of(21)})
    refused(FewShotTexts(), r"data\.zip': 20news\.json, text 61: IndexError")
    refused(FewShotTexts(dataset="amazon"), r"no file 'amazon\.json' in '.*data\.zip'")
    write_zip(data / "few-shot-texts" / "data.zip", {"data/20news.json": b"\n"})
    refused(FewShotTexts(), r"20news\.json has no texts")
