"""Markers: what says that a cell is done, and by which its other files are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metagap.files import is_inside
from metagap.results.files import DamagedError, read_bytes, read_json, read_signed, write_signed
from metagap.results.training import BESIDE, recorded_beside

FORMAT = 3
"""Of the markers that are written."""
CLASSES = "-classes.npz"
"""How the file of a split ends that says which classes its test episodes hold."""
ROLLOUTS = "-rollouts.npz"
"""How the file of a split ends that shows what a learned policy does in its first test tasks."""
READABLE = (1, 2, FORMAT)
"""Formats that reports show. Those of format 2 do not say which revisions of the code trained the cell, and those of
format 1 have no digests either, so that damage may go unseen; a run counts both as not done."""
KEYS: dict[str, type] = {
    **{"label": str, "algorithm": str, "hyperparameters": dict, "training": dict, "evaluation": dict, "seed": int},
    **{"hash": str, "variant": str, "suite": dict, "files": dict, "episodes": dict, "notes": list, "record": dict},
}
"""What every marker has."""
FURTHER: dict[str, type] = {**dict.fromkeys(BESIDE, dict), "sha256": dict, "metrics": list, "environments": list}
"""What some have."""


def write_marker(folder: Path, content: Mapping[str, Any]) -> None:
    """Say that a cell is done: the last thing that is written of it."""
    write_signed(folder / f"done-{content['variant']}.json", {"format": FORMAT, **content})


def read_marker(path: Path) -> dict[str, Any] | None:
    """What a marker says, or None where there is none or one of a format that is not known.

    Raises DamagedError where it is not what was written, or lies in the folder of another cell.
    """
    if not path.is_file():
        return None
    marker = read_json(path)
    if "digest" in marker or marker.get("format") in (2, FORMAT):
        marker = read_signed(path)
    if marker.get("format") not in READABLE:
        return None
    if missing := set(KEYS) - set(marker):
        raise DamagedError(f"'{path}' is damaged: it lacks {', '.join(sorted(missing))}")
    if fault := next(_faults(marker), ""):
        raise DamagedError(f"'{path}' is damaged: {fault}")
    folder = path.parent
    for what, said, lies in (
        ("cell", f"{marker['label']}/{marker['seed']}-{marker['hash']}", f"{folder.parent.name}/{folder.name}"),
        ("variant", marker["variant"], path.stem.removeprefix("done-")),
    ):
        if said != lies:
            raise DamagedError(f"'{path}' is the marker of another {what}: it says '{said}' and lies in '{lies}'")
    return marker


def _faults(marker: Mapping[str, Any]) -> Iterator[str]:
    """What no marker of ours says: whoever wrote it, its files lie in the cell's folder."""
    for key, kind in (KEYS | FURTHER).items():
        if key in marker and type(marker[key]) is not kind:
            yield f"its '{key}' is no {kind.__name__}"
            return
    stems = [stem for kind in ("files", *BESIDE) for stem in marker.get(kind, {}).values()]
    for name in (*stems, *marker.get("sha256", {})):
        if not isinstance(name, str) or not is_inside(name):
            yield f"it names a file outside of its folder, {name!r}"


def known_files(marker: Mapping[str, Any]) -> list[str]:
    """What belongs to a finished cell beside its marker, by path in its folder: files that it knows, and receipts."""
    receipts = [f"evaluation/{stem}.json" for stem in marker["files"].values()]
    receipts += [f"{kind}/{stem}.json" for kind in BESIDE for stem in marker.get(kind, {}).values()]
    if "sha256" in marker:
        return [*marker["sha256"], *receipts]
    scores = [f"evaluation/{stem}.{ending}" for stem in marker["files"].values() for ending in ("parquet", "npz")]
    return ["config.json", "environment.json", "curve.parquet", *scores, *recorded_beside(marker), *receipts]


def digest_of(marker: Mapping[str, Any], name: str) -> str | None:
    """The digest of a file of the cell, by its path in the cell's folder; None in a marker that has no digests.

    Raises DamagedError for a file that a marker with digests does not know.
    """
    if marker["format"] == 1:
        return None
    try:
        return marker["sha256"][name]
    except KeyError:
        raise DamagedError(f"'{name}' of {marker['label']} seed {marker['seed']} is not in its marker") from None


def read_config(folder: Path, marker: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a cell; raises DamagedError where it is damaged, or that of another cell than the marker's."""
    path = folder / "config.json"
    config = read_json(path, digest_of(marker, path.name))
    if any(config.get(key) != marker[key] for key in ("algorithm", "hyperparameters", "training", "seed")):
        raise DamagedError(f"'{path}' is the configuration of another cell than the marker's")
    return config


def read_file(folder: Path, marker: Mapping[str, Any], name: str) -> Any:
    """A file of a cell, by its path in the cell's folder, checked; raises DamagedError where it is damaged."""
    from metagap.results.tables import read_arrays, read_frame  # slow to import; who looks at markers needs neither

    readers = {".json": read_json, ".parquet": read_frame, ".npz": read_arrays}
    path = folder / name
    return readers[path.suffix](path, digest_of(marker, name))


def check_file(folder: Path, marker: Mapping[str, Any], name: str) -> None:
    """Raise DamagedError unless a file of a cell is what was written: by its digest, or where there is none by reading
    what it holds, which takes ten times as long."""
    digest = digest_of(marker, name)
    if digest is None:
        read_file(folder, marker, name)
    else:
        read_bytes(folder / name, digest)
