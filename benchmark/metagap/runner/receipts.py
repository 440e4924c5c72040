"""What was scored before: files of a split that are still what was written, as scores of these very weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from metagap import digests, results
from metagap.algorithms.base import Params
from metagap.runner.context import log


def digest_of(params: Params) -> str:
    """What identifies weights, wherever they lie."""
    known = hashlib.sha256()
    for name, value in sorted(params.items()):
        known.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        known.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return known.hexdigest()


def write_receipt(folder: Path, stem: str, weights: str, sha256: dict[str, str]) -> None:
    """Say that the files of a split are whole: their digests by name, and of which weights they are the scores."""
    results.write_signed(folder / f"{stem}.json", {"weights": weights, "sha256": sha256})


def intact(folder: Path, stem: str, weights: str) -> dict[str, str]:
    """The files of a split that need not be made again, with their digests; others are set aside, which is logged."""
    receipt = folder / f"{stem}.json"
    names = (f"{stem}.parquet", f"{stem}.npz", stem + results.CLASSES, stem + results.ROLLOUTS)
    try:
        known = results.read_signed(receipt) if receipt.is_file() else {"weights": weights, "sha256": {}}
    except results.DamagedError as error:
        _aside(receipt, str(error))
        known = {"weights": weights, "sha256": {}}
    whole = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            continue
        digest = known["sha256"].get(name)
        if digest is None:
            _aside(path, f"'{path}' has no receipt, as after an interruption or of an older version")
        elif known["weights"] != weights:
            _aside(path, f"'{path}' is of other weights")
        elif digests.of_file(path) != digest:
            _aside(path, f"'{path}' is damaged: it is not what was written, by its sha256")
        else:
            whole[name] = digest
    return whole


def _aside(path: Path, reason: str) -> None:
    log.warning("%s; it is made again, and kept as '%s'", reason, results.set_aside(path).name)
