"""What a CUDA graph asks of an iteration, as far as a CPU can tell; the graph itself needs a GPU."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from metagap.engine import capture
from metagap.engine.capture import WARM_UP, Captured
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import parse
from metagap.machine import Machine
from metagap.runner.context import TrainingContext
from metagap.runner.snapshots import Snapshots
from metagap.runner.train import _Training
from metagap.suite import expand, load_suite, with_algorithms, with_iterations

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "item", "equal", "is_nonzero"}


class NothingWaits(TorchDispatchMode):
    """Refuses operations whose outcome Python, or the shape of a result, would have to wait for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket.__name__ not in WAITING, function
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["images", "waves"])
@pytest.mark.parametrize("algorithm", ["maml", "reptile"])
@pytest.mark.parametrize("run", ["eager", "traced"])
def test_an_iteration_never_waits_for_the_device(kind, algorithm, run, tiny_suite, tmp_path):
    chosen = load_suite(str(tiny_suite(kind, algorithms={"maml": None, "scratch": None, algorithm: {}})))
    context = TrainingContext(expand(chosen)[0], Machine("cpu", engine=f"vmap plain {run}"))
    snapshots = Snapshots(context, tmp_path / "snapshots")
    training = _Training(context, tmp_path / "checkpoint.pt", lambda *_: None, snapshots, None, None)
    training.iterate()  # what is made once may wait
    before = {name: value.clone() for name, value in context.meta.items()}
    with NothingWaits():
        training.iterate()
    assert any((context.meta[name] != before[name]).any() for name in before)


def test_the_check_would_notice():
    with pytest.raises(AssertionError), NothingWaits():
        torch.ones(1).item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_iterations_are_those_that_are_launched_one_by_one(tmp_path):
    results = []
    for warm_up in (WARM_UP, 10**9):
        capture.WARM_UP = warm_up
        chosen = with_iterations(with_algorithms(load_suite("sinusoid"), ["maml"]), 20)
        context = TrainingContext(expand(chosen)[0], Machine("cuda", compile=False))
        _Training(context, tmp_path / f"{warm_up}.pt", lambda *_: None, None).run()
        results.append(context.meta)
    capture.WARM_UP = WARM_UP
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_cannot_be_captured_goes_on_uncaptured(caplog):
    x, seen = torch.zeros(1, device="cuda"), []
    step = Captured(lambda: seen.append(float(x.add_(1))), [])
    for _ in range(WARM_UP + 3):
        step()
    assert seen[-1] == len(seen)
    assert "cannot be captured" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("strategy", ["vmap traced", "vmap gemm traced"])
def test_the_gpu_computes_what_the_cpu_computes(strategy):
    context = TrainingContext(expand(with_algorithms(load_suite("quickstart"), ["maml"]))[0], Machine("cpu"))
    spec = context.training_spec
    episodes = context.training_tasks.episode(
        context.training_tasks.draw(4, spec, torch.Generator().manual_seed(0)), spec
    )
    gradients = []
    for device in ("cpu", "cuda"):
        meta = {name: value.double().to(device) for name, value in context.meta.items()}
        outer = OuterLoop(context.bind(spec), meta, context.cell.training, parse(strategy, context.strategy))
        gradients.append(
            {k: v.cpu() for k, v in outer.gradient(episodes.to(torch.device(device), torch.float64))[0].items()}
        )
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-9, atol=1e-12)
