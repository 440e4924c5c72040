"""Long jobs tell how far they are: on a terminal by bars, in a log by lines."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from metagap import progress


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0.01)
    monkeypatch.setattr(progress, "NEXT_LINES", 0.02)


def test_without_a_terminal_lines_say_how_far_a_job_is(quick):
    log = io.StringIO()
    with progress.bars(Console(file=log, width=60)) as bars:
        cell = bars.add_task("maml seed 0, of a suite with a [long] name, meta-training", total=40)
        for _ in range(8):
            bars.advance(cell)
            time.sleep(0.02)
    lines = log.getvalue().splitlines()
    assert 2 <= len(lines) <= 16
    form = r"\d\d:\d\d:\d\d maml seed 0, of a suite with a \[long\] name, meta-training, \d/40, \d+/s, 0:00:\d\d left"
    assert re.fullmatch(form, lines[-1])


def test_a_short_job_says_nothing_in_a_log():
    log = io.StringIO()
    with progress.bars(Console(file=log)) as bars:
        bars.advance(bars.add_task("quick", total=1))
    assert log.getvalue() == ""


def test_what_is_too_few_for_a_rate_is_only_counted(quick):
    log = io.StringIO()
    with progress.bars(Console(file=log)) as bars:
        bars.advance(bars.add_task("cells", total=3, brief=True))
        time.sleep(0.05)
    assert re.fullmatch(r"\d\d:\d\d:\d\d cells, 1/3", log.getvalue().splitlines()[0])


def test_finished_and_hidden_jobs_say_nothing(quick):
    log = io.StringIO()
    with progress.bars(Console(file=log)) as bars:
        bars.advance(bars.add_task("finished", total=1))
        bars.update(bars.add_task("invisible", total=2), visible=False)
        time.sleep(0.05)
    with progress.Bars(console=Console(file=log), hidden=True) as bars:
        bars.add_task("of a worker", total=2)
        time.sleep(0.05)
    assert log.getvalue() == ""


def test_a_job_of_a_source_tells_on_the_error_stream(quick, capsys):
    with progress.progress("reading pictures", 3) as advance:
        advance(1)
        time.sleep(0.05)
    out, err = capsys.readouterr()
    assert out == "" and re.match(r"\d\d:\d\d:\d\d reading pictures, 1/3", err)
