"""What was measured, as tables on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from metagap.speed.compare import Measured, Row
from metagap.speed.workloads import WORKLOADS

WIDTH = 120
"""Columns where the output is no terminal."""


def print_measured(measured: Measured, console: Console) -> None:
    """The machine, a row for each workload, algorithm and strategy, and how memory grows."""
    if not console.is_terminal:
        console.width = WIDTH
    torch = measured.environment["torch"]
    peak = ", ".join(f"{name} {value / 1e9:,.0f} Gflop/s" for name, value in measured.peak.items())
    about = f"{measured.device_name}, {measured.cores} cores, torch {torch}, {measured.precision}; peak: {peak}"
    console.print(about, markup=False)
    if measured.rows:
        console.print(_speeds(measured))
    for note in _notes(measured):
        console.print(f"[dim]{note}[/]")
    if measured.memory:
        console.print(_memory(measured))


def significant(value: float) -> str:
    """Three digits, more where they stand before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def _speeds(measured: Measured) -> Table:
    out = _table("Time of an outer step, or of 1,000 episodes")
    for heading in ("workload", "algorithm"):
        out.add_column(heading, no_wrap=True)
    out.add_column("engine", min_width=8)
    for heading in ("ms", *measured.peers, "tasks/s", "MB", "agrees\nto", "of\npeak", "start\nup"):
        out.add_column(heading, justify="right", overflow="fold")
    before = None
    for row in measured.rows:
        out.add_row(
            row.workload if row.workload != before else "",
            row.algorithm,
            row.engine,
            significant(row.milliseconds.median),
            *(_ratio(row, peer) for peer in measured.peers),
            significant(row.tasks_per_second),
            significant(row.memory_bytes / 1e6),
            f"{max(against.agreement for against in row.against.values()):.0e}" if row.against else "",
            f"{100 * row.share_of_peak:.1f}%",
            f"{row.start_up_seconds:.0f} s",
        )
        before = row.workload
    return out


def _ratio(row: Row, peer: str) -> str:
    return f"[bold]{significant(row.against[peer].ratio)}×[/]" if peer in row.against else ""


def _notes(measured: Measured) -> list[str]:
    notes = []
    for peer, version in measured.peers.items():
        ways = sorted({row.against[peer].way for row in measured.rows if peer in row.against})
        notes.append(
            f"{peer} {version}: its time over ours, in turns in one process; ways that were fastest: {', '.join(ways)}"
        )
    if measured.peers:
        notes.append("agrees to: relative L2 error in float64 of the whole meta-gradient, or of the query losses")
    notes.append("of peak: arithmetic that is needed, over the device's peak and the time; MB: tensors of an iteration")
    for name, timed in {row.workload: row.timed_tasks for row in measured.rows if row.timed_tasks < row.tasks}.items():
        notes.append(f"{name}: {timed:,} of {WORKLOADS[name].tasks:,} episodes were timed, and the time scaled")
    return notes


def _memory(measured: Measured) -> Table:
    out = _table("Memory of second-order MAML, a task of mini-ImageNet's shape at a time")
    for heading in ("inner steps", "MB", f"of {measured.memory[0].steps} step"):
        out.add_column(heading, justify="right")
    out.add_column("engine")
    for row in measured.memory:
        out.add_row(str(row.steps), significant(row.bytes / 1e6), f"{row.ratio:.2f}×", row.engine)
    return out


def _table(title: str) -> Table:
    look = {"box": box.SIMPLE_HEAD, "title_justify": "left", "title_style": "bold"}
    return Table(title=title, padding=(0, 1, 0, 0), pad_edge=False, **look)
