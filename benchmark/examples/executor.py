"""An executor: the cells one after the other, in this process, where a debugger can follow them."""

from metagap.executors import Executor
from metagap.executors.attempt import attempt


def run(cells, store, machine, verbose):
    for number, cell in enumerate(cells):
        yield number, attempt(cell, store, machine, verbose)


HERE = Executor(name="here", about="One cell after the other, in this process.", run=run)


if __name__ == "__main__":
    from metagap.cli import app

    app(["run", "quickstart", "--launch", f"{__file__}:HERE", "-a", "maml", "-s", "0", "--iterations", "50"])
