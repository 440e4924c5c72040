"""Every `metagap` command in a block of the README and the guides is run, in this process, and small.

| command | how it is made small |
|---|---|
| all | suites have one seed, one outer step, tiny networks, a few episodes and few alphabets; reports have no figures |
| run, reproduce | `--engine` is named, so that nothing is timed; cells are run in this process |
| report, compare, results | of a run of the two that are compared, or of `maml` and `scratch` |
| power | the same, of two seeds |
| associations | of `quickstart` and `sinusoid` with a quantity, whatever suites are named |
| compare-suites | of `quickstart` and `sinusoid` with three algorithms, whatever suites are named |
| reproduce --from | nothing: it only reads the records of the reference |
| check | without the engine paths that are traced |
| data get, verify, leaks | of data that are here; skipped with the name of the file where they are not |
| speed | the smallest workload, one repetition, nothing compiled, or few rows; slow, as it is a process of its own |

Not run: what is in `NOT_RUN`, with the reason.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from guides import PAGES, ROOT, blocks

from layouts import by_class, write_folder
from metagap.checking import paths
from metagap.digests import of_text
from metagap.files import Files

NOT_RUN = {
    "pip install": "installs",
    "pytest": "runs these tests",
    "ruff": "is run by .ci/run",
    "python benchmark/docs/generate.py": "writes into the repository; test_guides compares what it makes",
    "metagap selftest": "takes minutes; tests/selftest has a short form",
    "metagap run exercises": "needs the extra; test_packaged.py has its source",
    "metagap run half-cheetah-direction": "needs the extra; test_bodies.py has its worlds",
    "--with metaworld": "needs an environment of its own; test_meta_world.py has its world",
    "metagap results import": "needs what another command of the page makes; test_archives.py has it",
    "metagap results diff results": "the same",
    "metagap run omniglot-small --launch slurm": "needs a cluster; tests/executors has one",
    "metagap run quickstart --launch dask": "needs a cluster; tests/executors has one",
    "metagap --install-completion": "writes into the settings of the user's shell; test_cli asks for completions",
}
SLOW = (
    "metagap associations",  # with tests of its own
    *("metagap speed", "metagap run quickstart --algorithm all", "metagap data verify"),
    # with a sibling that is run
    *(
        "metagap run omniglot-walkthrough",
        "metagap check mine/mine.py",
        "metagap power quickstart maml reptile --power",
    ),
    "metagap report omniglot-small",
    "metagap compare omniglot-small",
    *("metagap run omniglot-small", "metagap run gap-along-training", "metagap run linear-tasks"),
    *("metagap run quickstart --iterations 50", "metagap run quickstart --data DIR"),
    *(
        "metagap run quickstart --device cpu",
        "metagap run quickstart --set training.lr",
        "metagap reproduce maml-table1 --c",
    ),
    *("metagap run quickstart --set 'evaluation.metrics", "metagap run quickstart -a mine/mine.py:Mine"),
    *(
        "metagap run quickstart --algorithm maml --algorithm scratch --set evaluation.checkpoints",
        "metagap run my-suite",
    ),
    *("metagap reproduce maml-rl", "metagap power quickstart", "metagap compare quickstart mine maml"),
    # with tests of what it does: executors, control, test_new, report/test_suites_page
    *("metagap run quickstart --launch here", "metagap run navigation", "metagap check ./mine.py"),
    *("metagap check ./stripes.py", "metagap check ./bells.py"),  # test_examples.py has them
    *("metagap run shops.toml", "metagap run machines.toml"),
    "metagap compare-suites omniglot-small cifar-fs-small quickstart",
    "metagap run dose-response",
    *(f"metagap results {verb}" for verb in ("verify", "repair", "diff quickstart", "export")),
    *("metagap run gap-over-classes", "metagap report gap-over-classes"),
    *("metagap run handwriting", "metagap report handwriting"),
)
EAGER = ["--engine", "loop plain eager"]
MORE = {
    "run": EAGER,
    "reproduce": EAGER,
    "speed": ["--repeats", "1", "--no-compile", "--device", "cpu", "-a", "fomaml"],
}
"""Options that are added."""
SAYS = {
    "run": r"reports/.*index\.html|DIR/.*index\.html",
    "report": r"index\.html|\"scores\"",
    "compare": r"better|cannot tell|same",
    "reproduce": r"published|cells, \d+ done",
    "show": r"\w+",
    "list": r"maml",
    "check": r"examinations, none failed",
    "new": r"Next: change mine\.py",
    "power": r"\d",
    "compare-suites": r"rank",
    "associations": r"Rank correlations with the gaps",
    "data": r"omniglot|mnist",
    "status": r"quickstart|\"done\"",
    "speed": r"sinusoid|[\d,]+ rows|2 cells of 1 s|status",
    "results": r"quickstart|no faults|Nothing is damaged",
}
"""What is printed, at least."""
FILES = {
    "omniglot": "omniglot-py/images_background.zip",
    "mnist": "MNIST/raw/t10k-images-idx3-ubyte.gz",
    "kmnist": "KMNIST/raw/t10k-images-idx3-ubyte.gz",
    "emnist": "EMNIST/raw",
}
"""A file of each data set that commands need."""


def lines() -> list[Any]:
    """Every line of the blocks of shell commands, without `uv run` and remarks."""
    found = [line.partition(" #")[0] for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    parts = [" ".join(part.removeprefix("uv run ").split()) for line in found for part in line.split(" && ")]
    return [
        pytest.param(line, marks=[pytest.mark.slow] if line.startswith(SLOW) else [])
        for line in dict.fromkeys(parts)
        if line and not line.startswith(tuple(NOT_RUN))
    ]


SMALLEST = {
    "iterations": 1, "meta_batch": 1, "validations": 1, "validation_episodes": 1, "episodes": 2, "steps": 1,
    "curve_steps": 1, "diagnostic_episodes": 1, "checkpoints": 1, "quantity_episodes": 2, "alphabets": 5,
    "inner_steps": 1, "filters": 4,
}  # fmt: skip


def small(table: dict[str, Any]) -> dict[str, Any]:
    """A suite with the smallest budget."""

    def reduced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {inner: reduced(below, inner) for inner, below in value.items()}
        if key == "splits":
            return [reduced(below) for below in value]
        return min(value, SMALLEST[key]) if key in SMALLEST and isinstance(value, int) else value

    if isinstance(table.get("sweep"), dict):
        sweep = table["sweep"]
        table = table | {"sweep": sweep | {"values": sweep["values"][:2]}}
    return table if "columns" in table else reduced(table) | {"seeds": [0]}


@pytest.fixture
def small_suites(monkeypatch):
    read = Files.read
    monkeypatch.setattr(Files, "read", lambda self, path: small(read(self, path)))


@pytest.fixture
def small_check(monkeypatch):
    untraced = {kind: [plan for plan in plans if "traced" not in plan] for kind, plans in paths.PLANS.items()}
    monkeypatch.setattr(paths, "PLANS", untraced)


def needed(words: list[str]) -> set[str]:
    """The data sets without which a command cannot do what it is for."""
    if words[0] == "data":
        return FILES.keys() & set(words)
    trains = words[0] in ("run", "report", "compare", "reproduce") and "--dry-run" not in words
    return {"omniglot"} if trains and re.match(r"(.*-)?omniglot|maml-table1", words[1]) else set()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def ran(here, kept):
    """A run that other commands are about: what several have in common is run once."""

    def ran(*arguments: str) -> None:
        store = kept / of_text(" ".join(arguments))
        if not store.is_dir():
            assert here("run", *arguments, *EAGER)[0] == 0
            shutil.copytree("results", store)
        shutil.copytree(store, "results", dirs_exist_ok=True)

    return ran


@pytest.mark.parametrize("line", lines())
def test_a_command_of_the_guides_runs(
    line, here, ran, in_process, small_suites, small_check, readers_folder, real_data, monkeypatch
):
    words = [re.sub(r"(evaluation.checkpoints)=\d+", r"\1=1", word) for word in shlex.split(line)[1:]]
    for name in sorted(needed(words)):
        real_data(FILES[name])
    if words[:1] == ["data"] and not words[2:]:
        real_data(FILES["mnist"])
    write_folder(readers_folder, by_class([f"c{i}" for i in range(40)], 14, "my-images/{name}/{i}.png"))
    if words[0] == "run" and not needed(words):
        monkeypatch.setenv("METAGAP_DATA", str(readers_folder))
    Path("DIR").mkdir()
    if words[:2] == ["new", "algorithm"]:
        Path("empty").mkdir()
        monkeypatch.chdir("empty")
    if words[0] in ("report", "compare", "results", "status"):
        pair = words[2:4] if words[0] == "compare" else ["maml", "scratch"]
        chosen = [f"--algorithm={'./mine.py:Mine' if name == 'mine' else name}" for name in pair]
        ran("quickstart" if words[0] in ("results", "status") else words[1], *chosen)
    if words[0] == "power":
        pair = words[2:4] if words[2:3] not in ([], ["--power"]) else ["maml", "reptile"]
        ran(words[1], *[f"--algorithm={name}" for name in pair], "--seed=0", "--seed=1")
    if words[0] == "compare-suites":
        for suite in ("quickstart", "sinusoid"):
            ran(suite, *[f"--algorithm={name}" for name in ("maml", "reptile", "scratch")])
        words = [
            words[0],
            "quickstart",
            "sinusoid",
            *[word for word in words[1:] if not re.match("omni|cifar|quick", word)],
        ]
    if words[0] == "associations":
        measured = "--set=evaluation.quantities=['adaptation-norm']"
        for suite in ("quickstart", "sinusoid"):
            ran(suite, "--algorithm=maml", "--algorithm=scratch", measured)
        words = ["associations", "quickstart", "sinusoid"]
    if "--from" in words:
        monkeypatch.undo()
        words = [str(ROOT / word) if word.startswith("results/") else word for word in words]
    else:
        words += MORE.get(words[0], [])
    if "--report-rows" in words:
        words = ["speed", "--report-rows", "5000"]
    elif words[0] == "speed" and "--cells" in words:
        words = ["speed", "--cells", "2"]
    elif "--store-cells" in words:
        words = ["speed", "--store-cells", "200"]
    elif words[0] == "speed":
        words.insert(1, "sinusoid-1")
    if "--iterations" in words:
        words += ["--iterations", "1"]
    code, text, errors = here(*words)
    assert code == 0, errors
    assert re.search(SAYS.get(words[0], "."), " ".join(text.split())), text
    if "--json" in words and words[0] != "speed":
        assert json.loads(text)


def test_what_is_not_run_is_in_the_guides():
    every = [
        line.removeprefix("uv run ") for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()
    ]
    for start in NOT_RUN:
        assert any(line.strip().removeprefix("uv run ").startswith(start) for line in every), start
