"""A table of a paper next to ours, for a terminal and as files. The same records give the same files, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from metagap import kinds
from metagap.metrics import Margin, Metric
from metagap.report import published as wording
from metagap.report.folder import publish
from metagap.report.table import Table
from metagap.report.terminal import print_table
from metagap.results import Failed
from metagap.text import MISSING

SIGNATURE = b"\n## Deviations from the protocol\n"
"""What every table of ours has in it as Markdown."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Reproduction:
    """A table of a paper with what was found of it.

    cells: the columns of `metagap.analysis.published_values`, and before them column and row (of the paper's table),
    suite, iterations, configurations, device, torch and commit. budget: the share of the published iterations.
    deviations: each with the suites that have it. notes: sentences that a reader of the numbers should know. failed:
    the cells that have scores, but of meta-parameters that are no numbers.
    """

    name: str
    title: str
    citation: str
    kind: str
    margin: Margin
    budget: float
    cells: pd.DataFrame
    deviations: list[tuple[str, list[str]]]
    notes: list[str]
    failed: tuple[Failed, ...] = ()

    @property
    def metric(self) -> Metric:
        """The unit of the values."""
        return kinds.find(self.kind).metric

    @property
    def reduced(self) -> str:
        """A remark on a budget that is not the paper's; else empty."""
        return "" if self.budget == 1 else f"meta-trained for {100 * self.budget:g}% of the published iterations"

    @property
    def heading(self) -> str:
        """The title, with the budget where it is not the paper's."""
        return f"{self.title} ({self.reduced})" if self.reduced else self.title

    @property
    def folder(self) -> str:
        """The name of the folder of its files: another one for another budget."""
        return self.name if self.budget == 1 else f"{self.name}-at-{100 * self.budget:g}-percent"

    @property
    def caption(self) -> str:
        """What the numbers are."""
        reduced = f" Ours is {self.reduced}." if self.reduced else ""
        return (
            f"{self.metric.heading}, mean over the episodes.{reduced} The difference is ours − published, with its "
            "95% interval over new training runs and new episodes of both (episodes alone where ours has one seed). "
            "The margin is "
            f"{wording.margin(self.margin, self.metric)}. {wording.EXPLAINED}"
        )


def print_reproduction(found: Reproduction, console: Console) -> None:
    """The table, what each ± is, every deviation and note."""
    legend = _legend(found.cells)
    letters = {text: _letter(position) for position, text in enumerate(legend)}
    print_table(_brief(found, letters), console)
    for text, ours in legend.items():
        also = f"; ours {' or '.join(ours)}" if ours else ""
        console.print(Padding(f"[dim]{letters[text]}[/]  {escape(text + also)}", (0, 0, 0, 1)))
    console.print("[bold]Deviations from the protocol[/]")
    for sentence in deviations(found):
        console.print(Padding(escape(f"– {sentence}"), (0, 0, 0, 2)))
    for note in found.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def _brief(found: Reproduction, letters: dict[str, str]) -> Table:
    """One row per published value, with a letter for what its ± is."""
    rows = [
        {
            "column": row["column"],
            "row": row["row"],
            **wording.stacked(row, found.metric),
            "seeds": _seeds(row),
            "±": letters[_published(row)],
            "verdict": wording.verdict(row),
        }
        for row in found.cells.to_dict("records")
    ]
    return _table(found, rows, {"verdict"})


def deviations(found: Reproduction) -> list[str]:
    """Every known one as a sentence, with the suites that have it where these are not all."""
    suites = list(dict.fromkeys(found.cells["suite"]))
    sentences = [f"{found.reduced[0].upper()}{found.reduced[1:]}."] if found.reduced else []
    for sentence, about in found.deviations:
        sentences.append(sentence if about == suites else f"{sentence} ({', '.join(about)})")
    if silent := [name for name in suites if not any(name in about for _, about in found.deviations)]:
        sentences.append(f"None is named by {', '.join(silent)}.")
    return sentences


def table(found: Reproduction) -> Table:
    """One row per published value."""
    rows = []
    for row in found.cells.to_dict("records"):
        theirs, ours = wording.kinds(row)
        rows.append(
            {
                "column": row["column"],
                "row": row["row"],
                **wording.columns(row, found.metric),
                "verdict": wording.verdict(row),
                "published ±": theirs,
                "our ±": ours,
                "seeds": _seeds(row),
                "iterations": f"{row['iterations']:,}",
                "source": wording.source(row),
            }
        )
    return _table(found, rows, {"verdict", "published ±", "our ±", "source"})


def _table(found: Reproduction, rows: list[dict[str, str]], plain: set[str]) -> Table:
    frame = pd.DataFrame(rows)
    return Table("reproduction", found.caption, frame, labels=2, plain=frozenset(plain), title=found.heading)


def write(found: Reproduction, out: Path) -> Path:
    """Write the table as `reproduction.md`, `.csv` and `.tex` and its numbers as `cells.csv`; returns the first.

    The numbers have six digits: the last bits of a sum depend on the machine that adds.
    """
    made = table(found)
    files = {
        "reproduction.csv": made.csv(),
        "reproduction.tex": made.latex(),
        "cells.csv": found.cells.to_csv(index=False, float_format="%.6g"),
        "reproduction.md": _markdown(found, made),
    }
    publish({name: text.encode() for name, text in files.items()}, out, SIGNATURE)
    return out / "reproduction.md"


def _markdown(found: Reproduction, made: Table) -> str:
    parts = [f"# {found.heading}", found.citation, made.markdown().rstrip(), "## Deviations from the protocol"]
    parts.append("\n".join(f"- {sentence}" for sentence in deviations(found)))
    if found.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in found.notes)]
    run = found.cells[found.cells["seeds"] > 0]
    if len(run):
        parts += ["## Where ours come from", _provenance(run).markdown().rstrip()]
    return "\n\n".join(parts) + "\n"


def _provenance(run: pd.DataFrame) -> Table:
    columns = ["column", "row", "suite", "configurations", "device", "torch", "commit"]
    caption = "Configurations are seed-hash, as the folders of the store are called."
    return Table("provenance", caption, run[columns].astype(str), labels=2, plain=frozenset(columns[2:]))


def _legend(cells: pd.DataFrame) -> dict[str, list[str]]:
    """What was published and with which ±, and which kinds ours have next to it."""
    legend: dict[str, list[str]] = {}
    for row in cells.to_dict("records"):
        kinds, ours = legend.setdefault(_published(row), []), wording.kinds(row)[1]
        if ours not in (MISSING, *kinds):
            kinds.append(ours)
    return legend


def _published(row: Mapping[Any, Any]) -> str:
    kind = wording.kinds(row)[0]
    return wording.source(row) + ("" if kind == MISSING else f"; ± {kind}")


def _seeds(row: Mapping[Any, Any]) -> str:
    return str(row["seeds"]) if row["seeds"] else MISSING


def _letter(position: int) -> str:
    return LETTERS[position] if position < len(LETTERS) else str(position + 1)
