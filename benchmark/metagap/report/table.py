"""A table as text, written as CSV, Markdown and LaTeX, shown on the page and on a terminal from the same cells."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import pandas as pd

from metagap.text import number

WORD = 18  # characters of a word that may be broken beyond
HEAD = 11  # characters of a line in the headings on paper
WRAP = 16  # characters of a line in the headings of a LaTeX table
SHORT = 300  # characters of an explanation that a LaTeX caption can take
LATEX = str.maketrans(
    {
        **{character: "\\" + character for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
        **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "–": "--", "→": r"$\to$", "“": "``", "”": "''"},
        **{"√": r"$\surd$", "²": r"$^2$", "·": r"$\cdot$", "×": r"$\times$", "≈": r"$\approx$", "Δ": r"$\Delta$"},
        **{"…": r"\dots{}", "—": "---", "’": "'", "‘": "`", "≤": r"$\leq$", "≥": r"$\geq$", "`": r"\textasciigrave{}"},
        **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "σ": r"$\sigma$"},
    }
)


@dataclass(frozen=True)
class Table:
    """A table of finished text.

    Attributes:
        name: file name without suffix.
        caption: what is shown, in which unit, with which interval.
        frame: text cells; the first `labels` columns name the row.
        groups: column -> heading above it, for the columns that have one.
        labels: how many leading columns are row labels.
        best: (row position, column) of the cells set in bold.
        highest: of those set in italics.
        plain: columns of prose, aligned to the left.
        title: a few words, where a caption alone would not do.
        computed: how the numbers were computed; the page has it folded, Markdown below the caption, and LaTeX in it
            where it is short.
        notes: what a reader of the numbers should know; the page says it once for all tables.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    groups: dict[str, str] = field(default_factory=dict)
    labels: int = 1
    best: frozenset[tuple[int, str]] = frozenset()
    highest: frozenset[tuple[int, str]] = frozenset()
    plain: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    title: str = ""
    computed: str = ""

    def __post_init__(self) -> None:
        frame = self.frame.rename(columns=str).map(_as_text)
        object.__setattr__(self, "frame", frame.reset_index(drop=True))

    @property
    def heads(self) -> list[tuple[str, int]]:
        """The upper heading row as (text, number of columns it spans); empty without groups."""
        spans: list[tuple[str, int]] = []
        for column in self.frame.columns if self.groups else ():
            group = self.groups.get(column, "")
            if spans and spans[-1][0] == group:
                spans[-1] = (group, spans[-1][1] + 1)
            else:
                spans.append((group, 1))
        return spans

    @property
    def ems(self) -> int:
        """The least width on paper, in widths of its letter size, if cells are broken between words."""
        return self._ems(r"(?<!±)\s")

    @property
    def ems_whole(self) -> int:
        """The same if numbers stay together with their intervals."""
        return self._ems(None)

    def _ems(self, breaks: str | None) -> int:
        width = 0.0
        for column in self.frame.columns:
            left = self.is_left(column)
            pattern = r"[\s-]" if left else breaks
            pieces = [
                piece for text in self.frame[column] for piece in (re.split(pattern, text) if pattern else [text])
            ]
            longest = max(map(len, pieces), default=0)
            heads = max(map(len, re.split(r"[\s-]", column)))
            width += 0.66 * max(min(longest, WORD + 1) if left else longest, min(heads, HEAD)) + 0.8
            width += 1.2 if column == self.frame.columns[0] else 0  # the dot of an algorithm
        return math.ceil(width)

    def csv(self) -> str:
        """Comma-separated, as displayed, with one heading row: a group is written before its columns."""
        names = {c: f"{group}: {c}" for c, group in self.groups.items() if group}
        return self.frame.rename(columns=names).to_csv(index=False)

    def markdown(self) -> str:
        """A pipe table with caption and notes below."""
        align = ["---" if self.is_left(c) else "---:" for c in self.frame.columns]
        groups = [self.groups.get(c, "") for c in self.frame.columns]
        heads = [
            f"{_md(group)}:<br>{_md(c)}" if group else _md(c)
            for group, c in zip(groups, self.frame.columns, strict=True)
        ]
        rows = [heads, align, *self._set(_md, "**{}**", "*{}*").itertuples(index=False)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        below = [self.caption, *filter(None, [self.computed]), *self.notes]
        return "\n\n".join(["\n".join(lines), *map(_md, below)]) + "\n"

    def latex(self) -> str:
        """A booktabs table, notes at the end of the caption, never wider than a line; needs booktabs and graphicx."""
        frame = self._set(_tex, r"\textbf{{{}}}", r"\textit{{{}}}")
        align = "".join("l" if self.is_left(c) else "r" for c in frame.columns)
        heads = [_stacked(c, "l" if self.is_left(c) else "r") for c in frame.columns]
        groups = [_tex(self.groups.get(c, "")) for c in frame.columns]
        frame.columns = pd.MultiIndex.from_arrays([groups, heads]) if self.groups else heads
        computed = [self.computed] if 0 < len(self.computed) <= SHORT else []
        caption = _tex(" ".join([self.caption, *computed, *self.notes]))
        text = frame.to_latex(
            index=False, escape=False, column_format=align, multicolumn_format="c", caption=caption,
            label=f"tab:{self.name}", position="htbp",
        )  # fmt: skip
        fit = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" + "\n"
        text = text.replace(r"\caption", "\\centering\n\\caption", 1).replace(
            r"\begin{tabular}", fit + r"\begin{tabular}"
        )
        return text.replace(r"\end{tabular}", "\\end{tabular}}")

    def _set(self, escape: Callable[[str], str], bold: str, italic: str) -> pd.DataFrame:
        """The frame as escaped text, the best cells in bold, the highest in italics."""

        forms = {"best": bold, "highest": italic, "": "{}"}
        columns = {
            column: [forms[self.style(row, column)].format(escape(text)) for row, text in enumerate(self.frame[column])]
            for column in self.frame.columns
        }
        return pd.DataFrame(columns, columns=self.frame.columns, dtype=str)

    def turned(self) -> Table:
        """A table with one label as its transpose: a row for each column, named by its group and its heading."""
        first, *columns = self.frame.columns
        rows = [
            {"": self.groups.get(column, ""), first: column}
            | dict(zip(self.frame[first], self.frame[column], strict=True))
            for column in columns
        ]
        best, highest = (
            frozenset((columns.index(column), self.frame[first][row]) for row, column in cells)
            for cells in (self.best, self.highest)
        )
        return replace(self, frame=pd.DataFrame(rows), groups={}, labels=2, best=best, highest=highest)

    def records(self) -> list[dict]:
        """The rows for the page: cells with their role, and whether the row opens a new block of first labels.

        The first of the rows with the same labels has an `id`, to which findings can link.
        """
        rows, before = [], None
        known: set[str] = set()
        for position, values in enumerate(self.frame.itertuples(index=False)):
            first = values[0] if self.labels > 1 else None
            cells = [
                {
                    "text": text,
                    "label": number < self.labels,
                    "again": number == 0 and first is not None and first == before,
                    "left": self.is_left(column),
                    "style": self.style(position, column),
                }
                for number, (column, text) in enumerate(zip(self.frame.columns, values, strict=True))
            ]
            id = row_id(self.name, *values[: self.labels])
            rows.append(
                {"id": "" if id in known else id, "cells": cells, "opens": first is not None and first != before}
            )
            known.add(id)
            before = first
        return rows

    def style(self, row: int, column: str) -> str:
        """The class of a cell on the page."""
        return "best" if (row, column) in self.best else "highest" if (row, column) in self.highest else ""

    def is_left(self, column: str) -> bool:
        """Whether a column holds words."""
        return column in self.plain or list(self.frame.columns).index(column) < self.labels


def row_id(table: str, *labels: str) -> str:
    """The id on the page of the row of a table that has these labels."""
    return ":".join([f"row-{table}", *(quote(label, safe="") for label in labels)])


def _as_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else number(cell) if isinstance(cell, float) else str(cell)


def _tex(text: str) -> str:
    """Text as LaTeX; a cell that begins like an argument of the line break before it is protected from that."""
    escaped = "-{}-".join(part.translate(LATEX) for part in " ".join(str(text).split()).split("--"))
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def _stacked(heading: str, align: str) -> str:
    """A heading in lines of about `WRAP` characters."""
    lines = [_tex(line) for line in textwrap.wrap(str(heading), WRAP, break_long_words=False)]
    return rf"\shortstack[{align}]{{" + r" \\ ".join(lines) + "}" if len(lines) > 1 else "".join(lines)


def _md(text: str) -> str:
    """Text as Markdown, so that nothing in it is read as markup."""
    escaped = re.sub(r"[\\`*|\[\]]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", " ".join(str(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
