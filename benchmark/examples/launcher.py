"""A launcher: the cells of a suite, one after the other in this process."""

import sys
from pathlib import Path

from metagap.machine import Machine
from metagap.runner.cell import is_done, run_cell
from metagap.suite import expand, load_suite


def launch(suite: str, store: Path, machine: Machine) -> None:
    """Run the cells that are not done; what is there already is left alone."""
    for cell in expand(load_suite(suite)):
        if not is_done(cell, store):
            run_cell(cell, store, machine)
            print(f"{cell} is done")


if __name__ == "__main__":
    launch(sys.argv[1] if len(sys.argv) > 1 else "quickstart", Path("results"), Machine("cpu"))
