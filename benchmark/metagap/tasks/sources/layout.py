"""Which class, and which part, each image file of a folder or an archive is in: by its folders.

A class is a folder of images, called by its path below the folder that all images share. Folders train, val and test at
the top are parts. Whatever could be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np

from metagap.errors import UserError

PARTS = ("train", "val", "test")

SPELLINGS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""How people call parts, in lower case."""

PICTURES = {"images", "image", "imgs", "img", "pictures", "photos"}
"""What people call a folder of the images of one class, next to others with something else of it, such as masks."""

SHOWN = 10
"""Names in a message."""

Folder = tuple[str, ...]
"""The folders above a file, from the top."""

K = TypeVar("K", bound=Hashable)


class Place(NamedTuple):
    """Where an image belongs."""

    name: str
    """Its class."""
    part: str = ""
    """The part of its class; empty where there are no parts."""


def part_of(word: str) -> str:
    """The part that is called so, in whatever capitals; empty for other words."""
    return SPELLINGS.get(word.strip().casefold(), "")


def few(names: Iterable[str], between: str = ", ") -> str:
    """Some names for a message, and how many more there are."""
    names = sorted(names)
    more = f"{between}and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return between.join(f"'{name}'" for name in names[:SHOWN]) + more


def by_folder(files: Sequence[str], where: str, join: bool = False) -> dict[str, Place]:
    """The place of every image file; join: the parts are one.

    Raises UserError, which begins with `where`, if the folders do not tell it.
    """
    folders = {file: PurePosixPath(file).parts[:-1] for file in files}
    top = shared(set(folders.values()))
    below = {file: folder[len(top) :] for file, folder in folders.items()}
    _refuse_strays(below, where)
    if parted := _parted(below, where):
        classes = _without_tail({file: folder[1:] for file, folder in below.items()})
        places = {file: Place("/".join(classes[file]), part) for file, part in parted.items()}
    else:
        places = {file: Place("/".join(folder)) for file, folder in _without_tail(below).items()}
    return settled(places, where, join)


def by_name(files: Sequence[str], pattern: str, where: str, join: bool = False) -> dict[str, Place]:
    """The place of every image file by its name, without suffix, of which the group in `pattern` is the class.

    Folders tell no more than parts, if all at the top are called so. Raises UserError for names that do not match.
    """
    found = {file: re.fullmatch(pattern, PurePosixPath(file).stem) for file in files}
    if other := [file for file, match in found.items() if match is None or not match[1]]:
        raise UserError(
            f"{where}: pattern = '{pattern}': {len(other)} of {len(files)} names do not match: {few(other)}"
        )
    folders = {file: PurePosixPath(file).parts[:-1] for file in files}
    top = len(shared(set(folders.values())))
    parts = {file: part_of(next(iter(folder[top:]), "")) for file, folder in folders.items()}
    if any(parts.values()) and not all(parts.values()):
        other = [file for file, part in parts.items() if not part]
        raise UserError(f"{where}: some folders at the top are parts, and {few(other)} are not in them")
    return settled({file: Place(match[1], parts[file]) for file, match in found.items() if match}, where, join)


def flat(files: Sequence[str]) -> dict[str, str] | None:
    """The part of every image file where folders tell no more than that; None where they may be classes."""
    folders = {file: PurePosixPath(file).parts[:-1] for file in files}
    top = shared(set(folders.values()))
    below = {file: folder[len(top) :] for file, folder in folders.items()}
    if not any(below.values()):
        return dict.fromkeys(files, "")
    parts = {file: part_of(folder[0]) if len(folder) == 1 else "" for file, folder in below.items()}
    return parts if all(parts.values()) else None


def shared(folders: set[Folder]) -> Folder:
    """The path that all of them begin with, as far as it holds no part."""
    shortest = min(folders, key=len)
    count = 0
    while count < len(shortest) and len({folder[count] for folder in folders}) == 1 and not part_of(shortest[count]):
        count += 1
    return shortest[:count]


def settled(places: Mapping[K, Place], where: str, join: bool) -> dict[K, Place]:
    """The places, without their parts if these are to be joined.

    Raises UserError for classes that are in two parts: those of val and test are to be new.
    """
    if join:
        return {key: Place(place.name) for key, place in places.items()}
    parts = defaultdict(set)
    for name, part in places.values():
        parts[name].add(part)
    both = {name: sorted(found) for name, found in parts.items() if len(found) > 1}
    if both:
        named = " and ".join(f"'{part}'" for part in sorted({part for found in both.values() for part in found}))
        raise UserError(
            f"{where}: {len(both)} of {len(parts)} classes are in more than one of the parts {named}: {few(both)}; "
            "allowed: every class in one part, for those to test on are to be new; or join_parts = true, by which the "
            "parts are one and its classes are shuffled into others"
        )
    return dict(places)


def shuffled(count: int, shares: Sequence[float], seed: int) -> dict[str, list[int]]:
    """Classes 0..count-1 dealt into train, val and test by these shares."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    train, val, _ = (round(share / sum(shares) * count) for share in shares)
    return {"train": order[:train], "val": order[train : train + val], "test": order[train + val :]}


def _refuse_strays(below: dict[str, Folder], where: str) -> None:
    """Images lie in folders that hold no other folder of images, and not at the top."""
    inner = {folder[:depth] for folder in set(below.values()) for depth in range(len(folder))}
    strays = [file for file, folder in below.items() if folder in inner or not folder]
    if len(strays) == len(below):
        raise UserError(
            f"{where}: all {len(strays)} images lie in one folder, such as {few(strays[:2])}, so their classes are not "
            "known; allowed: a folder for each class, a table labels.csv next to them with columns file and label, or "
            "`pattern`, which finds the class in the name of a file"
        )
    if strays:
        raise UserError(
            f"{where}: images lie next to folders of images: {few(strays)}; allowed: images in the folder of their "
            "class, and no class in it"
        )


def _parted(below: dict[str, Folder], where: str) -> dict[str, str]:
    """The part of every file, by the topmost folder; empty where these folders are no parts."""
    tops = {folder[0] for folder in below.values()}
    bare = {folder[0] for folder in _without_tail(below).values() if len(folder) == 1}
    parts = {top for top in tops if part_of(top)}
    if parts < tops:
        if len(tops) > 1 and not bare and all(part_of(_word(top)) for top in tops):
            raise UserError(
                f"{where}: {few(tops)} would be parts; allowed: {', '.join(PARTS)}, or other folders without such words"
            )
        if deep := parts - bare:
            raise UserError(
                f"{where}: {few(deep)} would be a part, but next to it lie {few(tops - parts)}; allowed: nothing but "
                f"{', '.join(PARTS)} at the top, or none of them"
            )
        parts = set()
    elif without := {folder[0] for folder in below.values() if len(folder) == 1} or (bare if bare < parts else set()):
        raise UserError(
            f"{where}: {few(without)} is a part and holds images without folders for their classes; allowed: "
            "PART/CLASS/IMAGE, a table labels.csv with the columns file and label, or the folder of a part as the data"
        )
    spelt = defaultdict(set)
    for top in parts:
        spelt[part_of(top)].add(top)
    if twice := next((found for found in spelt.values() if len(found) > 1), None):
        raise UserError(f"{where}: {few(twice)} are the same part; allowed: one folder for each of {', '.join(PARTS)}")
    start = 1 if parts else 0
    children = defaultdict(set)
    for folder in set(below.values()):
        for depth in range(start, len(folder)):
            children[folder[:depth]].add(folder[depth])
    for parent, names in sorted(children.items()):
        if parent and len({part_of(name) for name in names} - {""}) > 1:
            raise UserError(
                f"{where}: '{'/'.join(parent)}' holds {few(names)}, which would be parts of one class; allowed: parts "
                "at the top with folders of classes in them, or no parts"
            )
        if len(names) > 1 and any(name.casefold() in PICTURES for name in names):
            raise UserError(
                f"{where}: '{'/'.join(parent)}' holds {few(names)}, of which one would be all images of a class; "
                "allowed: nothing else next to it"
            )
    return {file: part_of(folder[0]) for file, folder in below.items()} if parts else {}


def _word(name: str) -> str:
    """The one word in a name that would be a part, such as test in test_set; empty where there is none."""
    found = [word for word in re.split(r"[\W_]+", name) if part_of(word)]
    return found[0] if len(found) == 1 else ""


def _without_tail(folders: dict[str, Folder]) -> dict[str, Folder]:
    """Without the last folders, where they are called the same for all classes and others remain: CLASS/images."""
    distinct = set(folders.values())
    cut = 0
    if len(distinct) > 1:
        while all(len(folder) > cut + 1 for folder in distinct) and len({folder[-1 - cut] for folder in distinct}) == 1:
            cut += 1
    return {file: folder[: len(folder) - cut] for file, folder in folders.items()}
