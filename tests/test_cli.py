"""The command line as people meet it: its output, its exit code, and what its processes do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from metagap import results
from metagap.executors import pool
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.suite import expand, load_suite

COMMAND = [sys.executable, "-c", "from metagap.cli import main; main()"]


@pytest.fixture
def tiny(tiny_suite) -> Path:
    return tiny_suite("images")


def test_run_report_and_compare(here, in_process, tmp_path, tiny):
    code, text, errors = here("run", "tiny.toml", "--engine", "loop plain eager")
    assert code == 0, errors
    for part in ("maml seed 0 in", "in-distribution", "domain gap", "new episodes", "reports/tiny/index.html"):
        assert part in text
    page = tmp_path / "reports" / "tiny" / "index.html"
    assert "Tiny" in page.read_text(encoding="utf-8")

    page.unlink()
    code, text, errors = here("run", "tiny.toml", "--json")
    assert code == 0 and page.is_file()
    assert "2 of 2 cells are already done" in errors
    tables = json.loads(text)
    assert {row["algorithm"] for row in tables["scores"]} == {"maml", "scratch"}
    assert any(row["gap"] == "task gap" for row in tables["gaps"])

    compared = json.loads(here("compare", "tiny", "maml", "scratch", "--json")[1])
    assert {row["split"] for row in compared["scores"]} == {"new", "digits"}
    assert {row["gap"] for row in compared["gaps"]} == {"task gap", "domain gap"}
    text = here("compare", "tiny", "maml", "scratch")[1]
    assert "cannot tell" in text or "better" in text


@pytest.mark.slow  # a command of the guides runs it, and tests/analysis/test_power.py what it prints
def test_power(here, in_process, tiny_suite):
    tiny_suite("images")
    assert here("run", "tiny.toml", "--seed", "0", "--seed", "1", "--seed", "2")[0] == 0
    code, text, errors = here("power", "tiny", "maml", "scratch", "--difference", "3", "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert [(row["a"], row["b"], row["split"], row["asked"]) for row in found["pairs"]] == [
        ("maml", "scratch", "digits", 0.03)
    ]
    assert {row["seeds"] for row in found["grid"]} >= {3, 5, 10}
    assert found["advice"][0].startswith("A difference of 3.0 percentage points between maml and scratch is found with")
    text = here("power", "tiny")[1]
    assert "maml − scratch" in text and "detectable" in text


def test_a_report_of_what_was_run(here, tmp_path, tiny_suite):
    cell = expand(load_suite(str(tiny_suite())))[1]
    run_cell(cell, tmp_path / "results", Machine("cpu", engine="loop plain eager"))
    assert here("report", "tiny")[0] == 0
    assert (tmp_path / "reports" / "tiny" / "index.html").is_file()


def test_only_some_cells_and_a_plugin(here, in_process, tmp_path, tiny_suite):
    tiny_suite()
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\nfrom metagap.algorithms.maml import MAML\n\n\nclass Mine(MAML):\n    """Mine."""\n'
        "    inner_lr: float = 0.2\n"
    )
    code, _, errors = here("run", "tiny.toml", "-a", "./mine.py:Mine", "-a", "scratch", "--seed", "3")
    assert code == 0, errors
    found = results.read(tmp_path / "results", "tiny")
    assert list(found.cells.algorithm) == ["mine", "scratch"]
    assert set(found.cells.seed) == {3}
    assert found.suite.algorithms["mine"].hyperparameters["inner_lr"] == 0.2
    assert errors.count("runs the code in") == 1 and f"'{tmp_path / 'mine.py'}'" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quikstart"], "no suite 'quikstart'; did you mean 'quickstart'? `metagap list suites` has all"),
        (["run", "gone.toml"], "no suite file 'gone.toml'; `metagap list suites` has the built-in ones"),
        (["run", "tiny.toml", "--set", "training.itrations=5"], "unknown key 'training.itrations'; did you mean"),
        (
            ["run", "tiny.toml", "--set", "task.ways=50"],
            "training of maml: 50 ways, 1 shots and 2 queries need 50 classes",
        ),
        (["run", "tiny.toml", "--set", "splits.digits.ways=9"], "split 'digits' has ways = 9"),
        (["run", "tiny.toml", "--set", "task.queries=5"], "3 classes of at least 6 images; there are 0 such classes"),
        (["run", "tiny.toml", "--set", "splits.digits.source.image_size=28"], "set image_size and channels"),
        (["run", "tiny.toml", "--algorithm", "mammal"], "unknown algorithm 'mammal'; did you mean 'maml'?"),
        (["run", "omniglot-small", "--data", "."], "omniglot-py/images_background.zip"),
        (["run", "tiny.toml", "--data", "nowhere"], "--data 'nowhere' is not a folder"),
        (["run", "tiny.toml", "--device", "tpu"], "--device 'tpu'; did you mean 'cpu'? allowed: auto, cpu, cuda"),
        (["run", "tiny.toml", "--device", "gpu"], "--device 'gpu'; did you mean 'cuda'? allowed: auto, cpu, cuda"),
        (["run", "tiny.toml", "--engine", "vmap loop"], "--engine 'vmap loop': vmap and loop exclude each other"),
        (["run", "tiny.toml", "--set", "task.shots=1000000000"], "TB of memory; this machine has"),
        (["run", "tiny.toml", "--set", "source.alphabets=100000000"], "glyphs: drawing 2,000,000,000 images takes"),
        (["run", "tiny.toml", "--budget", "2%", "--iterations", "3"], "--budget and --iterations exclude each other"),
        (
            ["run", "tiny.toml", "--budget", "0%"],
            "--budget '0%': a share of the iterations, such as 5%",
        ),
        (["compare", "tiny", "maml", "maml"], "A and B are both 'maml'"),
        (["report", "tiny"], "no finished results of suite 'tiny'"),
        (["power", "tiny", "a", "b"], "no finished results of suite 'tiny'"),
        (["compare", "tiny", "a", "b"], "no finished results of suite 'tiny'"),
        (["show", "mamml"], "nothing is called 'mamml'; did you mean 'maml'?"),
        (["list", "suits"], "list 'suits'; did you mean 'suites'?"),
        (["data", "get", "omniglott"], "no data set 'omniglott'; did you mean 'omniglot'?"),
        (["data", "verify", "mnst"], "no data set 'mnst'; did you mean"),
        (["data", "leaks", "mnst", "digits"], "no source of images 'mnst'; did you mean 'mnist'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_message_and_code_2(here, tmp_path, tiny, arguments, message):
    before = sorted(tmp_path.rglob("*"))
    code, _, errors = here(*arguments)
    assert code == 2
    assert message in errors
    assert errors.startswith("metagap: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_leaves_the_output_empty(here):
    code, text, errors = here("run", "quikstart")
    assert (code, text) == (2, "")
    assert errors.splitlines()[0].startswith("metagap: no suite 'quikstart'; did you mean 'quickstart'?")


@pytest.mark.parametrize("kind", ["suites", "tables", "algorithms", "sources", "models"])
def test_lists(here, kind):
    rows = json.loads(here("list", kind, "--json")[1])
    assert rows
    assert all(row["name"] and row["about"] and "broken" not in row["about"] for row in rows)
    text = here("list", kind)[1]
    assert all(row["name"] in text for row in rows)


@pytest.mark.parametrize("name", ["quickstart", "maml", "glyphs", "conv4"])
def test_show(here, name):
    code, text, _ = here("show", name)
    assert code == 0
    assert name in text
    assert json.loads(here("show", name, "--json")[1])["name"] == name


@pytest.mark.slow  # tests/executors: every end of a job of the pool, and failed cells of a run
def test_a_plugin_that_fails_in_the_middle_stops_nobody_else(here, tmp_path, tiny_suite):
    tiny_suite()
    (tmp_path / "bad.py").write_text(
        "import os, pathlib, signal\nfrom metagap.algorithms.maml import MAML\n\n\nclass Bad(MAML):\n"
        "    def adapt_path(self, meta, support, steps):\n        raise ValueError('no idea')\n\n\n"
        "class Killed(MAML):\n    def adapt_path(self, meta, support, steps):\n        file = pathlib.Path('once')\n"
        "        if not file.exists():\n            file.touch()\n            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().adapt_path(meta, support, steps)\n"
    )
    algorithms = [word for name in ("./bad.py:Bad", "./bad.py:Killed", "scratch") for word in ("-a", name)]
    code, text, errors = here("run", "tiny.toml", *algorithms, "--jobs", "1", "--engine", "loop plain eager")
    assert code == 1
    (trace,) = (tmp_path / "results").rglob("traceback.txt")
    folder = trace.parent.relative_to(tmp_path)
    where = f"traceback: {folder}/traceback.txt; log: {folder}/log.txt"
    runs = f"metagap: runs the code in '{tmp_path / 'bad.py'}'"
    assert errors == f"{runs}\nmetagap: 1 cell failed\nbad seed 0: ValueError('no idea'); {where}\n"
    assert 'bad.py", line 7, in adapt_path' in trace.read_text()
    assert "scratch seed 0 in" in text and "Traceback" not in text
    assert "killed seed 0: its process was killed by SIGKILL" in text and "it is run once more" in text
    found = results.read(tmp_path / "results", "tiny")
    assert list(found.cells.algorithm) == ["killed", "scratch"]
    page = (tmp_path / "reports" / "tiny" / "index.html").read_text(encoding="utf-8")
    assert "bad seed 0 failed on " in page and "no idea" in page
    assert not [note for note in found.notes if "killed" in note]


def test_data_commands_on_the_real_files(here, real_data):
    folder = str(real_data("MNIST/raw/t10k-images-idx3-ubyte.gz"))
    rows = {row["name"]: row for row in json.loads(here("data", "list", "--data", folder, "--json")[1])}
    assert rows["mnist"]["state"] == "here"
    assert rows["emnist"]["state"] == "not here"
    assert "omniglot" in here("data", "list", "--data", folder)[1]
    code, text, _ = here("data", "verify", "mnist", "digits", "--data", folder, "--json")
    assert code == 0
    found = {row["name"]: row["found"] for row in json.loads(text)}
    assert found["mnist"] == "10,000 images of 10 classes; files are the publisher's"
    assert "already in" in here("data", "get", "mnist", "--data", folder)[1]


def test_leaks_are_said_in_words(here):
    code, text, _ = here("data", "leaks", "glyphs:train", "glyphs:test")
    assert code == 0
    assert text.startswith("glyphs:train and glyphs:test share no class by name.\nThey share no image")
    assert json.loads(here("data", "leaks", "glyphs:train", "glyphs:test", "--json")[1])["images"] == []


def test_damaged_data_are_found(here, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        (raw / f"t10k-{name}.gz").write_bytes(b"half a file")
    code, text, _ = here("data", "verify", "mnist", "--data", str(tmp_path), "--json")
    assert code == 1
    assert json.loads(text)[0]["state"] == "damaged"


def wait_for(checkpoint: Path, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not checkpoint.is_file():
        assert time.monotonic() < deadline, "no checkpoint"
        assert process.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.01)


@pytest.fixture
def started(tiny_suite, tmp_path):
    """A cell that takes a while, and a process that runs it and has written a checkpoint."""
    path = tiny_suite("waves", training={"iterations": 300, "validations": 2}, algorithms={"scratch": None})
    (cell,) = expand(load_suite(str(path)))
    options = ["--results", "parts", "--checkpoint-every", "0.01", "--engine", "loop plain eager"]
    process = subprocess.Popen(
        [*COMMAND, "run", path.name, *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    wait_for(cell.folder(tmp_path / "parts") / "checkpoint.pt", process)
    yield cell, process
    process.kill()
    process.communicate()


def test_interrupted_it_says_how_to_resume(here, tiny_suite, monkeypatch):
    tiny_suite()
    monkeypatch.setattr(pool, "run", lambda *_: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script began this process
    try:
        code, _, errors = here("run", "tiny.toml")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert errors.splitlines()[-1] == "metagap: interrupted; run the same command again to resume"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_an_interrupted_process_says_how_to_resume(started):
    _, process = started
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "metagap: interrupted; run the same command again to resume"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_killed_in_the_middle_it_resumes_and_ends_with_the_same_bits(started, tmp_path):
    cell, process = started
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)  # its worker ends with it
    checkpoint = cell.folder(tmp_path / "parts") / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    assert not state["finished"]
    assert 0 < state["outer"]["iteration"] < 300
    stamp = checkpoint.stat().st_mtime_ns
    time.sleep(0.3)
    assert checkpoint.stat().st_mtime_ns == stamp

    for folder in ("parts", "whole"):
        run_cell(cell, tmp_path / folder, Machine("cpu", engine="loop plain eager"))
    parts, whole = (results.read(tmp_path / folder, "tiny") for folder in ("parts", "whole"))
    assert parts.episodes.equals(whole.episodes)
    weights = [torch.load(cell.folder(tmp_path / f) / "checkpoint.pt")["selected"] for f in ("parts", "whole")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_fault_of_metagap_is_one_line_and_a_file(here, monkeypatch):
    monkeypatch.setattr("metagap.listing.listing", lambda what: 1 / 0)
    code, _, errors = here("list", "suites")
    assert code == 1
    line, path = errors.strip(), Path(errors.strip().rpartition(" ")[2])
    assert line.startswith("metagap: ZeroDivisionError: division by zero; this is a fault of metagap: the traceback is")
    assert "test_cli.py" in path.read_text()
    path.unlink()


def test_a_folder_for_data_is_made_where_data_are_fetched(here, tmp_path):
    code, _, errors = here("data", "get", "digits", "--data", "new/folder")
    assert (tmp_path / "new" / "folder").is_dir(), errors
    (tmp_path / "file").touch()
    code, _, errors = here("data", "get", "digits", "--data", "file/folder")
    assert code == 2 and "--data 'file/folder' cannot be made: Not a directory" in errors


@pytest.mark.parametrize(
    ("words", "offered"),
    [("run quickst", "quickstart"), ("reproduce maml-t", "maml-table1"), ("list sui", "suites"), ("comp", "compare")],
)
def test_shells_complete_names(here, monkeypatch, words, offered):
    monkeypatch.setenv("_METAGAP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"metagap {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    assert offered in here()[1].split()


def test_messages_hold_no_control_characters(here):
    code, _, errors = here("show", "a\x00b\x1b[31m")
    assert code == 2
    assert "nothing is called 'a\\x00b\\x1b[31m'" in errors
