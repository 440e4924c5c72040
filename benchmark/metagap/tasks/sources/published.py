"""What is common to data sets that somebody publishes: where their files lie on this machine, and are fetched from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from metagap.errors import UserError
from metagap.tasks.folders import data_folder
from metagap.tasks.sources.download import Remote, fetch


class Published:
    """The part of a source that finds and fetches files of the data folder."""

    title: ClassVar[str]
    """In lower-case letters it is the name under which the source is registered."""
    licence: ClassVar[str]
    citation: ClassVar[str]
    named_by: ClassVar[str] = ""
    """These three as in `Source`."""
    download_size: ClassVar[str] = ""
    """For people; empty where there is nothing to download."""
    remotes: ClassVar[Sequence[Remote]] = ()
    """The files on the publisher's servers."""
    by_hand: ClassVar[str] = ""
    """Where nobody may fetch the files for the user: what to fetch, and where to lay it."""

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return self.title

    def addresses(self) -> Sequence[Remote]:
        """The files on the publisher's servers; a subclass may ask a library for them."""
        return self.remotes

    def download(self, folder: Path) -> None:
        """Fetch what is not in `folder` yet. Raises UserError where that fails, or where people have to do it."""
        if not self.addresses():
            raise UserError(f"{self.title}: {self.by_hand or 'there is nothing to download'}")
        for remote in self.addresses():
            if not (folder / remote.path).exists():
                fetch(remote, folder, self.title)

    @abstractmethod
    def paths(self) -> list[Path]:
        """The files and folders that are read; raises UserError for the first that is missing."""

    def checksums(self) -> dict[str, str]:
        """The publisher's md5 of each file, by file name, where it is known."""
        return {Path(remote.path).name: remote.md5 for remote in self.addresses() if remote.md5}

    def find(self, *candidates: str) -> Path:
        """The first of these files or folders (or patterns such as `*.zip`) of the data folder that is there."""
        folder = data_folder()
        for candidate in candidates:
            if found := sorted(folder.glob(candidate)):
                return found[0]
        name = self.title.lower() + (f":{getattr(self, self.named_by)}" if self.named_by else "")
        hint = self.by_hand or f"fetch it with `metagap data get {name} --data {folder}`"
        raise UserError(
            f"{self.title}: no file '{folder / candidates[0]}'; {hint}, or name the folder that holds it with --data"
        )
