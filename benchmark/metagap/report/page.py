"""The report of one suite: a page that needs nothing but itself, with its figures and tables next to it as files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metagap import __version__
from metagap.report import theme
from metagap.report.contents import page_contents, sections_of
from metagap.report.figures.saving import to_png, to_svg
from metagap.report.folder import publish
from metagap.report.frames import Frames
from metagap.report.inlining import Figures
from metagap.report.panels import Failure, Gallery, Panel, Picture, Prose, Shown, TableKind, Text, attempt, said
from metagap.report.table import WORD, Table
from metagap.report.texts import facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNATURE = b"metagap</title>"
"""What every page of ours has in it."""
DATA = ("scores", "runs", "steps", "gaps", "pairs", "gap_pairs", "published", "cells", "environments")
"""The numbers that are written beside it, a file for each table of the frames."""
PAPER = 80
"""Tables of more ems are printed across the paper: on its 184 mm their letters would be smaller than 6.5 points."""


@dataclass(frozen=True)
class Drawn:
    """A figure in its forms; `narrow` is for a phone, and empty where there is none."""

    name: str
    caption: str
    svg: str
    png: bytes
    narrow: str = ""
    title: str = ""


Content = Drawn | list[Drawn | Failure] | Table | Prose | Failure


@dataclass(frozen=True)
class Block:
    """A thing of the page with what was made of it."""

    shown: Shown
    content: Content
    heading: str = ""
    folded: str = ""
    text: str = ""

    @property
    def form(self) -> str:
        """How the template shows it."""
        forms = {Drawn: "figure", list: "gallery", Table: "table", Prose: "prose", Failure: "failure"}
        return forms[type(self.content)]


def write_report(frames: Frames, out: Path, contents: Sequence[Shown] | None = None) -> Path:
    """Write `out/index.html`, `out/figures/` and `out/tables/`, and return the path of the page.

    Everything is made before anything is written: a report that fails leaves the old one as it was. The page makes no
    request to anywhere. Raises UserError where a file cannot be written.

    Args:
        frames: the analysed results of one suite.
        out: the folder of this report; made if it is not there. Other files in it are left alone.
        contents: what is on the page; by default all that metagap and plugins have.
    """
    frames, blocks = make(frames, contents)
    data = {name: frames.data(name) for name in DATA} | frames.along.tables | frames.responses.tables
    return write_page(render(frames, blocks), blocks, data, out)


def write_page(page: str, blocks: Sequence[Block], data: Mapping[str, pd.DataFrame], out: Path) -> Path:
    """Write a page as `out/index.html` with its figures and tables, and the numbers behind them; returns its path.

    data: the numbers, a table for each file in `tables/data`. Raises UserError where a file cannot be written.
    """
    files = dict(_figure_files(blocks))
    for name, table in tables_of(blocks).items():
        made = {"csv": table.csv(), "md": table.markdown(), "tex": table.latex()}
        files |= {f"tables/{name}.{suffix}": text.encode() for suffix, text in made.items()}
    files |= {f"tables/data/{name}.csv": frame.to_csv(index=False).encode() for name, frame in data.items()}
    publish({**files, "index.html": page.encode()}, out, SIGNATURE)
    return out / "index.html"


def make(frames: Frames, contents: Sequence[Shown] | None = None) -> tuple[Frames, list[Block]]:
    """Everything that has something to show, and the frames with a note for each thing that could not be made.

    contents: as in `write_report`.
    """
    if contents is None:
        contents, faults = page_contents()
        frames = replace(frames, notes=[*frames.notes, *(f"{fault}." for fault in faults)])
    made = {place: _made(shown, frames) for place, shown in enumerate(contents) if not isinstance(shown, Text)}
    frames = replace(frames, notes=[*frames.notes, *_failures(made.values())])
    notes = tuple(frames.notes)
    blocks = []
    for place, shown in enumerate(contents):
        content = made[place] if place in made else _made(shown, frames)  # words come last, for they have the notes
        if isinstance(content, Table) and isinstance(shown, TableKind):
            computed = attempt(f"The text of '{shown.name}'", partial(said, shown.computed, frames))
            content = replace(content, notes=notes, computed=content.computed or computed)
        if content is not None:
            blocks.append(_block(shown, content, frames))
    return frames, blocks


def tables_of(blocks: Sequence[Block]) -> dict[str, Table]:
    """The tables among them, by name."""
    return {block.content.name: block.content for block in blocks if isinstance(block.content, Table)}


def _made(shown: Shown, frames: Frames) -> Content | None:
    """A thing of the page; None where there is nothing to show."""
    match shown:
        case Panel():
            return attempt(f"The figure '{shown.name}'", partial(_drawn, shown, frames))
        case TableKind():
            table = attempt(f"The table '{shown.name}'", partial(_table, shown, frames))
            return table if isinstance(table, Failure) or (table is not None and len(table.frame)) else None
        case Gallery():
            pictures = attempt(f"The figures '{shown.name}'", partial(shown.pictures, frames))
            return pictures if isinstance(pictures, Failure) else [_picture(one) for one in pictures] or None
        case Text():
            return attempt(f"The text '{shown.name}'", partial(shown.write, frames)) or None
    return Failure(f"'{shown.name}' is a {type(shown).__name__}, which no page can show.")


def _drawn(panel: Panel, frames: Frames) -> Drawn | None:
    figure, narrow = panel.figure(frames), panel.figure(frames, narrow=True)
    return None if figure is None else drawn(panel.name, said(panel.caption, frames), figure, narrow)


def drawn(name: str, caption: str, wide: Figure | None, narrow: Figure | None) -> Drawn | None:
    """A figure of a page, and the same for a phone; None where there is nothing to draw."""
    if wide is None:
        return None
    return Drawn(name, caption, to_svg(wide), to_png(wide), "" if narrow is None else to_svg(narrow))


def stacked(made: Iterable[tuple[str, str, str, Content | None]], notes: Sequence[str]) -> list[Block]:
    """The blocks of a page that no panels make: (name, section, what is clicked on to see it, content) of each.

    What has no content is left out. notes: of every table, where it is read without the page.
    """
    return [
        Block(
            Shown(name=name, section=section),
            replace(content, notes=tuple(notes)) if isinstance(content, Table) else content,
            folded=folded,
        )
        for name, section, folded, content in made
        if content
    ]


def _table(kind: TableKind, frames: Frames) -> Table | None:
    table = kind.make(frames)
    if table is not None and not isinstance(table, Table):
        raise TypeError(f"make gives a {type(table).__name__}, not a Table or None")
    return table


def _picture(picture: Picture) -> Drawn | Failure:
    def draw() -> Drawn:
        figure = picture.draw()
        return Drawn(picture.name, picture.text, to_svg(figure), to_png(figure), title=picture.title)

    return attempt(f"The figure '{picture.name}'", draw)


def _failures(made: Any) -> Iterator[str]:
    for content in made:
        if isinstance(content, Failure):
            yield str(content)
        elif isinstance(content, list):
            yield from _failures(content)


def _block(shown: Shown, content: Content, frames: Frames) -> Block:
    what = f"The text of '{shown.name}'"
    text = attempt(what, partial(said, shown.text, frames)) if isinstance(shown, Gallery) else ""
    return Block(shown, content, shown.heading, attempt(what, partial(said, shown.folded, frames)), text)


def render(frames: Frames, blocks: Sequence[Block]) -> str:
    """The page as HTML."""
    description = " ".join(frames.suite.description.split())
    return render_page(blocks, frames.suite.title, description, facts(frames), theme.styles(frames.suite))


def render_page(
    blocks: Sequence[Block],
    title: str,
    description: str,
    about: list[tuple[str, str]],
    styles: Mapping[str, theme.Style],
) -> str:
    """A page as HTML.

    about: facts, of which the first five stand below the title. styles: of the algorithms, whose names get a dot.
    """
    environment = Environment(
        loader=PackageLoader("metagap.report"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    figures = Figures()
    blocks = [_placed(block, figures) for block in blocks]
    style = environment.get_template("style.css.jinja").render(
        light=theme.variables(dark=False), dark=theme.variables(dark=True), shapes=figures.styles
    )
    script = environment.get_template("page.js").render()
    sections = []
    for section in sections_of([block.shown for block in blocks]):
        here = [block for block in blocks if block.shown.section == section.name]
        folds = [(summary, list(part)) for summary, part in groupby(here, key=lambda block: block.folded)]
        sections.append({"name": section.name, "heading": section.heading, "folds": folds})
    return environment.get_template("page.html.jinja").render(
        title=title,
        description=description,
        policy=_policy(style, script),
        style=style,
        script=script,
        facts=about,
        paper=PAPER,
        sections=sections,
        anchors=_anchors(blocks),
        colours={name: theme.css_colour(style) for name, style in styles.items()},
        version=__version__,
    )


def _placed(block: Block, figures: Figures) -> Block:
    """The block with its figures as parts of the page."""

    def placed(drawn: Drawn, label: str) -> Drawn:
        narrow = drawn.narrow and figures.inlined(drawn.narrow, f"{drawn.name}-narrow", label)
        return replace(drawn, svg=figures.inlined(drawn.svg, drawn.name, label), narrow=narrow)

    match block.content:
        case Drawn() as drawn:
            return replace(block, content=placed(drawn, f"{drawn.name.replace('-', ' ')}: {drawn.caption}"))
        case list() as pictures:
            samples = [
                placed(one, f"Sample episode of {one.title}") if isinstance(one, Drawn) else one for one in pictures
            ]
            return replace(block, content=samples)
        case _:
            return block


def _policy(style: str, script: str) -> str:
    """What the page may do: show itself. Whatever a suite or a record has slipped in neither runs nor loads anything.

    Figures have attributes of style, which can do neither.
    """
    return (
        f"default-src 'none'; script-src {_source(script)}; style-src-elem {_source(style)}; "
        "style-src-attr 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    """What a policy calls the element of just this text, which stands on a line of its own."""
    digest = hashlib.sha256(f"\n{text}".encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _anchors(blocks: Sequence[Block]) -> set[str]:
    """What on the page can be linked to: sections, tables and their rows."""
    tables = tables_of(blocks).values()
    rows = {row["id"] for table in tables for row in table.records() if row["id"]}
    return (
        {block.shown.section for block in blocks if block.shown.section}
        | {f"table-{table.name}" for table in tables}
        | rows
    )


def breakable(text: str) -> Markup:
    """Text for the page: a word too long for a phone can be broken, a ± stays with its number."""
    pieces = re.sub(rf"[^\s-]{{{WORD}}}(?=[^\s-])", "\\g<0>\0", text.replace("± ", "±\u00a0"))
    return Markup("<wbr>").join(pieces.split("\0"))


def _figure_files(blocks: Sequence[Block]) -> Iterator[tuple[str, bytes]]:
    for block in blocks:
        for drawn in block.content if isinstance(block.content, list) else [block.content]:
            if isinstance(drawn, Drawn):
                yield f"figures/{drawn.name}.svg", drawn.svg.encode()
                yield f"figures/{drawn.name}.png", drawn.png
