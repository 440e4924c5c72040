"""How many times as fast as a peer, as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from metagap.errors import UserError
from metagap.report.theme import FIXED, INK, MUTED, PALETTE, drawing
from metagap.speed.compare import Measured, Row
from metagap.speed.table import significant
from metagap.speed.workloads import WORKLOADS

WIDTH, ROW = 9.2, 0.27
SUFFIXES = (".png", ".svg")
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def check(path: Path) -> None:
    """Raise UserError for a file that no picture can be written to."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--picture '{path}': the name must end in {' or '.join(SUFFIXES)}")


def draw(measured: Measured, peer: str, path: Path) -> None:
    """Write the picture of the rows that were measured against this peer."""
    with drawing():
        figure = _figure(measured, peer)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, dpi=160, facecolor="white", metadata=metadata)


def _figure(measured: Measured, peer: str) -> Figure:
    """Bars for workloads and algorithms: what an outer step gains, and paler what compiling adds."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in measured.rows:
        if peer in row.against:
            pairs.setdefault((row.workload, row.algorithm), []).append(row)
    workloads = list(dict.fromkeys(workload for workload, _ in pairs))
    height = ROW * len(pairs) + 0.42 * len(workloads) + 1.15
    figure = Figure((WIDTH, height), layout="constrained")
    axis = figure.subplots()
    ratios = [row.against[peer].ratio for rows in pairs.values() for row in rows] or [1.0]
    low, high = min(0.9, *ratios) * 0.95, max(2.0, *ratios)
    level, ticks = 0.0, []
    for workload in workloads:
        here = [(algorithm, rows) for (name, algorithm), rows in pairs.items() if name == workload]
        place: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
        axis.annotate(workload, (1, level), (5, 0), weight="bold", color=INK, **place)
        summary = WORKLOADS[workload].summary if workload in WORKLOADS else ""
        axis.annotate(summary, (1, level), (118, 0), fontsize=8, color=MUTED, **place)
        for algorithm, rows in here:
            level += 1
            _bar(axis, level, algorithm, rows, peer)
            ticks.append((level, algorithm))
        level += 1.5
    axis.set_yticks(*zip(*ticks, strict=True)) if ticks else axis.set_yticks([])
    axis.set_ylim(level - 0.7, -0.7)
    axis.set_xscale("log")
    axis.set_xlim(low, high * (high / low) ** 0.42)
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if low <= tick <= high * 1.3]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.tick_params(length=0)
    axis.grid(False, axis="y")
    axis.spines["left"].set_visible(False)
    axis.axvline(1, color=MUTED, linewidth=1)
    axis.set_xlabel(f"times as fast as {peer} (logarithmic)")
    if any(row.compiled for rows in pairs.values() for row in rows):
        handles = [Patch(color=MUTED, label="traced"), Patch(color=MUTED, alpha=0.4, label="compiled")]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
    figure.supxlabel(_caption(measured, peer), x=0.01, ha="left", fontsize=7.5, color=MUTED)
    return figure


def _bar(axis: Axes, level: float, algorithm: str, rows: list[Row], peer: str) -> None:
    """The bar of a workload for an algorithm, from 1 to the ratio, with the ratios and times in words."""
    color = PALETTE[FIXED[algorithm]][0]
    rows = sorted(rows, key=lambda row: row.compiled)
    for row in rows:
        ratio = row.against[peer].ratio
        axis.barh(level, ratio - 1, left=1, height=0.72, color=color, alpha=0.4 if row.compiled else 1.0, linewidth=0)
    end = max(1.0, *(row.against[peer].ratio for row in rows))
    words = " / ".join(f"{significant(row.against[peer].ratio)}×" for row in rows)
    ours = " / ".join(significant(row.milliseconds.median) for row in rows)
    theirs = significant(rows[0].against[peer].milliseconds.median)
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    label = axis.annotate(words, (end, level), (5, 0), weight="bold", color=INK, **place)
    instead = f"{ours} ms instead of {theirs}"
    axis.annotate(instead, (1, 0.5), (6, 0), xycoords=label, fontsize=8, color=MUTED, **place)


def _caption(measured: Measured, peer: str) -> str:
    machine = f"{measured.device_name}, {measured.cores} cores"
    versions = f"torch {measured.environment['torch']}, {peer} {measured.peers[peer]}, {measured.precision}"
    error = max((row.against[peer].agreement for row in measured.rows if peer in row.against), default=math.nan)
    return (
        f"{machine}; {versions}; time of an outer step, or of 1,000 episodes: median of turns in one process\n"
        f"on the same data with the same weights; meta-gradients in float64 agree to {error:.0e} or better"
    )
