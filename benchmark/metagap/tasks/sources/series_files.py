"""Labelled series as the files of the UCR/UEA archive hold them: .ts, and .arff of Weka."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import arff

from metagap.errors import UserError

ENDINGS = (".ts", ".arff")


class Series(NamedTuple):
    """A series and its class."""

    channels: list[np.ndarray]
    """Each (time,), NaN where a value is missing."""
    label: str


def read_series(path: Path, called: str) -> list[Series]:
    """All series of a file. Raises UserError where it is damaged, holds timestamps or no classes."""
    return parsed(path.read_bytes(), str(path), called)


def parsed(data: bytes, name: str, called: str) -> list[Series]:
    """The same of a file's content; its name says what form it has."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:  # as some remarks in the archive are
        text = data.decode("cp1252", errors="replace")
    try:
        found = [*(_arff(text) if name.lower().endswith(".arff") else _ts(text))]
    except (ValueError, NotImplementedError, arff.ArffError, IndexError, TypeError, RuntimeError) as error:
        raise UserError(f"{called}: '{name}': {error}") from None
    if not found:
        raise UserError(f"{called}: '{name}' holds no series")
    return found


def _ts(text: str) -> Iterator[Series]:
    """Lines of values with commas, channels with colons, and the class last; below a head of lines with @."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    place = next((place for place, (_, line) in enumerate(lines) if line.lower() == "@data"), None)
    if place is None:
        raise ValueError("it has no line @data")
    head = {(words := line.split())[0].lower(): words[1:] for _, line in lines[:place]}
    if head.get("@timestamps", ["false"])[0].lower() == "true" or any("(" in line for _, line in lines[place:]):
        raise ValueError("it has timestamps; allowed: @timeStamps false, with values at regular times")
    classes = head.get("@classlabel", ["false"])
    if not classes or classes[0].lower() != "true":
        raise ValueError("its series have no classes; allowed: @classLabel true, with the names of the classes")
    wanted = head.get("@dimensions", head.get("@dimension"))
    for number, line in lines[place + 1 :]:
        *channels, label = (part.strip() for part in line.split(":"))
        if classes[1:] and label not in classes[1:]:
            raise ValueError(f"line {number}: class '{label}'; allowed: {', '.join(classes[1:])}")
        if not channels or (wanted and len(channels) != int(wanted[0])):
            raise ValueError(f"line {number}: {len(channels)} channels; allowed: {wanted[0] if wanted else 'some'}")
        try:
            values = [np.array([float("nan" if v.strip() == "?" else v) for v in one.split(",")]) for one in channels]
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        yield Series(values, label)


def _arff(text: str) -> Iterator[Series]:
    """Rows of values, or a table with a row for each channel, and the class last."""
    if "@data" not in text.lower():
        raise ValueError("it has no line @data")
    rows, about = arff.loadarff(io.StringIO(text))
    *others, target = about.names()
    if about[target][0] != "nominal":
        raise ValueError(f"its last attribute, '{target}', is {about[target][0]}; allowed: nominal, the class")
    kinds = {about[name][0] for name in others}
    if kinds not in ({"numeric"}, {"relational"}) or (kinds == {"relational"} and len(others) > 1):
        raise ValueError("allowed before the class: numbers, or one relational attribute of a row for each channel")
    for row in rows:
        table = row[others[0]].tolist() if kinds == {"relational"} else [[row[name] for name in others]]
        yield Series([np.array(channel, float) for channel in table], row[target].decode())
