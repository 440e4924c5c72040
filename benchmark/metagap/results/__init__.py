"""The store: where the records of a run lie, written atomically, and read back as data frames.

`<results>/<suite>/<algorithm>/<seed>-<hash>/` is one cell:

    config.json            what the trained weights depend on, resolved
    environment.json       code, versions, device and machine of the training
    attempts.json          what each attempt to run it has cost, and where; the only file that later runs change
    checkpoint.pt          state of the training, or its end; its sha256 stands behind it
    curve.parquet          the training curve
    evaluation/*.parquet   a row per test episode and inner step, one file per split
    evaluation/*.npz       a sample episode of the split, where it may be shown
    evaluation/*-classes.npz  which classes each test episode of the split holds, where there are classes
    evaluation/*-rollouts.npz  what the learned policy does in its first test tasks, where tasks answer back
    evaluation/*.json      the receipt of a split: of which weights it is the score, and the sha256 of its files
    snapshots/*.pt         the meta-parameters at points of training, each with its sha256 behind it
    along/*.parquet        scores at these points, one file per split; along/*.json are their receipts
    quantities/*.parquet   what was measured beside the scores, one file per quantity; quantities/*.json likewise
    failed.json            only while the cell has failed: when and why, with traceback.txt next to it
    log.txt                what was done and said in all attempts, and when; the part before it is in log.txt.1
    .lease/                only while a process has the cell in work: which one, and how far it is (`lease`)
    done-<variant>.json    the marker, written last: the resolved suite, which evaluation files belong to it, and the
                           sha256 of every file

`<results>/<suite>/own.json` says which of these cells are the suite's as its file has it. `.index` next to it says
which were whole when they were last looked at, so that they need not be read again; it can be removed at any time.

`files` writes and reads single files, `tables` those of data frames and arrays, `markers` what says that a cell is
done. `survey` says what is finished, `reading` reads whole suites, `sweeps` all members of a sweep. `verify` looks at
every file, `repair` sets aside, `removal` removes, `archives` passes results on, `contrast` compares two runs of a
cell.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metagap.results.failures import Failed, clear_failure, diverged, failures, minute, read_failure, write_failure
from metagap.results.files import (
    DamagedError,
    read_json,
    read_sealed,
    read_signed,
    set_aside,
    write_json,
    write_sealed,
    write_signed,
)
from metagap.results.index import Index, index_of
from metagap.results.leftovers import sweep
from metagap.results.listing import differences, listing
from metagap.results.markers import CLASSES, FORMAT, ROLLOUTS, read_config, read_file, read_marker, write_marker
from metagap.results.own import Part, Plan, read_own, report_folder, write_own, write_own_sweep
from metagap.results.scan import files_of
from metagap.results.status import status
from metagap.results.survey import damage_in, damage_of, survey

if TYPE_CHECKING:
    from metagap.results.frames import records
    from metagap.results.reading import MEND, Results, assemble, read
    from metagap.results.sweeps import SweepResults, read_sweep
    from metagap.results.tables import read_frame, write_arrays, write_frame

__all__ = [
    "CLASSES",
    "FORMAT",
    "MEND",
    "ROLLOUTS",
    "DamagedError",
    "Failed",
    "Index",
    "Part",
    "Plan",
    "Results",
    "SweepResults",
    "assemble",
    "clear_failure",
    "damage_in",
    "damage_of",
    "differences",
    "diverged",
    "failures",
    "files_of",
    "index_of",
    "listing",
    "minute",
    "read",
    "read_config",
    "read_failure",
    "read_file",
    "read_frame",
    "read_json",
    "read_marker",
    "read_own",
    "read_sealed",
    "read_signed",
    "read_sweep",
    "records",
    "report_folder",
    "set_aside",
    "status",
    "survey",
    "sweep",
    "write_arrays",
    "write_failure",
    "write_frame",
    "write_json",
    "write_marker",
    "write_own",
    "write_own_sweep",
    "write_sealed",
    "write_signed",
]

LATER = {
    "frames": ("records",),
    "reading": ("MEND", "Results", "assemble", "read"),
    "sweeps": ("SweepResults", "read_sweep"),
    "tables": ("read_frame", "write_arrays", "write_frame"),
}
"""What comes when it is asked for, by its file: to import pandas takes as long as to survey thousands of cells."""


def __getattr__(name: str) -> Any:
    for file, names in LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
