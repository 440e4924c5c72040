"""The README and the guides, and what is in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "benchmark" / "docs"
EXAMPLES = ROOT / "benchmark" / "examples"
GENERATED = {"suite-keys.md", "options.md", "models.md"}
PAGES = sorted(
    [*ROOT.glob("*.md"), *GUIDES.glob("*.md"), ROOT / "reports" / "README.md", ROOT / "results" / "README.md"]
)
SAVED_AS = {
    "mine.py": "algorithm.py",
    "net.py": "model.py",
    "stripes.py": "data_set.py",
    "bells.py": "tasks.py",
    "recordings.py": "records.py",
    "adamw.py": "outer_optimizer.py",
    "blot.py": "shift.py",
    "top.py": "metric.py",
    "drop.py": "quantity.py",
    "counts.py": "task_kind.py",
    "cart.py": "world.py",
    "here.py": "executor.py",
    "meta_world.py": "meta_world.py",
    "mine/mine.py": "algorithm.py",
}
"""What a reader calls the files of the examples."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text(page), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def prose(page: Path) -> str:
    """Without the fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.DOTALL | re.MULTILINE)


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands() -> list[tuple[str, str]]:
    """(page, command) of every line of every block of shell commands, and of every `metagap ...` within a sentence."""
    found = []
    for page in PAGES:
        if page.name in GENERATED:
            continue
        lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
        lines += re.findall(r"`((?:uv run )?metagap [^`]+)`", prose(page))
        parts = [part for line in lines for part in line.partition(" #")[0].split(" && ") if part.strip()]
        found += [(ids(page), " ".join(part.split())) for part in parts]
    return list(dict.fromkeys(found))
