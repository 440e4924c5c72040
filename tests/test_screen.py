"""Texts of others on the terminal: shown, not acted upon."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table

from metagap.cli import output
from metagap.screen import Screen
from metagap.text import printable

EVIL = "\x1b]0;mine\x07\x1b[2Jgone\x9b31m\u202e"
SHOWN = r"\x1b]0;mine\x07\x1b[2Jgone\x9b31m\u202e"


def test_control_characters_are_shown():
    assert printable(EVIL) == SHOWN
    assert printable("a ± b\u00a0c\n\td ✓") == "a ± b\u00a0c\n\td ✓"


@pytest.mark.parametrize("colours", [False, True])
def test_no_text_moves_the_cursor(colours):
    written = io.StringIO()
    screen = Screen(file=written, force_terminal=colours, width=120, highlight=False)
    table = Table("name")
    table.add_row(EVIL.replace("[", r"\["))
    screen.print(table)
    screen.print(EVIL, markup=False)
    screen.print(f"[bold]{EVIL}")
    text = written.getvalue()
    assert "\x1b]" not in text and "\x1b[2J" not in text and not set("\x07\x9b\u202e") & set(text)
    assert text.count(r"\x1b]0;mine") == 3
    assert ("\x1b[1m" in text) == colours  # what we ask for ourselves


def test_a_title_is_no_markup(capsys):
    output.print_title(output.console(), "[red]title[/red] [/]", ": 2 cells of [blue]")
    assert capsys.readouterr().out == "[red]title[/red] [/]: 2 cells of [blue]\n"


def test_json_has_no_control_characters_and_means_the_same(capsys):
    output.print_json({"title": EVIL, "more": "ä ±"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"title": EVIL, "more": "ä ±"}
    assert "ä ±" in out and not set("\x1b\x07\x9b\u202e") & set(out)
