"""The TOML files of suites and of tables: where they lie, what they are called, and reading them."""

from __future__ import annotations

import os
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagap.errors import UserError
from metagap.extends import merged
from metagap.registry import suggest

DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
"""Names that mean a device on Windows."""


ROOM = 2**16
"""Bytes that are written to see whether anything can be."""


def fault_of_name(name: str) -> str:
    """What keeps a name from being that of a folder; empty where nothing does."""
    if not 0 < len(name) <= 60:
        return f"a name has 1 to 60 characters, not {len(name)}"
    if name != name.strip() or name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in name):
        return "a name has no slash, no control character, no dot at its start and no space around it"
    if name.partition(".")[0].casefold() in DEVICES or name.endswith("."):
        return "a name has no dot at its end, and is none of a device, such as nul or con"
    return ""


def is_inside(name: str) -> bool:
    """Whether a path with slashes, as data have it, names something below the folder that it is in, on any system."""
    parts = name.split("/")
    return name.isprintable() and not set(name) & set("\\:") and not {"", ".", ".."} & set(parts)


def folder_name(name: str, what: str) -> str:
    """The name, if a folder can be called so; raises UserError where none can. what: where it was given."""
    if fault := fault_of_name(name):
        raise UserError(f"{what}: {name!r}: {fault}")
    return name


def check_writable(folder: Path, option: str) -> None:
    """Raise UserError unless files can be written into a folder, which need not be there yet; leaves nothing behind.

    option: where the folder was given.
    """
    try:
        path = folder.absolute()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # which says where a name is too long, for one
        there = next(above for above in (path, *path.parents) if os.path.lexists(above))
        if not there.is_dir():
            raise UserError(f"{option} '{folder}': '{there}' is not a folder")
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:
        raise UserError(f"{option} '{folder}' cannot be written: {getattr(error, 'strerror', '') or error}") from None


def check_file(file: Path, option: str) -> None:
    """Raise UserError unless a file can be written there; its folder has to be there."""
    if not file.parent.is_dir():
        raise UserError(f"{option} '{file}': there is no folder '{file.parent}'")
    if file.is_dir():
        raise UserError(f"{option} '{file}' is a folder; it has to be a file")
    check_writable(file.parent, option)


@dataclass(frozen=True)
class Files:
    """The built-in files of one kind; others are named by their path."""

    kind: str
    """suite or table"""
    folder: Path

    def names(self) -> list[str]:
        """The built-in ones, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def path(self, name_or_path: str) -> Path:
        """The file of a built-in name, or the path as it is; raises UserError for a name that is not built in."""
        if Path(name_or_path).suffix == ".toml":
            return Path(name_or_path)
        if name_or_path not in (names := self.names()):
            hint = suggest(name_or_path, names, f"metagap list {self.kind}s")
            raise UserError(f"no {self.kind} {name_or_path!r}{hint}, or the path of a .toml file")
        return self.folder / f"{name_or_path}.toml"

    def read(self, path: Path) -> dict[str, Any]:
        """The table of a file, on top of that of the suite it extends; raises UserError where one cannot be read."""
        return self._read(path, ())

    def _read(self, path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
        """above: the files that extend this one, the first of all first."""
        table = self._table(path)
        if self.kind != "suite" or not {"extends", "remove"} & set(table):
            return table
        base = table.get("extends")
        if not isinstance(base, str) or not base:
            found = f"= {base!r}" if "extends" in table else "is missing, and 'remove' takes away from what it names"
            raise UserError(f"{path}: key 'extends' {found}; allowed: a built-in suite, or the path of a .toml file")
        above = (*above, path)
        try:
            below = path.parent / base if base.endswith(".toml") else self.path(base)
            if any(below.resolve() == file.resolve() for file in above):
                raise UserError(f"a circle: {' → '.join(file.stem for file in (*above, below))}")
            below_it = self._read(below, above)
        except UserError as error:
            raise UserError(f"{path}: key 'extends' = '{base}': {error}") from None
        return merged(below_it, table, str(path))

    def _table(self, path: Path) -> dict[str, Any]:
        """What stands in a file itself."""
        what = f"{self.kind} file {str(path)!r}"
        try:
            if path.exists() and not path.is_file():  # a pipe, for one, would be waited for
                raise UserError(f"{what} is not a file")
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            built_in = f"; the built-in {self.kind} is called '{path.stem}'" if path.stem in self.names() else ""
            raise UserError(f"no {what}{built_in}; `metagap list {self.kind}s` has the built-in ones") from None
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{what} is not valid TOML: {error}") from None
        except RecursionError:
            raise UserError(f"{what} is nested too deeply") from None
        except (OSError, ValueError) as error:  # no text, or no path
            raise UserError(f"{what} cannot be read: {error}") from None

    def title(self, name: str) -> str:
        """The title of a built-in one, by its file alone."""
        return self.read(self.path(name))["title"]


def _suites_folder() -> Path:
    """In the installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    return package / "suites" if (package / "suites").is_dir() else package.parents[1] / "suites"


SUITES = Files("suite", _suites_folder())
TABLES = Files("table", SUITES.folder / "tables")
