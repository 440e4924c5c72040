"""What `metagap show` tells of a class: its settings as people write them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Lt

from benchmark import registry
from benchmark.inspection import _allowed, describe


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
        (dict[str, float], "dict[str, float]", ""),
    ],
)
def test_types_and_ranges(annotation, kind, allowed):
    assert _allowed(annotation) == {"type": kind, "range": allowed}


def test_what_a_file_defines_is_shown_as_what_it_is(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from benchmark.algorithms.maml import MAML\nfrom benchmark.models.mlp import MLP\n\n\n"
        "class Mine(MAML):\n    pass\n\n\nclass Net(MLP):\n    pass\n\n\n"
        "def tasks(ways, examples, share: float = 0.25):\n    pass\n"
    )
    kinds = {name: describe(f"{path}:{name}")["kind"] for name in ("Mine", "Net", "tasks")}
    assert kinds == {"Mine": "algorithm", "Net": "model", "tasks": "source"}
    (row,) = describe(f"{path}:tasks")["tables"]["Options"]
    assert row == {"key": "share", "default": "0.25", "type": "float", "range": "any", "meaning": "argument of tasks"}
