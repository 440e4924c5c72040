"""Table files: what is read, what is refused and how, and what is chosen of one."""

from __future__ import annotations

import re

import pytest

from metagap.errors import UserError
from metagap.files import TABLES
from metagap.metrics import Margin
from metagap.reproduce.paper_table import at_budget, chosen, load_table


@pytest.mark.parametrize("name", TABLES.names())
def test_built_in_tables_are_complete(name):
    assert TABLES.title(name)
    table = load_table(name)
    assert table.citation
    for part in table.parts:
        assert {value.algorithm for value in part.published} == set(part.rows)
    labels = [(part.column, row) for part in table.parts for row in part.rows.values()]
    assert len(labels) == len(set(labels))


def test_values_are_looked_up_in_the_suites(paper):
    table = paper.load()
    (part,) = table.parts
    assert (table.name, table.title, table.kind, table.budget) == ("doe", "Doe's waves", "regression", 1)
    assert [(value.algorithm, value.value) for value in part.published] == [
        ("maml", 4.0),
        ("maml", 0.01),
        ("fomaml", 4.5),
    ]
    assert part.column == "5 points" and part.splits("maml") == ["new"]


def test_the_margin_is_that_of_the_file_or_of_the_kind(paper):
    assert paper.load().margin == Margin(0.1, relative=True)
    for line, margin in {"margin = 0.2": Margin(0.2), "relative_margin = 0.3": Margin(0.3, relative=True)}.items():
        before = paper.table.read_text()
        paper.change(paper.table, ("citation", f"{line}\ncitation"))
        assert paper.load().margin == margin
        paper.table.write_text(before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"waves.toml"',
            '"gone.toml"',
            r"doe\.toml: columns\.5 points: no suite file '.*gone\.toml'; .metagap list suites.",
        ),
        ('"waves.toml"', '"sinusiod"', r"columns\.5 points: no suite 'sinusiod'; did you mean 'sinusoid'\?"),
        (
            'maml = "MAML"',
            'mmaml = "MAML"',
            r"5 points: rows: suite 'waves\.toml' has no algorithm 'mmaml'; did you mean",
        ),
        (
            'Table 1"',
            'Table 3"',
            r"no published value of 'maml' whose.*'Doe \(2017\), Table 3'; it has 'Doe \(2017\), Tab",
        ),
        ('source = "Doe (2017), Table 1"', "", r"two published values of 'fomaml' on 'new'.*give `source` more of it"),
        (
            "label =",
            'unpublished = "nwe"\nlabel =',
            r"unpublished: suite 'waves\.toml' has no split 'nwe'; did",
        ),
        ("citation", "margin = 1\nrelative_margin = 1\ncitation", r"margin and relative_margin exclude each other"),
        ("citation", "margin = 0\ncitation", r"key 'margin' = 0: input should be greater than 0"),
        ("citation =", "citations =", r"unknown key 'citations'; did you mean 'citation'\?"),
        ("label =", "name =", r"unknown key 'columns\.0\.name'; did you mean|key 'columns\.0\.label' is missing"),
        ('[rows]\nmaml = "MAML"\nfomaml = "MAML, first order"', "", r"rows are missing"),
        ("[[columns]]", "[columns", r"table file '.*doe\.toml' is not valid TOML"),
    ],
)
def test_bad_tables_are_refused_with_their_place(paper, old, new, message):
    paper.change(paper.table, (old, new))
    with pytest.raises(UserError, match=message):
        paper.load()


def test_a_suite_that_is_wrong_is_named(paper):
    paper.change(paper.suite, ("iterations = 20", "iteration = 20"))
    with pytest.raises(UserError, match=r"columns\.5 points: .*waves\.toml: key 'training\.iterations' is missing"):
        paper.load()


def test_a_table_is_in_the_usual_metric_of_its_kind(paper):
    paper.change(paper.suite, ("steps = 1\n", 'steps = 1\nmetrics = ["mse", "mae"]\n'))
    paper.change(
        paper.suite, ('[[published]]\nalgorithm = "maml"', '[[published]]\nmetric = "mae"\nalgorithm = "maml"')
    )
    with pytest.raises(UserError, match=r"columns\.5 points: .*'maml' on 'new' .*metric = 'mae'; .*are about 'mse'"):
        paper.load()


def test_a_table_is_of_one_kind(paper):
    other = paper.folder / "other.toml"
    text = paper.suite.read_text().replace('kind = "regression"', 'kind = "classification"\nways = 2')
    other.write_text(re.sub(r"value = \d\.\d", "value = 0.9", re.sub(r"value = \d+$", "value = 1", text, flags=re.M)))
    paper.change(paper.table, ("[[columns]]", '[[columns]]\nsuite = "other.toml"\nlabel = "other"\n[[columns]]'))
    with pytest.raises(UserError, match=r"both kinds, classification and regression; a table has one"):
        paper.load()


def test_unknown_tables():
    with pytest.raises(UserError, match=r"no table 'maml-tabel1'; did you mean 'maml-table1'\?"):
        load_table("maml-tabel1")
    with pytest.raises(UserError, match=r"no table file 'gone\.toml'; .metagap list tables. has the built-in ones"):
        load_table("gone.toml")


@pytest.mark.parametrize(
    ("patterns", "labels", "left_out"),
    [
        ([], ["maml", "fomaml"], 0),
        (["waves"], ["maml", "fomaml"], 0),
        (["maml"], ["maml"], 1),
        (["*maml"], ["maml", "fomaml"], 0),
        (["waves/f*"], ["fomaml"], 2),
        (["fomaml", "maml"], ["maml", "fomaml"], 0),
    ],
)
def test_cells_are_chosen_by_suite_and_algorithm(paper, patterns, labels, left_out):
    table = chosen(paper.load(), patterns)
    assert [list(part.rows) for part in table.parts] == [labels]
    assert {value.algorithm for value in table.parts[0].published} == set(labels)
    assert table.left_out == left_out


def test_a_pattern_that_matches_nothing_is_refused(paper):
    with pytest.raises(UserError, match=r"--cells 'mamml'; did you mean 'maml'\? allowed: waves, maml, fomaml"):
        chosen(paper.load(), ["fomaml", "mamml"])


@pytest.mark.parametrize(
    ("text", "iterations"), [("50%", (10, 20)), ("0.25", (5, 10)), ("1%", (1, 1)), (" 50 %", (10, 20))]
)
def test_a_budget_scales_every_algorithms_iterations(paper, text, iterations):
    table = paper.load(text)
    suite = table.parts[0].suite
    assert (suite.training.iterations, suite.algorithms["fomaml"].training["iterations"]) == iterations
    assert table.budget < 1


def test_the_whole_budget_is_no_budget(paper):
    assert paper.load("100%") == paper.load("1") == paper.load() == at_budget(paper.load(), None)


@pytest.mark.parametrize("text", ["0", "5 percent", "120%", "-5%", "nan", "%"])
def test_a_budget_is_a_share(paper, text):
    with pytest.raises(UserError, match=rf"--budget '{text}': a share of the iterations, such as 5%"):
        paper.load(text)
