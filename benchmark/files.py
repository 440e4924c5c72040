"""The TOML files of suites and of tables: where they lie, what they are called, and reading them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import suggest


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
        """The table of a file; raises UserError where it cannot be read."""
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
    return package / "suites" if (package / "suites").is_dir() else package.parent / "suites"


SUITES = Files("suite", _suites_folder())
TABLES = Files("table", SUITES.folder / "tables")
