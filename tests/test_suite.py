"""Suite files: what is read, what is refused and how, and what makes a cell the same cell."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from metagap.errors import UserError
from metagap.files import SUITES
from metagap.suite import (
    expand,
    load_suite,
    load_sweep,
    resolve,
    with_algorithms,
    with_budget,
    with_iterations,
    with_seeds,
    written_cell,
    written_suite,
)

SMALL = """
title = "Small"
seeds = [0, 1]
[task]
ways = 3
shots = 1
queries = 2
[model]
name = "conv4"
filters = 4
[source]
name = "glyphs"
alphabets = 5
[training]
iterations = 4
[evaluation]
steps = 1
[algorithms.maml]
inner_lr = 0.1
[algorithms.slow]
algorithm = "reptile"
training = { lr = 1.0 }
evaluation = { steps = 5 }
[[splits]]
name = "old"
role = "meta-train"
classes = "train"
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str = SMALL, *replacements: tuple[str, str]) -> str:
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", SUITES.names())
def test_built_in_suites_are_valid(name):
    sweep = load_sweep(name)
    cells = expand(load_suite(name)) if sweep is None else [cell for cells in sweep.cells for cell in cells]
    assert len({(cell.hash, cell.evaluation.batch_norm) for cell in cells}) == len(cells)
    assert all(cell.hyperparameters for cell in cells)
    roles = [split.role for split in cells[0].suite.splits]
    assert roles.count("meta-train") == 1
    assert {"in-distribution", "cross-domain"} & set(roles)


@pytest.mark.parametrize("name", SUITES.names())
def test_published_values_of_built_in_suites_say_where_they_are_from(name):
    if (sweep := load_sweep(name)) is not None:
        assert not sweep.first.published
        return
    suite = load_suite(name)
    cells = {cell.label: cell for cell in expand(suite)}
    keys = [(published.algorithm, published.split, published.step) for published in suite.published]
    assert len(set(keys)) == len(keys)
    assert bool(suite.deviations) or not suite.published
    for published in suite.published:
        assert re.search(r"\(\d{4}\)", published.source)
        assert published.mark in ("V", "S", "R")
        assert published.kind and (published.kind == "none given") == (published.interval is None)
        assert (published.step or 0) <= cells[published.algorithm].evaluation.path_steps
        if suite.task.kind == "classification":
            assert 1 / suite.task.ways < published.value < 1
            assert published.interval is None or published.interval < 0.03


def test_cells_are_resolved(write):
    suite = load_suite(write())
    cells = expand(suite)
    assert [(cell.label, cell.seed) for cell in cells] == [("maml", 0), ("slow", 0), ("maml", 1), ("slow", 1)]
    maml, slow = cells[:2]
    own, defaults = (
        {"inner_steps": 1, "inner_lr": 0.1},
        {"inner_loss": "mean", "adapt_norm": True, "first_order": False},
    )
    assert maml.hyperparameters == own | defaults
    assert (slow.algorithm, slow.training.lr, slow.evaluation.steps) == ("reptile", 1.0, 5)
    assert (maml.training.lr, maml.evaluation.steps) == (0.001, 1)
    assert suite.name == "small"
    assert suite.source["instances"] == 20
    assert suite.splits[1].source == suite.source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ways = 3", "ways = 3\nwoys = 2", r"small\.toml: unknown key 'task\.woys'; did you mean 'ways'\?"),
        ("iterations = 4", "iteration = 4", r"unknown key 'training\.iteration'; did you mean 'iterations'"),
        ("iterations = 4", "meta_batch = 4", r"key 'training\.iterations' is missing"),
        ("shots = 1", "shots = 0", r"key 'task\.shots' = 0: input should be greater than 0"),
        ("ways = 3", "ways = 1", r"key 'task'.*classification needs ways of 2 or more"),
        ("inner_lr = 0.1", "inner_lr = -1", r"algorithms\.maml: key 'inner_lr' = -1"),
        ("inner_lr = 0.1", "iner_lr = 1", r"algorithms\.maml: unknown key 'iner_lr'; did you mean 'inner_lr'"),
        ('"reptile"', '"reptil"', r"unknown algorithm 'reptil'; did you mean 'reptile'\?"),
        ("filters = 4", "filter = 4", r"model: unknown key 'filter'; did you mean 'filters'"),
        ("filters = 4", "filters = 0", r"model: key 'filters' = 0"),
        ('"conv4"', '"conv5"', r"unknown model 'conv5'; did you mean 'conv4'\?"),
        ("alphabets = 5", "alphabet = 5", r"source: unknown key 'alphabet'; did you mean 'alphabets'"),
        ('"glyphs"', '"omniglott"', r"unknown source 'omniglott'; did you mean 'omniglot'\?"),
        ('name = "glyphs"\nalphabets = 5', 'name = "sinusoid"', r"'sinusoid' gives regression tasks, but task\.kind"),
        ('"meta-train"', '"training"', r"key 'splits\.0\.role' = 'training': input should be 'meta-train', 'meta-val'"),
        ('"new"', '"old"', r"two splits are called 'old'"),
        ('name = "new"', 'name = "new"\nways = 7', r"split 'new' has ways = 7.*allowed: 1 to 3"),
        ('classes = "test"', 'classes = "all"', r"new: key 'classes' = 'all': role in-distribution must not contain"),
        ('classes = "test"', 'classes = "train"', r"new: key 'classes' = 'train'.*allowed: 'val' or 'test'"),
        ('classes = "train"', 'classes = "test"', r"old: key 'classes' = 'test': role meta-train is about"),
        ("steps = 1", "steps = 3\ncurve_steps = 2", r"curve_steps = 2 is less than steps = 3"),
        ("lr = 1.0", "lr = 0", r"algorithms\.slow\.training: key 'lr' = 0"),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"key 'seeds' = \[1, 1\]: 1 is listed twice"),
        ("seeds = [0, 1]", "seeds = []", r"key 'seeds' = \[\]"),
        ('title = "Small"', 'title = "Small"\nname = "x"', r"unknown key 'name'"),
        ('title = "Small"', 'title = "Small"\ndeviations = [" "]', r"key 'deviations\.0' = ' '"),
        ("steps = 1", "steps = 1\nsettings = { inner_lr = 1.0 }", r"unknown key 'evaluation\.settings'"),
        (
            "{ steps = 5 }",
            "{ settings = { iner_lr = 1.0 } }",
            r"slow\.evaluation\.settings: unknown key 'iner_lr'",
        ),
        ("{ steps = 5 }", "{ settings = { inner_lr = -1.0 } }", r"slow\.evaluation\.settings: key 'inner_lr' = -1\.0"),
        (
            "seeds = [0, 1]",
            'training_classes = "most"',
            r"key 'training_classes' = 'most': input should be 'train'",
        ),
        ("seeds = [0, 1]", 'training_classes = "all"', r"old: key 'classes' = 'train': .*; allowed: 'all'"),
        ("[task]", "[task", r"small\.toml' is not valid TOML.*line 4"),
    ],
)
def test_bad_input_is_refused_with_its_place(write, old, new, message):
    with pytest.raises(UserError, match=message):
        expand(load_suite(write(SMALL, (old, new))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("inner_lr = 0.1", "inner_lr = inf", r"algorithms\.maml: key 'inner_lr' = .*finite"),
        ("inner_lr = 0.1", "inner_lr = nan", r"algorithms\.maml: key 'inner_lr'"),
        (
            "inner_lr = 0.1",
            "inner_lr = true",
            r"algorithms\.maml: key 'inner_lr' = True: input should be a valid number",
        ),
        ("lr = 1.0", "lr = inf", r"algorithms\.slow\.training: key 'lr' = inf: .*finite"),
        ("alphabets = 5", "alphabets = 5\nnoise = inf", r"source: key 'noise' = inf"),
        ("alphabets = 5", "alphabets = 5\nimage_size = 1000000", r"source: key 'image_size' = 1000000.*4096"),
        ("ways = 3", 'ways = "3"', r"key 'task\.ways' = '3': input should be a valid integer"),
        ("ways = 3", "ways = true", r"key 'task\.ways' = True: input should be a valid integer"),
        ("ways = 3", "ways = 1000000000000", r"key 'task\.ways' = 1000000000000: .*1000000000"),
        ("seeds = [0, 1]", "seeds = [-1]", r"key 'seeds\.0' = -1"),
        ("seeds = [0, 1]", f"seeds = [{2**63 - 1}, {2**63}]", r"toml' is not valid|seeds\.1"),
        ('"new"', '"  "', r"key 'splits\.1\.name' = '  ': a name has no slash"),
        ('"new"', '".."', r"key 'splits\.1\.name' = '\.\.': a name has"),
        ('"new"', '"average"', r"a split is called 'average', which is what tables call the mean"),
        ('"new"', '"a/b"', r"key 'splits\.1\.name' = 'a/b': a name has"),
        ('"new"', '"a\\u0000b"', r"key 'splits\.1\.name'.*no control character"),
        ("[algorithms.slow]", '[algorithms."../slow"]', r"'\.\./slow.*a name has no slash"),
        ('"new"', '"algorithm"', r"a split is called 'algorithm', which is a heading of the tables"),
        ("[algorithms.slow]", "[algorithms.gap]", r"labelled 'gap', which is a heading of the tables.*another label"),
        ("[algorithms.slow]", "[algorithms.split]", r"labelled 'split', which is a heading of the tables"),
        ("[algorithms.slow]", "[algorithms.MAML]", r"'maml' and 'MAML' differ in capitals only"),
        ('title = "Small"', 'title = " "', r"key 'title' = ' '"),
        ('"Small"', '"Small"\nreference = "mamml"', r"key 'reference' = 'mamml': no algorithm .* allowed: maml, slow"),
        ('name = "new"', 'name = "new"\nways = 1', r"split 'new' has ways = 1; allowed: 2 to 3"),
        ('name = "conv4"', "name = 4", r"model: key 'name' = 4 is no text; allowed: conv1d, conv4"),
        ("steps = 1", 'steps = 1\ndiagnostics = ["open", "open"]', r"'open' is listed twice"),
    ],
)
def test_values_that_no_run_can_mean_are_refused(write, old, new, message):
    with pytest.raises(UserError, match=message):
        expand(load_suite(write(SMALL, (old, new))))


def test_mistakes_of_different_kinds_are_told_together(write):
    changes = [("ways = 3", "woys = 3"), ("filters = 4", "filter = 4"), ("alphabets = 5", "alphabet = 5")]
    with pytest.raises(UserError) as error:
        load_suite(write(SMALL, *changes, ("inner_lr = 0.1", "iner_lr = 1"), ('"reptile"', '"reptil"')))
    for told in ("'task.woys'", "'filter'", "'alphabet'", "'iner_lr'", "'reptil'"):
        assert told in str(error.value)
    with pytest.raises(UserError) as error:
        load_suite(write(SMALL, *changes[1:], ("inner_lr = 0.1", "inner_lr = -1"), ("lr = 1.0", "lr = -2")))
    assert len(str(error.value).splitlines()) == 4
    with pytest.raises(UserError) as error:
        load_suite(write(SMALL + PUBLISHED, ('name = "new"', 'name = "new"\nways = 7'), ("value = 0.9", "value = 90")))
    assert len(str(error.value).splitlines()) == 2 and str(error.value).count("small.toml: ") == 2


def test_files_that_are_no_suites(tmp_path):
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    os.mkfifo(tmp_path / "pipe.toml")
    for name, message in {
        "deep": r"deep\.toml' is nested too deeply|not valid TOML",
        "folder": r"folder\.toml' is not a file",
        "latin": r"latin\.toml' cannot be read",
        "pipe": r"pipe\.toml' is not a file",
        "nul\0": r"nul\\x00\.toml' cannot be read",
        "long" * 100: r"cannot be read",
    }.items():
        with pytest.raises(UserError, match=message):
            load_suite(f"{tmp_path}/{name}.toml")


def test_unknown_suites_and_files():
    with pytest.raises(UserError, match=r"no suite 'quickstrat'; did you mean 'quickstart'\?"):
        load_suite("quickstrat")
    with pytest.raises(UserError, match=r"no suite file 'nowhere\.toml'"):
        load_suite("nowhere.toml")


def test_changes_from_the_command_line(write):
    path = write()
    suite = load_suite(
        path, ["training.lr=0.5", "splits.new.shots=2", "algorithms.maml.inner_lr=0.7", "model.filters=9"]
    )
    assert suite.training.lr == 0.5
    assert suite.splits[1].shots == 2
    assert expand(suite)[0].hyperparameters["inner_lr"] == 0.7
    assert suite.model["filters"] == 9
    for change, message in {
        "training.lr": "write it as key=value",
        "training.lr.x=1": r"key 'training\.lr' = {'x': 1}: input should be a valid number",
        "splits.none.shots=1": r"no 'none' there",
        "training.rl=1": r"unknown key 'training\.rl'",
    }.items():
        with pytest.raises(UserError, match=message):
            load_suite(path, [change])


PUBLISHED = """
[[published]]
algorithm = "maml"
split = "new"
value = 0.9
source = "Somebody (2017), Table 1"
mark = "V"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 0.9", "value = 0.9\ninterval = 0.1", r"published\.0.*an interval needs a kind, such as '95% CI"),
        ("value = 0.9", 'value = 0.9\ninterval = 0.1\nkind = " "', r"an interval needs a kind"),
        ('source = "Somebody (2017), Table 1"', "", r"key 'published\.0\.source' is missing"),
        ('source = "Somebody (2017), Table 1"', 'source = ""', r"key 'published\.0\.source' = ''"),
        ('mark = "V"', "", r"key 'published\.0\.mark' is missing"),
        ('mark = "V"', 'mark = "X"', r"key 'published\.0\.mark' = 'X': input should be 'V', 'S' or 'R'"),
        ('split = "new"', 'split = "newer"', r"a published value is for split 'newer'; allowed: old, new"),
        ('"maml"\nsplit', '"mamml"\nsplit', r"published\.0: no algorithm 'mamml' in this suite; allowed: maml, slow"),
        ("value = 0.9", "value = nan", r"key 'published\.0\.value' = nan"),
        ("value = 0.9", "value = 90.0", r"published\.0: value = 90\.0 is no accuracy; allowed: 0 to 1"),
        ("value = 0.9", "value = 0.9\ninterval = -0.1\nkind = 'std'", r"key 'published\.0\.interval' = -0\.1"),
    ],
)
def test_a_published_value_says_where_it_is_from(write, old, new, message):
    assert load_suite(write(SMALL + PUBLISHED)).published[0].value == 0.9
    with pytest.raises(UserError, match=message):
        load_suite(write(SMALL + PUBLISHED, (old, new)))


def test_an_algorithm_may_have_other_settings_at_test(write):
    own = ("{ steps = 5 }", "{ steps = 5, settings = { inner_batch = 2 } }")
    plain, cell = (expand(load_suite(write(SMALL, *changes)))[1] for changes in ([], [own]))
    assert (cell.hyperparameters["inner_batch"], cell.evaluation.settings) == (10, {"inner_batch": 2})
    assert plain.evaluation.settings == {}
    assert (cell.hash, cell.variant) == (plain.hash, plain.variant)  # training does not depend on them
    validated = SMALL + '[[splits]]\nname = "val"\nrole = "meta-val"\nclasses = "val"\n'
    plain, cell = (expand(load_suite(write(validated, *changes)))[1] for changes in ([], [own]))
    assert cell.hash != plain.hash  # but the choice of a checkpoint does


def test_all_classes_of_a_source_may_be_trained_on(write):
    changes = [
        ("seeds = [0, 1]", 'training_classes = "all"'),
        ('classes = "train"', 'classes = "all"'),
        ('role = "in-distribution"', 'role = "cross-domain"\nsource = "digits"'),
        ('classes = "test"', 'classes = "all"'),
    ]
    cell = expand(load_suite(write(SMALL, *changes)))[0]
    usual = expand(load_suite(write(SMALL, *changes[2:])))[0]
    assert cell.hash != usual.hash
    assert cell.variant != usual.variant
    with pytest.raises(UserError, match=r"must not contain training classes, which are all .*allowed: another source"):
        load_suite(write(SMALL, *changes[:2]))


def test_iterations_override_every_budget(write):
    suite = load_suite(write(SMALL, ("{ lr = 1.0 }", "{ lr = 1.0, iterations = 9 }")))
    assert [cell.training.iterations for cell in expand(suite)[:2]] == [4, 9]
    assert [cell.training.iterations for cell in expand(with_iterations(suite, 2))[:2]] == [2, 2]


def test_a_budget_scales_every_budget(write):
    suite = load_suite(write(SMALL, ("iterations = 4", "iterations = 40"), ("{ lr = 1.0 }", "{ iterations = 100 }")))
    half = with_budget(suite, 0.5)
    assert [cell.training.iterations for cell in expand(half)[:2]] == [20, 50]
    assert [cell.training.iterations for cell in expand(with_budget(suite, 0.001))[:2]] == [1, 1]
    assert {cell.hash for cell in expand(half)}.isdisjoint(cell.hash for cell in expand(suite))
    untrained = with_iterations(suite, 0)
    assert [cell.training.iterations for cell in expand(with_budget(untrained, 0.5))[:2]] == [0, 0]


def test_a_suite_as_it_is_written_lacks_only_defaults(write):
    path = write()
    written, suite = written_suite(path), load_suite(path)
    assert written.model == {"name": "conv4", "filters": 4} and written.source == {"name": "glyphs", "alphabets": 5}
    assert written.splits[1].source == written.source
    for full in expand(suite):
        cell = written_cell(written, full.label, full.seed)
        assert (cell.training, cell.evaluation) == (full.training, full.evaluation)
        assert cell.hyperparameters.items() <= full.hyperparameters.items()
        assert cell.identity["model"].items() <= full.identity["model"].items()
    with pytest.raises(UserError, match=r"small\.toml: unknown key 'task\.woys'"):
        written_suite(write(SMALL, ("ways = 3", "ways = 3\nwoys = 2")))


def test_what_an_entry_says_is_checked_once(write, monkeypatch):
    suite = load_suite(write())
    added = with_algorithms(suite, ["all", "fomaml"])
    monkeypatch.setattr(sys.modules[load_suite.__module__], "validated", None)
    assert expand(suite) == expand(with_algorithms(suite, suite.algorithms))
    assert {cell.label for cell in expand(added)} == {*suite.algorithms, "fomaml"}


def test_a_suite_as_it_is_written_has_no_cells(write):
    with pytest.raises(TypeError, match="its defaults are not filled in"):
        expand(written_suite(write()))


def test_budgets_of_a_written_suite_are_checked(write):
    path = write(SMALL, ("{ lr = 1.0 }", "{ lr = -1.0 }"))
    with pytest.raises(UserError, match=r"small\.toml: algorithms\.slow\.training: key 'lr' = -1\.0"):
        written_suite(path)


CELLS = {
    "quickstart": {"maml": "2bca359132", "reptile": "e81273bc96", "protonet": "6e2c6b85f5", "pretrain": "ee75842d93"},
    "sinusoid": {"maml": "3d06517406", "reptile": "4c5747764b", "cavia": "2b1e5a5c7e"},
    "reptile-sinusoid": {"reptile": "ef6732f7cf", "maml": "16fd7f2010", "scratch": "194a0f6b2d"},
}
"""Suite -> algorithm -> hash of its cell with seed 0."""


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_the_same_ones_as_ever(name):
    """A changed hash makes all results of before those of another cell: raise a revision where that is meant."""
    cells = expand(with_seeds(with_algorithms(load_suite(name), CELLS[name]), [0]))
    assert {cell.label: cell.hash for cell in cells} == CELLS[name]


def test_algorithms_are_chosen_by_label_name_or_file(write, tmp_path):
    suite = load_suite(write())
    assert list(with_algorithms(suite, ["slow"]).algorithms) == ["slow"]
    assert expand(with_algorithms(suite, ["fomaml"]))[0].hyperparameters["first_order"] is True
    plugin = tmp_path / "mine.py"
    plugin.write_text("from metagap.algorithms.maml import MAML\nclass Mine(MAML):\n    beta: float = 2.0\n")
    cell = expand(with_algorithms(suite, [f"{plugin}:Mine"]))[0]
    assert (cell.label, cell.hyperparameters["beta"]) == ("mine", 2.0)
    with pytest.raises(UserError, match=r"unknown algorithm 'mammal'; did you mean 'maml'\?.*or path/to/file"):
        with_algorithms(suite, ["mammal"])
    with pytest.raises(UserError, match=r"no class 'Mein' in .*did you mean 'Mine'"):
        with_algorithms(suite, [f"{plugin}:Mein"])
    plugin = tmp_path / "broken.py"
    plugin.write_text("import nothing_like_this\n")
    with pytest.raises(UserError, match=r"broken\.py' cannot be imported.*nothing_like_this"):
        with_algorithms(suite, [f"{plugin}:Mine"])


def test_the_hash_changes_with_what_training_depends_on_and_nothing_else(write):
    def first(*changes: str) -> tuple[str, str]:
        cell = expand(load_suite(write(), changes))[0]
        return cell.hash, cell.variant

    base = first()
    assert first() == base
    for change in ("training.lr=0.5", "model.filters=5", "source.seed=3", "task.shots=2"):
        assert first(change)[0] != base[0]
        assert first(change)[1] != base[1]
    retested = first("evaluation.episodes=7")
    assert retested[0] == base[0]
    assert retested[1] != base[1]
    retuned = first("algorithms.maml.inner_lr=0.2")
    assert retuned[0] != base[0]
    assert retuned[1] == base[1]
    assert first("title=x") == base
    assert first("reference=slow") == base
    cells = expand(with_seeds(load_suite(write()), [0, 5]))
    assert cells[0].hash == base[0]
    assert cells[2].hash != base[0]


@pytest.mark.parametrize(
    "stem",
    [".", "..", ".hidden", " ", " small", "a\nb", "a\0b", "..\\up", "NUL", "con.v2", "small.", "x" * 61, "é" * 90],
)
def test_a_suite_is_called_as_a_folder_can_be(write, stem):
    path = Path(write(SMALL))
    with pytest.raises(UserError, match=r"called by the name of its file: '.*': a name has|cannot be read") as error:
        resolve(tomllib.loads(path.read_text()), path.with_name("small.toml").parent / f"{stem}.toml")
    assert "\n" not in str(error.value)


def test_plugins_of_the_same_name_have_labels_of_their_own(write, tmp_path):
    suite = load_suite(write(SMALL))
    for name in ("one", "two", "sub/one"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(
            "from metagap.algorithms.maml import MAML\n\n\nclass Mine(MAML):\n    pass\n\n\nclass Reptile(MAML):\n"
            "    pass\n"
        )
    one, two, sub = (f"{tmp_path}/{name}.py:Mine" for name in ("one", "two", "sub/one"))

    def labels(*wanted: str) -> dict[str, str]:
        return {label: entry.algorithm for label, entry in with_algorithms(suite, wanted).algorithms.items()}

    assert labels(one) == {"mine": one}
    assert list(labels(one, "maml", two).items()) == [("mine-one", one), ("maml", "maml"), ("mine-two", two)]
    assert labels(one, f"{tmp_path}/sub/../one.py:Mine") == {"mine": one}
    reptile = f"{tmp_path}/one.py:Reptile"
    assert labels(reptile, "reptile") == {"reptile": "reptile", "reptile-one": reptile}
    with pytest.raises(UserError, match=r"one\.py:Mine' and '.*one\.py:Mine' would both be called 'mine-one'"):
        labels(one, sub)
