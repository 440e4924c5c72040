"""Options that several commands share are bound once, and become one machine."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from metagap import cli
from metagap.cli.options import Running, spread
from metagap.engine.machines import devices
from metagap.errors import UserError
from metagap.machine import Machine, count_cores


@dataclass(frozen=True)
class Mine:
    often: Annotated[int, typer.Option("--often", "-o", help="How often.")] = 2
    loud: bool = False


def options_of(name: str) -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    return {parameter.name: (parameter.opts, parameter.help) for parameter in group.commands[name].params}


def test_commands_that_run_cells_have_the_same_options():
    run, reproduce = options_of("run"), options_of("reproduce")
    shared = [one.name for one in fields(Running)]
    assert len(shared) == 17
    assert {name: run[name] for name in shared} == {name: reproduce[name] for name in shared}


def test_a_field_is_an_option():
    app = typer.Typer()

    @app.command()
    @spread
    def greet(name: str, word: str = "hello", *, mine: Mine) -> None:
        """Say it."""
        print(*[f"{word} {name}{'!' * mine.loud}"] * mine.often)

    assert CliRunner().invoke(app, ["you"]).output == "hello you hello you\n"
    assert CliRunner().invoke(app, ["you", "-o", "1", "--loud", "--word", "bye"]).output == "bye you!\n"
    assert "How often." in CliRunner().invoke(app, ["--help"]).output


def test_the_machine_is_what_the_options_say():
    asked = Running(device="cpu", jobs=3, devices_per_cell=2, engine="loop eager", memory="2G", checkpoint_every=5)
    assert asked.machine() == Machine("cpu", "loop eager", None, 2 * 2**30, count_cores(), 3, 5, None, 2)
    for wrong in (Running(engine="fast"), Running(memory="much"), Running(devices_per_cell=0)):
        with pytest.raises(UserError):
            wrong.machine()


@pytest.mark.parametrize(("machine", "workers", "cores"), [((4, None), 4, 1), ((4, 2), 2, 2), ((1, 3), 3, 1)])
def test_workers_share_the_cores(machine, workers, cores):
    whole = Machine("cpu", cores=machine[0], workers=machine[1])
    places = devices(whole)
    assert places == ["cpu"] * workers
    assert whole.worker("cpu", workers).cores == cores


def test_a_cell_has_several_devices():
    whole = Machine("cpu", cores=5, devices_per_cell=2)
    assert devices(whole) == ["cpu"] * 2
    assert [member.cores for member in whole.worker("cpu", 2).members(2)] == [1, 1]
    assert [member.device for member in Machine("cuda:2", devices_per_cell=2).members(2)] == ["cuda:2", "cuda:3"]
    with pytest.raises(UserError, match=r"--devices-per-cell 6: there are 5 CPU cores here; allowed: 1 to 5"):
        devices(Machine("cpu", cores=5, devices_per_cell=6))


def test_gpus_are_given_to_cells_in_groups(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    assert devices(Machine("auto", devices_per_cell=2)) == ["cuda:0", "cuda:2"]
    assert devices(Machine("cuda", workers=3, devices_per_cell=2)) == ["cuda:0", "cuda:2", "cuda:0"]
