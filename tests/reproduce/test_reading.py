"""What is found in a store: only what agrees with the suite file, never two budgets in one table, always the same."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from metagap import results
from metagap.analysis.grids import Grids
from metagap.errors import UserError
from metagap.report.reproduction import deviations, print_reproduction, table, write
from metagap.reproduce.reading import find, read
from metagap.reproduce.running import hashes, work


def cells(paper, budget=None, **options):
    return read(paper.load(budget), paper.store, **options).cells


def test_ours_stands_beside_the_published_values(done):
    table = cells(done)
    assert list(table["row"]) == ["MAML, 1 step", "MAML, 2 steps", "MAML, first order"]
    assert set(table["column"]) == {"5 points"} and list(table["iterations"]) == [20, 20, 40]
    grids = Grids(results.read(done.store, "waves"))
    for row, (label, step) in zip(table.to_dict("records"), [("maml", 1), ("maml", 2), ("fomaml", 1)], strict=True):
        ours = grids.get(label, "new", step=step, column="query_loss").to_numpy()
        assert row["ours"] == pytest.approx(ours.mean()) and (row["seeds"], row["n_episodes"]) == (2, 30)
    assert table["ours_kind"].tolist() == ["95% CI over 30 episodes", "std over 2 seeds", "95% CI over 30 episodes"]
    assert table["verdict"][1] == "not judged"
    todo = work(done.load(), done.store, None)
    known = {f"{cell.seed}-{cell.hash}" for one in todo for cell in one.cells}
    assert set(" ".join(table["configurations"]).split()) == known


def test_a_paper_that_prints_no_value_has_ours_shown(done):
    done.change(done.table, ("label =", 'unpublished = "new"\nlabel ='), ("Table 1", "Figure 1"))
    table = cells(done)
    assert table["row"].tolist() == ["MAML", "MAML, first order"]
    assert set(table["verdict"]) == {"not published"} and table["ours"].notna().all()


def test_a_step_that_is_not_stated_is_the_headline(paper):
    paper.change(paper.suite, ("step = 1\nvalue = 4.0", "value = 4.0"))
    expected = ["MAML, 1 step", "MAML, 2 steps", "MAML, first order"]
    assert cells(paper)["row"].tolist() == expected
    paper.run(seeds=[0])
    assert cells(paper)["row"].tolist() == expected


def test_nothing_there_is_not_run(paper):
    found = read(paper.load(), paper.store)
    assert (found.cells["verdict"] == "not run").all() and len(found.cells) == 3
    assert found.notes == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("meta_batch = 3", "meta_batch = 4"),
        ("hidden = [8]", "hidden = [9]"),
        ("shots = 5", "shots = 6"),
        ('name = "sinusoid"', 'name = "sinusoid"\nnoise = 0.5'),
        ("inner_lr = 0.02", "inner_lr = 0.03"),
        ("inner_lr = 0.02", "inner_lr = 0.02\ninner_steps = 7"),
        ("episodes = 30", "episodes = 31"),
        ('role = "in-distribution"', 'role = "in-distribution"\nshots = 9'),
        ('role = "in-distribution"', 'role = "in-distribution"\nepisodes = 9'),
        ("steps = 1\n", "steps = 2\n"),
        ("[algorithms.maml]", '[algorithms.maml]\nalgorithm = "reptile"'),
        ("meta_batch = 3", 'meta_batch = 3\nselect = "last"'),
    ],
)
def test_a_record_of_other_settings_is_not_ours(done, old, new):
    done.change(done.suite, (old, new))
    found = read(done.load(), done.store)
    assert (found.cells.set_index("algorithm").loc["maml", "verdict"] == "not run").all()
    trained = not any(word in new for word in ("episodes", "steps = 2", "role"))
    unlike = "5 points: MAML with seed 0, 1 has records with other settings than the suite's, which are not shown."
    assert (unlike in found.notes) == trained


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('title = "Tiny waves"', 'title = "Small waves"'),
        ("diagnostic_episodes = 5", "diagnostic_episodes = 6"),
        ('role = "in-distribution"', 'role = "in-distribution"\noptional = true'),
        ("[[published]]", '[[splits]]\nname = "more"\nrole = "cross-domain"\n[[published]]'),
        ("value = 4.0", "value = 3.0"),
        ("[algorithms.fomaml]", "[algorithms.scratch]\n[algorithms.fomaml]"),
    ],
)
def test_what_a_value_does_not_depend_on_may_change(done, old, new):
    text = done.suite.read_text().replace(old, new, 1)
    done.suite.write_text(text)
    assert not (cells(done)["verdict"] == "not run").any()


def test_budgets_are_never_mixed(done):
    full = cells(done)
    half = read(done.load("50%"), done.store)
    assert (half.cells["verdict"] == "not run").all()
    assert half.notes == [
        "5 points: MAML was run for 20 iterations instead of 10, which is another budget and not shown.",
        "5 points: MAML, first order was run for 40 iterations instead of 20, which is another budget and not shown.",
    ]
    done.run("50%", seeds=[0])
    half = read(done.load("50%"), done.store)
    assert half.cells["seeds"].tolist() == [1, 1, 1] and half.cells["iterations"].tolist() == [10, 10, 20]
    assert not np.isclose(half.cells["ours"], full["ours"]).any()
    assert any("MAML has not been run with seed 1" in note for note in half.notes)
    assert any("20 iterations instead of 10" in note for note in half.notes)
    again = cells(done)
    assert again.equals(full)  # fomaml at half its budget has the iterations of maml, and is not taken for anything


def test_only_the_seeds_that_are_asked_for(done):
    assert cells(done, seeds=[1])["seeds"].tolist() == [1, 1, 1]
    found = read(done.load(), done.store, seeds=[1, 7])
    assert found.cells["seeds"].tolist() == [1, 1, 1]
    assert "5 points: MAML has not been run with seed 7." in found.notes


def test_two_records_that_agree_are_told_apart_by_their_hash_or_not_at_all(done):
    paper, text = done, done.suite.read_text()
    paper.change(paper.suite, ("inner_lr = 0.02", "inner_lr = 0.02\ninner_steps = 2"))
    paper.run()
    paper.suite.write_text(text)  # says nothing about inner steps
    with pytest.raises(UserError, match=r"two records of maml seed 0 agree with suite 'waves': .*remove the one"):
        cells(paper)
    todo = work(paper.load(), paper.store, None)
    assert not any(one.lacking for one in todo)
    assert not (cells(paper, hashes=hashes(todo))["verdict"] == "not run").any()


def test_splits_of_one_cell_may_be_in_two_markers(done):
    """A split that was added later is scored under another variant; a table that needs both reads both."""
    paper = done
    split = '[[splits]]\nname = "square"\nrole = "cross-domain"\nsource = { name = "sinusoid", waveform = "square" }\n'
    value = (
        '[[published]]\nalgorithm = "maml"\nsplit = "square"\nvalue = 1.0\nsource = "Doe (2017), Table 1"\nmark = "V"\n'
    )
    paper.suite.write_text(paper.suite.read_text().replace("[[published]]", f"{split}{value}[[published]]", 1))
    assert [len(one.lacking) for one in work(paper.load(), paper.store, None)] == [2]
    paper.run()
    table = cells(paper)
    assert set(table["row"]) == {"MAML, square", "MAML, new, 1 step", "MAML, new, 2 steps", "MAML, first order, new"}
    assert (table["seeds"] == 2).all()
    found = find(paper.store, paper.load().parts[0], "maml", [0])
    assert set(found.records[0].files) == {"new", "square"}


def test_damage_is_named_and_does_not_cost_the_others(done):
    whole = cells(done)
    config = next(done.store.glob("waves/maml/*/config.json"))
    config.write_text("{")
    next(done.store.glob("waves/fomaml/*/evaluation/new-*.parquet")).write_bytes(b"")
    found = read(done.load(), done.store)
    assert found.cells["seeds"].tolist() == [1, 1, 1] and whole["seeds"].tolist() == [2, 2, 2]
    assert any("config.json' is damaged" in note for note in found.notes)
    assert any(".parquet' is damaged" in note for note in found.notes)
    assert [len(one.lacking) for one in work(done.load(), done.store, None)] == [2]
    done.run()
    assert cells(done).equals(whole)


def test_deviations_are_named_with_their_columns(done):
    table = done.load()
    (part,) = table.parts
    named = replace(part, suite=part.suite.model_copy(update={"deviations": ["Fewer\nwaves."]}))
    other = replace(part, suite=part.suite.model_copy(update={"name": "other"}))
    found = read(replace(table, parts=[named, other]), done.store)
    assert deviations(found) == ["Fewer waves. (waves)", "None is named by other."]
    found = read(replace(table, parts=[named], budget=0.05), done.store)
    assert deviations(found) == ["Meta-trained for 5% of the published iterations.", "Fewer waves."]
    assert deviations(read(table, done.store)) == ["None is named by waves."]


def test_the_same_store_elsewhere_gives_the_same_bytes(done, tmp_path):
    copy = tmp_path / "copied" / "elsewhere"
    shutil.copytree(done.store, copy)
    for number, path in enumerate(sorted(copy.rglob("*"), reverse=True)):
        os.utime(path, (number, number))
    write(read(done.load(), done.store), tmp_path / "first")
    write(read(done.load(), copy), tmp_path / "second")
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [".metagap.json", "cells.csv", "reproduction.csv", "reproduction.md", "reproduction.tex"]
    for name in files:
        text = (tmp_path / "first" / name).read_bytes()
        assert text == (tmp_path / "second" / name).read_bytes()
        assert str(tmp_path).encode() not in text


@pytest.mark.parametrize(("width", "row"), [(60, "MAML, 1 step: published 4.00, ours"), (200, "MAML, 1 step 4.00")])
def test_a_terminal_of_any_width_shows_every_value(done, width, row):
    console, found = Console(file=io.StringIO(), width=width), read(done.load(), done.store)
    print_reproduction(found, console)
    said = " ".join(console.file.getvalue().split())
    assert said.startswith(found.heading) and " ".join(found.caption.split()) in said and row in said
    for one in table(found).frame.to_dict("records"):
        assert one["published"] in said and one["difference"] in said and one["verdict"] in said


def test_reading_needs_no_torch(done):
    code = """
import sys
from metagap.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""
    command = [sys.executable, "-c", code, "reproduce", "doe.toml", "--from", "results"]
    finished = subprocess.run(command, cwd=done.folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "MAML, 1 step: published 4.00, ours" in finished.stdout
    assert Path(done.folder / "reports" / "doe" / "reproduction.md").is_file()
