"""What `metagap show` tells of a class: its settings as people write them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Lt

from metagap import registry
from metagap.files import SUITES, TABLES
from metagap.inspection import _allowed, describe
from metagap.listing import listing, text


@pytest.mark.parametrize("name", registry.names("algorithm"))
def test_an_algorithm_is_explained(name):
    shown = describe(name)
    assert shown["paper"]
    idea, _, more = shown["about"].partition("\n\n")
    assert idea.endswith(".")
    assert len(idea) <= 120
    assert more
    for row in shown["tables"]["Hyper-parameters"]:
        assert row["meaning"], row
        assert row["default"] != "required", row
        assert row["range"] or row["type"] == "bool" or "|" in row["type"] or ">" in row["type"], row


@pytest.mark.parametrize(
    ("annotation", "kind", "allowed"),
    [
        (int, "int", "any"),
        (bool, "bool", ""),
        (Annotated[float, Ge(0), Lt(1)], "float", "≥ 0, < 1"),
        (Annotated[int, Gt(0)] | None, "int | None", "> 0"),
        (list[Annotated[int, Gt(0)]], "list[int > 0]", ""),
        (tuple[float, float], "tuple[float, float]", "any"),
        (tuple[int, ...] | None, "tuple[int, ...] | None", ""),
        (Literal["a", "b"], "a | b", ""),
        (Literal["a"], "a", "fixed"),
        (dict[str, float], "dict[str, float]", ""),
    ],
)
def test_types_and_ranges(annotation, kind, allowed):
    assert _allowed(annotation) == {"type": kind, "range": allowed}


def test_what_a_file_defines_is_shown_as_what_it_is(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from metagap.algorithms.maml import MAML\nfrom metagap.models.mlp import MLP\n\n\n"
        "class Mine(MAML):\n    pass\n\n\nclass Net(MLP):\n    pass\n\n\n"
        "def tasks(ways, examples, share: float = 0.25):\n    pass\n"
    )
    kinds = {name: describe(f"{path}:{name}")["kind"] for name in ("Mine", "Net", "tasks")}
    assert kinds == {"Mine": "algorithm", "Net": "model", "tasks": "source"}
    (row,) = describe(f"{path}:tasks")["tables"]["Options"]
    assert row == {"key": "share", "default": "0.25", "type": "float", "range": "any", "meaning": "argument of tasks"}


def test_domains_that_differ_in_an_option_look_different():
    splits = {row["split"]: row for row in describe("quickstart")["tables"]["Splits"]}
    assert splits["dark on light"]["options"] == {"held_out_images": 0, "inversion": 1.0}
    assert splits["thick and noisy"]["options"]["noise"] == 0.3
    assert splits["unseen characters"]["options"] == {}
    told = [text({key: value for key, value in row.items() if key != "split"}) for row in splits.values()]
    assert len(set(told)) == len(told)


def test_a_suite_is_shown_with_seeds_and_with_what_is_only_default():
    tables = describe("quickstart")["tables"]
    settings = {row["key"]: (row["value"], row[""]) for row in tables["Settings"]}
    assert settings["seeds"] == ([0, 1, 2], "")
    assert settings["model.filters"] == (16, "")
    assert settings["model.pooling"] == ("stride", "default")
    assert settings["training.optimizer"] == ("adam", "default")
    algorithms = {row["label"]: row for row in tables["Algorithms"]}
    assert algorithms["maml"]["settings"] == {"inner_lr": 0.4}
    assert algorithms["maml"]["defaults"]["first_order"] is False
    assert algorithms["reptile-serial"]["algorithm"] == "reptile"
    assert algorithms["reptile-serial"]["run"] == "on request"
    assert algorithms["reptile"]["settings"]["training.lr"] == 1.0


def test_the_reference_of_a_suite_is_shown(tiny_suite):
    def shown(**changes):
        rows = describe(str(tiny_suite(**changes)))["tables"]["Settings"]
        return [(row["value"], row[""]) for row in rows if row["key"] == "reference"]

    assert shown() == [("scratch", "default")]
    assert shown(reference="maml") == [("maml", "")]
    assert shown(algorithms={"scratch": None}) == []


def test_a_table_is_shown_with_its_values():
    shown = describe("maml-table1")
    assert shown["kind"] == "table" and shown["citation"].startswith("Finn")
    first = shown["tables"]["Values"][0]
    assert (first["suite"], first["published"], first["mark"]) == ("omniglot-5way-1shot-no-conv", "0.897 ± 0.011", "V")
    assert shown == {**describe(str(TABLES.path("maml-table1"))), "also": []}
    assert describe("anil")["also"] == ["table:anil"]
    assert describe("table:anil")["kind"] == "table"
    settings = {row["key"]: row["value"] for row in describe("maml-sinusoid")["tables"]["Settings"]}
    assert settings["what counts as the same"] == "within 10% of the published value"


def test_a_table_in_a_cell_has_a_line_for_every_key():
    assert text({"noise": 0.3, "inverted": True, "sizes": [1, 2], "none": None}) == (
        "noise = 0.3\ninverted = true\nsizes = [1, 2]\nnone = "
    )


def test_suites_are_listed_by_their_files_alone(monkeypatch):
    monkeypatch.setattr(registry, "load", None)
    assert [row["name"] for row in listing("suites")] == SUITES.names()
