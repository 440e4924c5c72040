"""The page of a suite that leaves one domain out: scores, gaps and rules of selection; and the same on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from metagap.analysis.along.selection import COSTS
from metagap.analysis.domains import LAST, SCORE, Domains
from metagap.analysis.grids import AVERAGE
from metagap.report import terminal, theme
from metagap.report.page import Block, render_page, stacked, write_page
from metagap.report.panels import Phrase, Prose
from metagap.report.table import Table
from metagap.report.tables import domains as tables
from metagap.text import listed

if TYPE_CHECKING:
    from rich.console import Console

TABLES: dict[str, Callable[[Domains], Table | None]] = {
    "scores": tables.scores,
    "gaps": tables.gaps,
    "rules": tables.rules,
}
"""Name -> how it is made; None where there is nothing to show."""


def findings(found: Domains) -> list[list[Phrase]]:
    """Who scores how on average over the held-out domains, and what the selection costs."""
    average = found.scores[found.scores["held_out"] == AVERAGE]
    if average.empty:
        return [[Phrase("There are no results of every held-out domain, so that there is no average over them.")]]
    paragraphs = []
    for what, text in ((SCORE, found.metric.score), ("domain gap", found.metric.gap)):
        rows = average[average["what"] == what].sort_values("value", ascending=what != SCORE, kind="stable")
        told = [f"{one['algorithm']} {text(one['value'], one['low'], one['high'])}" for one in rows.to_dict("records")]
        if told:
            about = f"Average {'score on' if what == SCORE else 'gap to'} {len(found.domains)} held-out domains"
            paragraphs.append([Phrase(about, strong=True), Phrase(f": {'; '.join(told)}.")])
    last = found.rules[found.rules["rule"] == LAST]
    if not last.empty and (last["family"] > 0).all():
        costly = last[last["verdict"] == COSTS].to_dict("records")
        told = [f"{one['algorithm']} ({found.metric.gap(one['cost'])})" for one in costly]
        few = f"costs something for {listed(told)}" if told else "costs nothing that can be told"
        paragraphs.append(
            [Phrase("To take the last iteration", strong=True), Phrase(f" {few}; see the table of rules.")]
        )
    elif not last.empty:
        paragraphs.append([Phrase("What a rule of selection costs is claimed from three seeds on.")])
    return paragraphs


def blocks(found: Domains) -> list[Block]:
    """The page from top to bottom."""
    made = [
        ("findings", "findings", "", Prose(paragraphs=findings(found), style="verdict")),
        ("notes", "findings", "", Prose(items=found.notes, style="notes")),
        ("scores", "scores", "", tables.scores(found)),
        ("gaps", "gaps", "", tables.gaps(found)),
        ("rules", "selection", "", tables.rules(found)),
        ("run", "what-was-run", "", Prose(terms=_run(found))),
    ]
    return stacked(made, found.notes)


def _facts(found: Domains) -> list[tuple[str, str]]:
    """The suite in a few words, below the title of the page."""
    suite = found.results.suite
    seeds = found.scores["seeds"]
    several = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    several += " seed" if several == "1" else " seeds"
    return [
        ("Held out, one after the other", ", ".join(found.domains)),
        ("Task", f"{suite.shape()} {suite.kind}"),
        ("Model", suite.model["name"]),
        ("Training", f"{suite.training.iterations:,} iterations on the other domains, {several}"),
    ]


def _run(found: Domains) -> list[tuple[str, str]]:
    members = [
        (found.results.said(values), f"variant {one.variant}: {len(one.cells)} cells")
        for values, one in found.results.members.items()
    ]
    return [*_facts(found), ("Algorithms", ", ".join(found.algorithms)), *members]


def write(found: Domains, folder: Path) -> Path:
    """Write the page with its tables, and return its path. Raises UserError where a file cannot be."""
    suite, made = found.results.suite, blocks(found)
    page = render_page(made, suite.title, " ".join(suite.description.split()), _facts(found), theme.styles(suite))
    data = {"domains": found.scores, "rules": found.rules, "selected": found.selected}
    return write_page(page, made, {name: frame for name, frame in data.items() if not frame.empty}, folder)


def print_domains(found: Domains, console: Console) -> None:
    """The findings, all tables, and the notes."""
    for paragraph in findings(found):
        console.print("".join(f"[bold]{escape(one.text)}[/]" if one.strong else escape(one.text) for one in paragraph))
    for make in TABLES.values():
        if (table := make(found)) is not None:
            terminal.print_table(table, console)
    for note in found.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def as_json(found: Domains) -> dict[str, Any]:
    """All numbers as plain values."""
    frames = {"scores": found.scores, "rules": found.rules, "selected": found.selected}
    return {"held_out": found.domains, **{k: terminal.as_json(v) for k, v in frames.items()}, "notes": found.notes}
