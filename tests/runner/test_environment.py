"""What is recorded of code and machine: what they tell, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from metagap.runner import energy
from metagap.runner.environment import PACKAGE, code, commit, environment

CPU = torch.device("cpu")


def checkout(top: Path, project: str = "metagap") -> Path:
    """A package in a repository of its own."""
    package = top / "benchmark" / "metagap"
    package.mkdir(parents=True)
    (package / "a.py").write_text("a = 1\n")
    (top / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n')
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    return package


def test_an_edited_file_is_other_code(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "__pycache__").mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("a = 1\n")
        (tmp_path / name / "__pycache__" / "a.pyc").write_text(name)
    assert code(tmp_path / "one") == code(tmp_path / "two")
    code.cache_clear()
    (tmp_path / "two" / "a.py").write_text("a = 2\n")
    assert code(tmp_path / "one") != code(tmp_path / "two")


def test_the_commit_is_that_of_our_own_checkout(tmp_path):
    ours = checkout(tmp_path / "ours")
    assert len(commit(ours)) == 12
    commit.cache_clear()
    (ours / "a.py").write_text("a = 2\n")
    assert commit(ours).endswith("-dirty")


def test_the_commit_of_a_repository_around_it_is_none_of_ours(tmp_path):
    assert commit(checkout(tmp_path / "theirs", project="paper")) == ""  # a copy in the repository of a paper
    checkout(tmp_path / "project")
    installed = tmp_path / "project" / ".venv" / "lib" / "site-packages" / "metagap"
    installed.mkdir(parents=True)
    assert commit(installed) == ""


def test_the_environment_names_what_numbers_depend_on(monkeypatch):
    found = environment(CPU)
    assert {"date", "host", "code", "torch", "numpy", "scipy", "torchvision", "device", "processor"} <= set(found)
    assert found["code"] == code(PACKAGE) and found["device"].startswith("cpu: ")
    assert not {"cuda", "cudnn", "driver"} & set(found) and None not in found.values()


def test_the_environment_does_not_depend_on_what_the_process_has_imported(monkeypatch):
    monkeypatch.setattr("metagap.runner.environment.WHERE_INSTALLED", ("mujoco", "pytest"))
    monkeypatch.setitem(sys.modules, "pytest", SimpleNamespace(__version__="0.0"))
    assert environment(CPU)["pytest"] == metadata.version("pytest")
    monkeypatch.delitem(sys.modules, "pytest")
    assert environment(CPU)["pytest"] == metadata.version("pytest")
    monkeypatch.setattr("metagap.runner.environment.WHERE_INSTALLED", ("not-installed",))
    assert "not-installed" not in environment(CPU)


@pytest.fixture
def rapl(tmp_path, monkeypatch):
    """Two processors, one with a part that is counted in it already; gives the function that sets the counters."""
    monkeypatch.setattr(energy, "RAPL", tmp_path)

    def count(*micro: int) -> None:
        for name, value in zip(("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"), micro, strict=True):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "energy_uj").write_text(f"{value}\n")
            (tmp_path / name / "max_energy_range_uj").write_text("9999999\n")

    count(1_000_000, 9_000_000, 0)
    return count


def test_processors_are_added_up_and_counters_begin_anew(rapl):
    meter = energy.Energy(CPU)
    assert meter.used() == {"cpu_joules": 0}
    rapl(2_500_000, 500_000, 5_000_000)  # the second went on from 0
    assert meter.used() == {"cpu_joules": pytest.approx(1.5 + 1.5)}
    rapl(3_500_000, 500_000, 5_000_000)
    assert meter.used() == {"cpu_joules": pytest.approx(4.0)}


def test_what_cannot_be_read_is_left_out(rapl, tmp_path):
    meter = energy.Energy(CPU)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert meter.used() == {} and energy.Energy(CPU).used() == {}


def test_a_device_that_tells_its_energy(monkeypatch, tmp_path):
    told = iter([5000, 7000, 9500])
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {b"GPU-a": next(told)}[handle],
    )
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="a"))
    gpu = torch.device("cuda:0")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert energy.Energy(gpu).used() == {}
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert energy.Energy(gpu).used() == {"gpu_joules": 2.5}  # once to see whether it works
