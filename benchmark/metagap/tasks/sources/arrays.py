"""Images and labels in NumPy's files: .npz with all of a data set, .npy with one image."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metagap.errors import UserError
from metagap.memory import require_arrays
from metagap.tasks.image_store import Reading
from metagap.tasks.sources.brightness import Rules, Survey, checked
from metagap.tasks.sources.layout import PARTS, Place, few, part_of, settled

IMAGES = ("images", "image", "x", "data", "arr_0")
LABELS = ("labels", "label", "y", "targets", "target", "arr_1")
NAMES = ("class_names", "classes", "label_names", "names")
"""The names of arrays that are understood, in any capitals, with the name of a part before or behind them."""

CHANNELS = (1, 3, 4)

EXACT = 2**53
"""Fractional numbers beyond cannot tell neighbouring whole numbers apart."""

FORMS = (
    "`images` (n, H, W), (n, H, W, C) or (n, C, H, W), where C is 1, 3 or 4, with `labels` (n,); or `images` "
    "(classes, n, H, W) or (classes, n, H, W, C) alone"
)


class Labelled(NamedTuple):
    """Images (n, H, W) or (n, H, W, C), the label of each (n,), and the names of the labels, if they have names."""

    images: np.ndarray
    labels: np.ndarray
    names: dict


def read_npz(path: Path, rules: Rules, join: bool = False) -> Reading:
    """All images of an .npz file as 8-bit levels. Raises UserError for what is damaged or can be read in two ways."""
    where = f"'{path}'"
    pieces = {part: labelled(arrays, where) for part, arrays in _by_part(load_npz(path), where).items()}
    return joined(pieces, where, rules, join)


def joined(pieces: Mapping[str, Labelled], where: str, rules: Rules, join: bool) -> Reading:
    """The images of all parts as 8-bit levels; join: the parts are one."""
    places = {
        (part, label): Place(str(piece.names.get(label, label)), part)
        for part, piece in pieces.items()
        for label in np.unique(piece.labels).tolist()
    }
    if blank := [place for place in places.values() if not place.name.strip()]:
        raise UserError(f"{where}: {len(blank)} classes have an empty name")
    if twice := [name for (name, _), count in Counter(places.values()).items() if count > 1]:
        raise UserError(f"{where}: several classes are called {few(twice)}; allowed: a name of its own for each")
    places = settled(places, where, join)
    found = list(dict.fromkeys(places.values()))
    index = {place: i for i, place in enumerate(found)}
    labels = [index[places[part, label]] for part, piece in pieces.items() for label in piece.labels.tolist()]
    images, notes = _levelled([piece.images for piece in pieces.values()], where, rules)
    parts = [place.part for place in found] if any(place.part for place in found) else []
    return Reading(images, np.array(labels), [place.name for place in found], parts=parts, notes=notes)


def read_npy(data: bytes) -> np.ndarray:
    """The image in an .npy file: (H, W), (H, W, 3) or (H, W, 4). Raises ValueError for anything else."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = header(file)
    if dtype.hasobject or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(data) - file.tell():
        raise ValueError("it is not as long as its header says, or holds Python objects")
    image = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if by_column else "C")
    if image.ndim not in (2, 3):
        raise ValueError(f"it has shape {shape}; allowed: (H, W), (H, W, C) or (C, H, W), where C is 1, 3 or 4")
    return checked(_channels_last(image[None])[0])


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file. Raises UserError where it is damaged, or holds Python objects."""
    key = ""
    try:
        require_arrays(path, f"'{path}'")
        with np.load(path, allow_pickle=False) as stored:
            found = {}
            for key in stored.files:
                found[key] = stored[key]
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        MemoryError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        if "Object arrays" in str(error):
            raise UserError(
                f"'{path}': `{key}` holds Python objects, which are not read; allowed: numbers and texts, such as "
                "labels.astype(str)"
            ) from None
        raise UserError(f"'{path}' is not a readable .npz file: {error or 'it is cut off'}") from None
    return {key: array for key, array in found.items() if isinstance(array, np.ndarray)}  # others are no .npy files


def _by_part(arrays: Mapping[str, np.ndarray], where: str) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each part, by their names without the part's; one nameless part if the images are in one array."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        part, rest = split(key)
        if rest in found.setdefault(part, {}):
            raise UserError(f"{where}: several arrays could be `{rest}`: {few(arrays)}; allowed: {FORMS}")
        found[part][rest] = array
    shared = found.pop("", {})
    deep = [part for part, own in found.items() if any(array.ndim > 2 for array in own.values())]
    if any(array.ndim > 2 for array in shared.values()):
        if deep:
            raise UserError(f"{where}: several arrays could be the images: {few(arrays)}; allowed: {FORMS}")
        return {"": {key.casefold(): array for key, array in arrays.items()}}
    if len(deep) == 1:  # X_train and y_train, and nothing to test on
        return {"": shared | found[deep[0]]}
    return {part: shared | found[part] for part in PARTS if part in deep} or {"": dict(arrays)}


def split(key: str) -> tuple[str, str]:
    """The part in an array's name, and the rest of it in lower case."""
    words = key.casefold().replace("-", "_").split("_")
    parts = [part_of(word) for word in words if part_of(word)]
    rest = [word for word in words if not part_of(word)]
    return (parts[0], "_".join(rest)) if len(parts) == 1 and rest else ("", key.casefold())


def labelled(arrays: dict[str, np.ndarray], where: str) -> Labelled:
    """Images and labels, whatever their arrays are called, as long as it is clear which is which."""
    shapes = ", ".join(f"`{key}` {array.shape} of {array.dtype}" for key, array in arrays.items()) or "nothing"
    found = f"found: {shapes}; allowed: {FORMS}"
    deep = {key: array for key, array in arrays.items() if array.ndim > 2}
    images = next((deep[key] for key in IMAGES if key in deep), None)
    if images is None:
        if len(deep) != 1:
            raise UserError(f"{where}: it is not clear which array holds the images; {found}")
        (images,) = deep.values()
    if 0 in images.shape:
        raise UserError(f"{where}: there are no images; {found}")
    rest = {key: array for key, array in arrays.items() if array is not images}
    if (names := rest.get("class_names")) is not None and names.ndim != 1:
        raise UserError(f"{where}: `class_names` has shape {names.shape}; allowed: one name for each class, (classes,)")
    named = next((rest.pop(key) for key in NAMES if key in rest and rest[key].ndim == 1), None)
    labels = next((rest[key] for key in LABELS if key in rest), None)
    if labels is None:
        likely = [array for array in rest.values() if array.shape in ((len(images),), (len(images), 1))]
        if len(likely) > 1:
            raise UserError(f"{where}: it is not clear which array holds the labels; {found}")
        labels = likely[0] if likely else None
    if labels is None:
        labels, images = _grouped(images, named, where, found)
    if labels.shape == (len(images), 1):
        labels = labels[:, 0]
    if labels.shape != (len(images),):
        raise UserError(f"{where}: labels of shape {labels.shape} for {len(images)} images; {found}")
    try:
        images = _channels_last(images)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    labels = _whole(labels, where)
    return Labelled(images, labels, _named(np.unique(labels).tolist(), named, where))


def _grouped(images: np.ndarray, named: np.ndarray | None, where: str, found: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels of images that are grouped by class, and the images in a row."""
    if images.ndim not in (4, 5):
        raise UserError(f"{where}: labels are missing; {found}")
    colour = images.shape[-1] in CHANNELS or (
        images.shape[1] in (1, 3) and (named is None or len(named) != len(images))
    )
    if images.ndim == 4 and colour:
        raise UserError(
            f"{where}: labels are missing, or it is not clear what the dimensions of the images are; {found}"
        )
    return np.repeat(np.arange(len(images)), images.shape[1]), images.reshape(-1, *images.shape[2:])


def _channels_last(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W), (n, H, W, C) or (n, C, H, W) as (n, H, W) or (n, H, W, C). Raises ValueError for others."""
    if images.ndim == 3:
        return images
    first, last = (images.ndim == 4 and images.shape[axis] in CHANNELS for axis in (1, -1))
    if first == last:
        one = (
            "its dimensions are not clear" if first else f"no 1, 3 or 4 channels in images of shape {images.shape[1:]}"
        )
        raise ValueError(f"{one}; allowed: (H, W), (H, W, C) or (C, H, W), where C is 1, 3 or 4")
    images = np.moveaxis(images, 1, -1) if first else images
    return images[..., 0] if images.shape[-1] == 1 else images


def _whole(labels: np.ndarray, where: str) -> np.ndarray:
    """Labels as whole numbers or texts."""
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U" or labels.dtype.kind in "iu":
        return labels
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind != "f":
        raise UserError(f"{where}: labels are {labels.dtype}; allowed: whole numbers or texts")
    odd = labels[~np.isfinite(labels) | (labels != np.floor(labels)) | (np.abs(labels) > EXACT)]
    if len(odd):
        raise UserError(
            f"{where}: {len(odd)} labels are no whole numbers, such as {odd[0]}; allowed: whole numbers or texts"
        )
    return labels.astype(np.int64)


def _named(labels: list, named: np.ndarray | None, where: str) -> dict:
    """The name of each label: `named` has them at the labels' places, or for the labels that there are, in order."""
    if named is None:
        return {}
    names = (
        np.char.decode(named, "utf-8", "replace").tolist() if named.dtype.kind == "S" else named.astype(str).tolist()
    )
    if isinstance(labels[0], str):
        if absent := sorted(set(labels) - set(names)):
            raise UserError(f"{where}: {few(absent)} are labels but no class names; allowed: labels among the names")
        return {}
    if labels[0] >= 0 and labels[-1] < len(names):
        return {label: names[label] for label in labels}
    if len(labels) == len(names):
        return dict(zip(labels, names, strict=True))
    raise UserError(
        f"{where}: {len(names)} class names for {len(labels)} labels from {labels[0]} to {labels[-1]}; allowed: one "
        "for each label"
    )


def _levelled(pieces: list[np.ndarray], where: str, rules: Rules) -> tuple[Iterable[np.ndarray], list[str]]:
    """All images as 8-bit levels, and what there is to report of them."""
    survey = Survey()
    try:
        for piece in pieces:
            survey.numbers(checked(piece))
    except ValueError as error:
        raise UserError(f"{where}: images: {error}") from None
    for image in (image for piece in pieces for image in piece if piece.shape[3:] == (4,)):
        survey.transparency(image)
    levels = survey.levels(where, rules)
    if all(piece.dtype == np.uint8 and piece.shape[3:] != (4,) for piece in pieces) and levels.whole == 255:
        images = pieces[0] if len(pieces) == 1 else (image for piece in pieces for image in piece)
    else:
        images = (levels.flattened(levels.scaled(image)) for piece in pieces for image in piece)
    return images, survey.notes(levels)
