"""Where downloaded data lie, and where what was made of them is kept between runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

DATA_VARIABLE = "METAGAP_DATA"


def data_folder() -> Path:
    """The folder of downloaded data: $METAGAP_DATA (which `--data` sets), else `data` in the user's cache folder."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else cache_folder() / "data"


def cache_folder() -> Path:
    """The user's cache folder: everything in it can be made again."""
    return user_cache_path("metagap")


def kept(kind: str, facts: Any, make: Callable[[], Any]) -> Any:
    """The plain values that `make()` gives, kept in the cache folder; facts: all that they depend on, plain values too.

    A cache folder that cannot be written to, or a damaged file in it, only costs time.
    """
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    path = cache_folder() / kind / f"{key}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
        part.replace(path)
    except OSError:
        pass
    return made


def readable(size: int) -> str:
    """A number of bytes for people, such as 1.3 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
