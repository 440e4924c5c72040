"""What a page is made of: each thing on it is one object that says in which section it stands and how it is made.

Whatever cannot be made is a sentence in its place, so that a report does not fail by what a plugin shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from metagap.report.frames import Frames
from metagap.report.table import Table
from metagap.report.theme import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Says = str | Callable[[Frames], str]
"""A text, or a function that writes it."""


def said(text: Says, frames: Frames) -> str:
    """The text itself."""
    return text if isinstance(text, str) else text(frames)


class Section(NamedTuple):
    """A section of the page: the name that links to it, and its heading."""

    name: str
    heading: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What all things on a page have.

    Attributes:
        name: of its files and links: lower-case letters, digits and dashes, different for all things of a page.
        section: the name of the section that it stands in; another name begins a section at the end of the page. A
            thing without one is not on the page, but in files or on the terminal.
        heading: above it.
        folded: what to click on to see it; things that follow each other with the same text unfold together.
    """

    name: str
    section: str
    heading: str = ""
    folded: Says = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: allowed are lower-case letters and digits, joined by dashes")


@dataclass(frozen=True, kw_only=True)
class Panel(Shown):
    """A figure.

    Attributes:
        caption: below it: what is shown, in which unit, what the whiskers and bands are.
        draw: (frames, narrow) -> the figure, or None where the results have nothing to draw. It is called twice, for
            the page and (`narrow`) for a phone, with the settings of `theme.drawing`.
    """

    caption: Says
    draw: Callable[[Frames, bool], Figure | None]

    def figure(self, frames: Frames, narrow: bool = False) -> Figure | None:
        """It drawn, in the style of the page."""
        with drawing():
            return self.draw(frames, narrow)


@dataclass(frozen=True, kw_only=True)
class TableKind(Shown):
    """A table, written as CSV, Markdown and LaTeX too.

    Attributes:
        make: frames -> the table, or None where the results have nothing to show.
        terminal: the same for a terminal, where it is printed there too.
        computed: how its numbers were computed: the statistic, what the intervals resample, their formula in words,
            what is corrected for. It unfolds below the table; empty where there is nothing to say.
    """

    make: Callable[[Frames], Table | None]
    terminal: Callable[[Frames], Table | None] | None = None
    computed: Says = ""


class Picture(NamedTuple):
    """One of the small figures of a gallery: its file's name, what is below it, and how it is drawn."""

    name: str
    title: str
    text: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, kw_only=True)
class Gallery(Shown):
    """Small figures next to each other, with a sentence above them."""

    text: Says
    pictures: Callable[[Frames], list[Picture]]


class Phrase(NamedTuple):
    """Text, whether it is set in bold, and the id on the page that it links to, if any (see `table.row_id`)."""

    text: str
    strong: bool = False
    target: str = ""


@dataclass(frozen=True)
class Prose:
    """Paragraphs, terms with their meaning, and items of a list; all of it plain text. style: a class of the page."""

    paragraphs: Sequence[Sequence[Phrase]] = ()
    terms: list[tuple[str, str]] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    style: str = ""

    def __bool__(self) -> bool:
        return bool(self.paragraphs or self.terms or self.items)


@dataclass(frozen=True, kw_only=True)
class Text(Shown):
    """Words. write: frames -> the words, or None where there is nothing to say."""

    write: Callable[[Frames], Prose | None]


class Failure(str):
    """The sentence that stands in the place of what could not be made."""


def attempt(what: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, or a `Failure` that begins with `what`."""
    try:
        return make()
    except (Exception, SystemExit) as error:
        about = f"{type(error).__name__}: {error}".rstrip(": ")
        return Failure(f"{what} cannot be {'made' if 'table' in what else 'drawn'}: {about}.")
