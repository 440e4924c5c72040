"""`metagap selftest faults`: runs that are killed and files that rot, and what becomes of the records."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from metagap.engine.process import set_up
from metagap.executors import pool
from metagap.executors.executor import Failure
from metagap.report.table import Table
from metagap.selftest import flips, kills

TRIALS: dict[str, Callable[..., Any]] = {"killed": kills.disturb, "flipped": flips.flip}


class Met(NamedTuple):
    """A trouble that is over, for people to watch."""

    what: str


def run(counts: dict[str, int], seed: int, workers: int, advance: Callable[[str], None]) -> dict[str, Any]:
    """The tallies of the trials, each in a process of its own; counts: of each, how often. advance: is told its name.

    Raises RuntimeError where a trial itself fails.
    """
    jobs = [(name, count, seed) for name, count in counts.items() if count]
    tallies: dict[str, Any] = {}
    for number, event in pool.run(jobs, _try, [_start] * min(workers, len(jobs))):
        match event:
            case Met(what):
                advance(what)
            case kills.Tally() | flips.Tally():
                tallies[jobs[number][0]] = event
            case Failure(message, _, traceback):
                raise RuntimeError(f"{message}\n{traceback}")
    return tallies


def _start(tell: pool.Tell) -> None:
    set_up()


def _try(job: tuple[str, int, int], cores: int, tell: pool.Tell) -> None:
    name, count, seed = job
    with tempfile.TemporaryDirectory(prefix="metagap-faults-") as folder:
        tell(TRIALS[name](count, seed, Path(folder), lambda: tell(Met(name))))


def tables(tallies: dict[str, Any]) -> Iterator[Table]:
    """What came of each trial."""
    if (tally := tallies.get("killed")) is not None:
        rows = [
            {"what": what, "of": target, "times": f"{times:,}"}
            for (what, target), times in sorted(tally.troubles.items(), key=lambda item: (item[0][1], item[0][0]))
        ]
        yield Table(
            name="killed",
            title="Runs that were disturbed",
            caption=f"{tally.runs} runs of a suite with two cells, of which {tally.troubles.total()} were disturbed at "
            f"a random moment, until {tally.stores} stores were finished. Each store was compared with that of an "
            f"undisturbed run; files that are lost, left over or other ones but for dates and costs: {_faults(tally)}.",
            frame=pd.DataFrame(rows),
            plain=frozenset({"of"}),
        )
    if (tally := tallies.get("flipped")) is not None:
        columns = {
            "verified": tally.verified,
            "noticed": tally.noticed,
            "mended": tally.mended,
            "harmless": tally.harmless,
        }
        rows = [
            {"file": kind, "flips": f"{count:,}"} | {name: f"{found[kind]:,}" for name, found in columns.items()}
            for kind, count in tally.flips.items()
        ]
        yield Table(
            name="flipped",
            title="Bits that were flipped",
            caption="A bit of a finished store each. Verified: found by `metagap results verify`. Noticed: named by a "
            "report or by the next run. Mended: after that run all numbers are as before, the bit is gone. Harmless: "
            f"no number is another one, and nothing was said. Numbers that changed in silence: {_faults(tally)}.",
            frame=pd.DataFrame(rows),
        )


def _faults(tally: Any) -> str:
    return f"{len(tally.faults)}" if tally.faults else "none"


def as_record(tally: Any) -> dict[str, Any]:
    """A tally as plain values."""
    plain = dict(vars(tally))
    if "troubles" in plain:
        plain["troubles"] = [
            {"what": what, "of": target, "times": times} for (what, target), times in plain["troubles"].items()
        ]
    return plain
