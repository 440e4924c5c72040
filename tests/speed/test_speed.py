"""`metagap speed`: the measurements, on workloads that take no time, and the command. Nothing is said of how long."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from metagap.cli import main
from metagap.speed import peers, picture, table, timing
from metagap.speed.compare import Against, Growth, Measured, Row, Settings, growth, measure
from metagap.speed.ours import Ours, one_task, strategy_for
from metagap.speed.timing import Times, Way
from metagap.speed.workloads import ALGORITHMS, WORKLOADS, Problem, Workload
from metagap.tasks.episode import TaskSpec

CPU = torch.device("cpu")
SMALL = {"name": "conv4", "filters": 4}
WAVES = replace(WORKLOADS["sinusoid-5"], name="waves", tasks=3, steps=2, model={"name": "mlp", "hidden": [8, 8]})
STRIDED = Workload(
    "strided", "", TaskSpec("classification", 3, 1, 2), (1, 12, 12), tasks=3, steps=2, inner_lr=0.1, model=SMALL
)
POOLED = replace(STRIDED, name="pooled", x_shape=(3, 16, 16), model={**SMALL, "pooling": "max"})
SCORED = replace(STRIDED, name="scored", evaluates=True, tasks=6, sample=3)


def settings(*workloads: Workload, **options) -> Settings:
    """Nothing is chosen by timing, which takes its time."""
    defaults = {"algorithms": ["maml"], "against": [], "device": CPU, "cores": 2, "repeats": 2, "engine": "loop plain"}
    return Settings(workloads=workloads, **{**defaults, "compile": False, "growth": False, **options})


@pytest.fixture
def learn2learn():
    pytest.importorskip("learn2learn")
    return peers.load("learn2learn")


@pytest.fixture(autouse=True)
def this_machine(monkeypatch):
    monkeypatch.setattr(timing, "peak_arithmetic", lambda *_: {"matrix product": 1e9, "convolution": 2e9})
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", sorted(peers.PEERS))
@pytest.mark.parametrize(
    ("workload", "algorithm"),
    [(workload, algorithm) for workload in (WAVES, STRIDED, POOLED, SCORED) for algorithm in workload.algorithms],
    ids=lambda value: getattr(value, "name", value),
)
def test_peers_compute_the_same(name, workload, algorithm):
    pytest.importorskip(name)
    peer = peers.load(name)
    if algorithm not in peer.algorithms:
        pytest.skip("not among its algorithms")
    problem = Problem.of(workload, algorithm, CPU, torch.float64)
    ours = Ours(problem, strategy_for(problem, "traced" if workload.is_small else "eager", "loop plain", None), 1)
    assert timing.relative_error(ours.answer(), peer.answer(problem)) < 1e-9


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_iteration_is_a_whole_outer_step(algorithm, learn2learn):
    """After two of them the weights are the same."""
    from metagap.speed.peers.learn2learn import stepping

    problem = Problem.of(WAVES, algorithm, CPU, torch.float64)
    ours, network = (
        Ours(problem, strategy_for(problem, "traced", "loop plain", None), 1),
        copy.deepcopy(problem.network),
    )
    step = stepping(problem, network)
    for _ in range(2):
        ours.iteration()
        step()
    torch.testing.assert_close(ours.weights, dict(network.named_parameters()))
    assert not torch.equal(ours.weights["head.weight"], problem.network.head.weight)


def test_measures_everything_beside_a_peer(tmp_path, learn2learn):
    seen = []
    measured = measure(
        settings(WAVES, SCORED, against=["learn2learn"], algorithms=["maml", "reptile"]),
        lambda text, done: seen.append(done),
    )
    assert [(row.workload, row.algorithm) for row in measured.rows] == [
        ("waves", "maml"),
        ("waves", "reptile"),
        ("scored", "maml"),
    ]
    for row in measured.rows:
        against = row.against["learn2learn"]
        assert against.agreement < 1e-9
        assert against.ratio == pytest.approx(against.milliseconds.median / row.milliseconds.median)
        assert row.milliseconds.low <= row.milliseconds.median <= row.milliseconds.high
        assert row.milliseconds.repeats == against.milliseconds.repeats == 2
        assert row.memory_bytes > 0
        assert row.operations > 0
        assert row.share_of_peak > 0
    assert [row.timed_tasks for row in measured.rows] == [3, 3, 3]
    assert measured.rows[-1].tasks == 6
    assert seen == sorted(seen)
    assert seen[-1] == 1
    json.dumps(measured.as_json())


def test_a_peer_is_left_out_where_it_lacks_the_algorithm(learn2learn, monkeypatch):
    monkeypatch.setattr(type(learn2learn), "algorithms", ("maml",))
    measured = measure(settings(WAVES, against=["learn2learn"], algorithms=["maml", "reptile"]))
    assert [list(row.against) for row in measured.rows] == [["learn2learn"], []]


def test_the_engine_can_be_told(learn2learn):
    rows = measure(settings(WAVES, engine="loop eager")).rows
    assert [row.engine for row in rows] == ["loop plain eager"]


def test_a_compiled_row_follows(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    rows = measure(settings(WAVES, compile=True, algorithms=["fomaml"])).rows
    assert [row.compiled for row in rows] == [False, True]


def test_memory_hardly_grows_with_inner_steps():
    rows = growth(settings(engine="loop plain eager"), (1, 3), STRIDED)
    assert [row.steps for row in rows] == [1, 3]
    assert rows[0].ratio == 1
    assert rows[0].bytes > 4 * 32 * 12 * 12  # more than the images alone
    assert rows[1].ratio < 2


def test_turns_are_taken():
    order = []
    ways = [Way(name, lambda name=name: order.append(name), 1) for name in "abc"]
    times = timing.interleaved(ways, [1, 2, 1], CPU, 3, lambda _: None)
    assert "".join(order) == "abbc" * 3
    assert [len(found) for found in times] == [3, 3, 3]


def test_peak_memory_is_that_of_the_tensors_alive_at_once():
    def iteration():
        first = torch.ones(1000)
        second = first + 1
        del first
        return second * 2

    assert timing.peak_memory(iteration, CPU) == pytest.approx(8000, abs=100)


def test_arithmetic_counts_what_is_needed_and_nothing_twice():
    """First order: forward and backward of support and query. An input needs no gradient, so its layer has two."""
    problem = Problem.of(replace(WAVES, steps=1), "fomaml", CPU)
    layer_1, rest = 2 * 8, 2 * (8 * 8 + 8)
    assert timing.arithmetic(one_task(problem)) == 20 * (2 * layer_1 + 3 * rest)


def test_times_are_scaled():
    assert Times.of([0.1, 0.3, 0.2], 10) == pytest.approx(Times(2000, 1000, 3000, 3))


def made_up() -> Measured:
    def row(workload: str, algorithm: str, ms: float, compiled: bool = False, slower: float = 5.0) -> Row:
        beside = Against("0.2.0", "1 thread", Times(ms * slower, ms, ms, 5), 0.1, slower, 1e-16, None)
        return Row(
            workload, algorithm, "vmap plain traced", compiled, 25, 25, 1, Times(ms, ms, ms, 5), 2.0, 1e3, 10**6, 10**9,
            {"learn2learn": beside}, 0.1,
        )  # fmt: skip

    rows = [
        row("sinusoid-1", "maml", 2.0),
        row("sinusoid-1", "maml", 1.0, True),
        row("omniglot-1", "reptile", 90, slower=0.7),
    ]
    environment = {"torch": "2.0", "device": "cpu: x"}
    memory = [Growth(1, "loop", 10**6, 1.0), Growth(5, "loop", 10**6, 1.0)]
    return Measured(environment, "cpu", 2, "float32", {"learn2learn": "0.2.0"}, {"matrix product": 1e9}, rows, memory)


def test_the_table_says_it(capsys):
    table.print_measured(made_up(), Console(highlight=False))
    out = capsys.readouterr().out
    for text in ("sinusoid-1", "5.00×", "0.70×", "vmap plain traced", "10.0%", "1e-16", "learn2learn 0.2.0", "inner"):
        assert text in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_drawn(tmp_path, suffix):
    path = tmp_path / f"speed{suffix}"
    picture.draw(made_up(), "learn2learn", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".png" else b"sinusoid-1" in data


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def speed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metagap", "speed", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return speed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sinusoid1"], "workload 'sinusoid1'; did you mean 'sinusoid-1'?"),
        (["--algorithm", "mamml"], "--algorithm 'mamml'; did you mean 'maml'?"),
        (["--against", "learn2lern"], "--against 'learn2lern'; did you mean 'learn2learn'?"),
        (["--precision", "bf16"], "--precision 'bf16'"),
        (["--device", "tpu"], "--device 'tpu'"),
        (["--engine", "fast"], "--engine: 'fast'"),
        (["--memory", "much"], "--memory 'much'"),
        (["--json", "no-folder/a.json"], "there is no folder 'no-folder'"),
        (["--json", "."], "--json '.' is a folder"),
        (["--picture", "a.pdf"], "must end in .png or .svg"),
        (["--picture", "a.png"], "name one by --against"),
    ],
)
def test_bad_input_is_refused(speed, arguments, says):
    code, _, errors = speed(*arguments)
    assert code == 2
    assert says in errors


def test_a_peer_that_is_not_installed_is_refused(speed, monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    code, _, errors = speed("--against", "jax")
    assert code == 2
    assert "metagap[jax]" in errors


@pytest.mark.slow
def test_the_command_measures_in_a_process_of_its_own(speed, tmp_path):
    path = tmp_path / "speed.json"
    code, out, _ = speed(
        "sinusoid-1", "-a", "fomaml", "--repeats", "2", "--no-compile", "--device", "cpu", "--json", str(path)
    )  # fmt: skip
    assert code == 0
    assert "fomaml" in out
    found = json.loads(path.read_text())
    assert [row["workload"] for row in found["rows"]] == ["sinusoid-1"]
    assert {"commit", "torch"} <= set(found["environment"])
