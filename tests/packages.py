"""Packages of somebody else's, as pip leaves them."""

from __future__ import annotations

from pathlib import Path

from metagap import registry


def predictors() -> list[str]:
    """The algorithms that are for tasks with examples, not for those that answer back."""
    return [name for name in registry.names("algorithm") if not registry.load("algorithm", name).acts]


def install(site: Path, name: str, groups: dict[str, dict[str, str]], code: str) -> None:
    """A package of one module of the same name. groups: for each of ours, such as "algorithms", its entry points."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[metagap.{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join([*lines, ""]))
    (site / f"{name}.py").write_text(code)
    registry._claims.cache_clear()
