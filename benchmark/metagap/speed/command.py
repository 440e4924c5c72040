"""The command `metagap speed`: its options checked, everything measured, printed and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from metagap import registry
from metagap.engine.machines import asked, devices
from metagap.errors import UserError
from metagap.files import check_file
from metagap.speed import peers, picture, table
from metagap.speed.compare import Settings
from metagap.speed.process import measure_apart
from metagap.speed.workloads import ALGORITHMS, WORKLOADS

PRECISIONS = ("float32", "tf32")


def settings(
    workloads: Sequence[str],
    *,
    algorithms: Sequence[str],
    against: Sequence[str],
    device: str,
    repeats: int | None,
    engine: str,
    compile: bool | None,
    precision: str,
    memory: str | None,
    devices_per_cell: int = 1,
) -> Settings:
    """What the options of the command line ask for; raises UserError for a name that there is not."""
    names = _known("workload", workloads, list(WORKLOADS))
    for peer in against:
        peers.check(peer)
    _known("--precision", [precision], list(PRECISIONS))
    machine = asked(
        device=device, engine=engine, compile=compile, memory=memory, workers=1, devices_per_cell=devices_per_cell
    )
    return Settings(
        workloads=[WORKLOADS[name] for name in names],
        algorithms=_known("--algorithm", algorithms, list(ALGORITHMS)),
        against=list(dict.fromkeys(against)),
        device=torch.device(devices(machine)[0]),
        cores=machine.cores,
        repeats=repeats,
        engine=machine.engine,
        compile=machine.compile,
        precision=precision,
        memory=machine.memory,
        growth=not workloads,
    )


def check_files(numbers: Path | None, image: Path | None, chosen: Settings) -> None:
    """Raise UserError for files that cannot be written in the end."""
    for file, option in ((numbers, "--json"), (image, "--picture")):
        if file is not None:
            check_file(file, option)
    if image is not None:
        picture.check(image)
        if not chosen.against:
            raise UserError(f"--picture '{image}' compares with a peer: name one by --against")


def run(chosen: Settings, numbers: Path | None, image: Path | None, console: Console) -> None:
    """Measure, print and write."""
    measured = measure_apart(chosen, console)
    table.print_measured(measured, console)
    if numbers is not None:
        numbers.write_text(json.dumps(measured.as_json(), indent=1) + "\n", encoding="utf-8")
    if image is not None:
        picture.draw(measured, chosen.against[0], image)


def _known(what: str, given: Sequence[str], allowed: list[str]) -> list[str]:
    """The given names once each, or all that are allowed where none is given."""
    for name in given:
        if name not in allowed:
            raise UserError(f"{what} '{name}'{registry.suggest(name, allowed)}")
    return list(dict.fromkeys(given)) or allowed
