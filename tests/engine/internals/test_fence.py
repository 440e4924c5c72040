"""What leans on the insides of torch is in `engine/internals`, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "benchmark" / "metagap"
INTERNALS = PACKAGE / "engine" / "internals"

NORMS = "torch.nn.modules.batchnorm._NormBase"
ELSEWHERE = {
    "algorithms/base.py": {NORMS: "what every norm derives from, those of users too"},
    "models/making.py": {
        NORMS: "the same",
        "torch.nn.utils.parametrizations._SpectralNorm": "what torch's public function puts into a network",
        "_forward_pre_hooks": "what torch's older public function puts there",
        "torch._C._functorch.is_functorch_wrapped_tensor": "whether a forward pass left a result behind",
        "__class__ =": "a recurrent layer without cuDNN",
    },
    "engine/process.py": {"multiprocessing.connection.wait": "a process that ends with the one that started it"},
    "engine/together.py": {
        "socket": "a free port on loopback, where the processes of a cell meet",
        "multiprocessing.connection.Connection": "what they tell the first of them",
        "multiprocessing.connection.wait": "whether one of them has ended",
    },
}
"""The private names that files below the engine use, and what for. The list may become shorter."""

MACHINERY = {"ctypes", "socket", "unittest.mock", "multiprocessing.connection", "mmap"}


def private(name: str) -> bool:
    parts = name.split(".")
    inside = any(part.startswith("_") and not part.startswith("__") for part in parts[1:])
    return parts[0] in ("torch", "functorch") and (inside or "experimental" in parts)


def dotted(node: ast.AST) -> str:
    """`torch.ops.aten` of an attribute of an attribute of a name; "" where it begins otherwise."""
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return f"{start}.{node.attr}" if start else ""
    return node.id if isinstance(node, ast.Name) else ""


def leaning(source: str) -> set[str]:
    """What of torch's insides, and of Python's ways to change code while it runs, a file uses."""
    tree, found = ast.parse(source), set()
    aliases = {"aten": "torch.ops.aten", "F": "torch.nn.functional", "nn": "torch.nn", "fx": "torch.fx"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if private(alias.name) or alias.name in MACHINERY}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if private(name) or {name, node.module} & MACHINERY}
        elif isinstance(node, ast.Attribute):
            first, _, rest = dotted(node).partition(".")
            name = f"{aliases.get(first, first)}.{rest}"
            if private(name):
                found.add(name)
            if node.attr in ("_schema", "_modules", "_parameters", "_buffers", "_codegen", "_forward_pre_hooks"):
                found.add(node.attr)
            if node.attr == "__class__" and isinstance(node.ctx, ast.Store):
                found.add("__class__ =")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval"):
            found.add(node.func.id)
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


FILES = sorted(path for path in PACKAGE.rglob("*.py") if INTERNALS not in path.parents)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_file_leans_on_them(path):
    name = str(path.relative_to(PACKAGE))
    found = leaning(path.read_text(encoding="utf-8"))
    if not name.startswith("engine/"):  # where other code may well open a socket
        found = {use for use in found if use.partition(".")[0] in ("torch", "functorch") or not use[0].isalpha()}
    assert found == ELSEWHERE.get(name, {}).keys()


@pytest.mark.parametrize("path", sorted(INTERNALS.glob("[a-z]*.py")), ids=lambda path: path.name)
def test_each_says_what_it_was_checked_on_and_what_it_falls_back_to(path):
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    assert "Checked on" in text
    assert "Uses" in text
    assert "The public way" in text or "Where there is no" in text or "Where an operation has no" in text
    tests = "".join(test.read_text(encoding="utf-8") for test in Path(__file__).parent.glob("test_*.py"))
    assert f"monkeypatch.setattr({path.stem}" in tests  # a test switches it off


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch\ntorch._C._functorch.get_unwrapped(x)", {"torch._C._functorch.get_unwrapped"}),
        ("from torch.utils._pytree import tree_map", {"torch.utils._pytree.tree_map"}),
        ("from torch.fx.experimental import proxy_tensor", {"torch.fx.experimental.proxy_tensor"}),
        ("aten._unsafe_view.default", {"torch.ops.aten._unsafe_view.default"}),
        ("module.__class__ = Other", {"__class__ ="}),
        ("exec(code)", {"exec"}),
        ("node.target._schema.is_mutable", {"_schema"}),
        ("from unittest import mock", {"unittest.mock"}),
        ("import torch\ntorch.func.vmap(f); torch.__version__; module.__class__.__name__; re.compile('a')", set()),
    ],
)
def test_the_listing_would_notice(source, expected):
    assert leaning(source) == expected
