"""The shape of the house: imports run downwards, and whoever analyses needs no torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "benchmark" / "metagap"

# Each layer may import from the layers below it (and from itself).
TRAINING = [
    "cli",
    "reproduce",
    "speed",
    "executors",
    "runner",
    "quantities",
    "checking",
    "engine",
    "bridges",
    "algorithms",
    "models",
    "tasks",
    "suite",
    "optimizers",
    "kinds",
    "metrics",
]
ANALYSIS = ["cli", "selftest", "reproduce", "report", "analysis", "results", "suite", "optimizers", "kinds", "metrics"]
ANYWHERE = {
    "conditions",
    "digests",
    "errors",
    "extends",
    "files",
    "machine",
    "memory",
    "messages",
    "progress",
    "registry",
    "screen",
    "source_tables",
    "stopping",
    "text",
    "writing",
    "",
}


def imports_of(path: Path) -> set[str]:
    """The second parts of all imports from this package: `metagap.tasks.images` counts as `tasks`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" if node.module == "metagap" else node.module for alias in node.names]
        found |= {name.split(".")[1] for name in names if name and name.startswith("metagap.")}
    return found - {"__version__"}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    layer = layer_of(path)
    if layer in ("__init__", "api", "cli", "inspection", "listing"):
        return
    allowed = {layer, *ANYWHERE}
    for order in (TRAINING, ANALYSIS):
        if layer in order:
            allowed |= set(order[order.index(layer) :])
    if layer == "selftest" and path.stem in (
        "linear",
        "faults",
        "kills",
        "flips",
        "tiny",
    ):  # both sides are tried at one go
        allowed |= set(TRAINING) - ({"cli"} if path.stem != "kills" else set())  # what is killed is a command
    if layer in ("runner", "quantities"):  # what was not examined is run and measured too
        allowed.discard("checking")
    if layer in ("executors", "runner"):  # where the training side writes what the analysis side reads
        allowed.add("results")
    if layer == "speed":  # its picture looks like those of the reports, which it times on records that it writes
        allowed |= {"report", "results"}
    if layer == "tasks":  # a source is named in a suite, it does not know suites
        allowed.discard("suite")
    assert imports_of(path) <= allowed


def test_analysis_needs_no_torch():
    modules = "metagap.results, metagap.analysis.comparisons, metagap.report.page, metagap.reproduce.reading"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'learn2learn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_to_look_at_a_store_needs_no_pandas():
    code = "import sys, metagap.results; sys.exit(bool({'torch', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_needs_neither_torch_nor_pandas():
    code = """
import sys
sys.argv = ["metagap", "--help"]
from metagap.cli import main
try:
    main()
except SystemExit:
    pass
slow = {"torch", "pandas", "scipy", "pydantic", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {slow}" if slow else 0)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


USERS = {
    "learn2learn": ["bridges/learners.py", "speed/peers/learn2learn.py"],
    "higher": ["speed/peers/higher.py"],
    "jax": ["speed/peers/jax.py"],
}


@pytest.mark.parametrize("library", USERS)
def test_other_libraries_are_imported_where_they_are_compared_with_and_nowhere_else(library):
    importing = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    found = [path for path in PACKAGE.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert sorted(str(path.relative_to(PACKAGE)) for path in found) == USERS[library]


def test_other_libraries_are_not_imported_unasked():
    modules = "metagap.speed.command, metagap.bridges.learners, metagap.bridges.tasksets"
    code = f"import sys, {modules}; sys.exit(bool({{'learn2learn', 'higher', 'jax'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
