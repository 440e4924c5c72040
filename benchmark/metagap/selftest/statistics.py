"""The table of `metagap selftest statistics`: every interval and every claim of a page, tried on a known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import pandas as pd

from metagap.analysis.power import POWER
from metagap.report.table import Table
from metagap.selftest import along, claims
from metagap.selftest import trends as sweeps
from metagap.selftest.coverage import coverage, robust_coverage
from metagap.selftest.worlds import CEILING, GAUSSIAN, LAWS, Law

SEEDS, EPISODES = (3, 5, 10), (200, 1000)
LUCK = 3
"""Standard errors of the simulation that are allowed for."""


class Row(NamedTuple):
    """One thing that was tried. share: of the repeats; allowed: its least and its greatest value."""

    what: str
    new: str
    law: str
    seeds: int
    episodes: int
    repeats: int
    share: float
    allowed: tuple[float, float]

    @property
    def luck(self) -> float:
        """The standard error of the share."""
        return (max(self.share * (1 - self.share), 0.5 / self.repeats) / self.repeats) ** 0.5

    @property
    def holds(self) -> bool:
        """Whether the share is what is claimed, but for the luck of the simulation."""
        low, high = self.allowed
        return bool(low - LUCK * self.luck <= self.share <= high + LUCK * self.luck)


Part = Callable[[], list[Row]]


def parts(repeats: int, seeds: tuple[int, ...] = SEEDS, episodes: tuple[int, ...] = EPISODES) -> list[Part]:
    """Everything that is tried, in parts that can be computed at the same time."""
    several = [(s, m) for s in seeds for m in episodes]
    pages = max(repeats // 5, 1)  # a page is a hundred comparisons
    return [
        *(partial(_covered, law, s, m, repeats) for law in (*LAWS, CEILING) for s, m in several),
        *(partial(_robust, s, episodes[0], pages) for s in seeds),
        *(partial(_claimed, law, s, episodes[0], pages) for law in (GAUSSIAN, LAWS[1]) for s in seeds),
        *(partial(_along, s, episodes[0], pages) for s in seeds),
        *(partial(_swept, law, s, episodes[0], pages) for law in (GAUSSIAN, LAWS[1]) for s in seeds),
        *(partial(_sloping, s, episodes[0], pages) for s in seeds),
        *(partial(_judged, published, s, episodes[0], repeats) for published in claims.PUBLISHED for s in seeds),
    ]


def run(todo: list[Part], workers: int, advance: Callable[[], None] = lambda: None) -> list[Row]:
    """The rows of all parts, in their order, from some processes."""
    rows: dict[int, list[Row]] = {}
    if workers < 2:
        for number, part in enumerate(todo):
            rows[number] = part()
            advance()
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            numbers = {pool.submit(part): number for number, part in enumerate(todo)}
            for future in as_completed(numbers):
                rows[numbers[future]] = future.result()
                advance()
    return [row for number in sorted(rows) for row in rows[number]]


def table(rows: list[Row]) -> Table:
    """The rows as a table, a row for each thing and law, a column for each number of seeds and episodes."""
    frame = pd.DataFrame([row._asdict() | {"holds": row.holds} for row in rows])
    found = []
    for (what, new, law), part in frame.groupby(["what", "new", "law"], sort=False):
        low, high = part["allowed"].iloc[0]
        cells = {
            f"{seeds} × {episodes:,}": f"{100 * share:.1f}{'' if holds else ' ✗'}"
            for seeds, episodes, share, holds in zip(
                part["seeds"], part["episodes"], part["share"], part["holds"], strict=True
            )
        }
        found.append({"what": what, "new": new, "scores": law} | cells | {"claimed": _words(low, high)})
    worst = max(row.luck for row in rows)
    return Table(
        name="statistics",
        title="Intervals and claims, tried on a known truth",
        caption="Share (%) of the repeats in which an interval holds the truth, or a claim is made that is false, by "
        "seeds × episodes. “New” is what is new when the truth is met again. Claimed: the bounds that it has to keep; "
        f"✗ where it does not, by more than {LUCK} standard errors (at most {100 * worst:.1f} points each).",
        frame=pd.DataFrame(found).fillna("–"),
        labels=3,
        plain=frozenset({"claimed"}),
    )


def _words(low: float, high: float) -> str:
    if low == high:
        return f"{100 * low:g}"
    if low == 0:
        return f"at most {100 * high:g}"
    return f"at least {100 * low:g}" if high == 1 else f"{100 * low:g} to {100 * high:g}"


def as_records(rows: list[Row]) -> Iterator[dict[str, Any]]:
    """The rows as plain values."""
    for row in rows:
        yield row._asdict() | {"standard_error": row.luck, "holds": row.holds}


def _covered(law: Law, seeds: int, episodes: int, repeats: int) -> list[Row]:
    """At the ceiling an interval may be too wide, for a perfect run says little; too short it may not be."""
    rows = []
    for one, share in coverage(law, seeds, episodes, repeats):
        low, high = one.allowed
        allowed = (low, 1.0 if law == CEILING else high)
        rows.append(Row(one.name, one.new, law.name, seeds, episodes, repeats, share, allowed))
    return rows


def _robust(seeds: int, episodes: int, repeats: int) -> list[Row]:
    return [
        Row("interquartile mean", new, "log-normal errors", seeds, episodes, repeats, share, (0.93, 0.97))
        for new, share in robust_coverage(seeds, episodes, repeats)
    ]


def _claimed(law: Law, seeds: int, episodes: int, repeats: int) -> list[Row]:
    found = claims.false_claims(law, seeds, episodes, repeats)
    page = f"page of {claims.ALGORITHMS} equal algorithms on {claims.DOMAINS + 1} splits"
    return [
        Row(f"{page}: {name}", "runs, episodes", law.name, seeds, episodes, repeats, share, (0, 0.05))
        for name, share in (("a false “better”", found.better), ("any false claim", found.any))
    ]


def _along(seeds: int, episodes: int, repeats: int) -> list[Row]:
    found = along.false_claims(seeds, episodes, repeats)
    names = (
        "a flat gap is said to open",
        "the same, by simultaneous intervals",
        "a gap is said to open too early",
        "selecting among equals is said to cost something",
    )
    return [
        Row(f"along training: {name}", "runs, episodes", GAUSSIAN.name, seeds, episodes, repeats, share, (0, 0.05))
        for name, share in zip(names, found, strict=True)
    ]


def _swept(law: Law, seeds: int, episodes: int, pages: int) -> list[Row]:
    what = f"page of a sweep that changes nothing, {sweeps.ALGORITHMS} algorithms: any false trend"
    share = sweeps.false_trends(law, seeds, episodes, pages)
    return [Row(what, "runs, episodes", law.name, seeds, episodes, pages, share, (0, 0.05))]


def _sloping(seeds: int, episodes: int, repeats: int) -> list[Row]:
    """A slope is found as often as is said; its interval may be a little too wide, as that of any contrast."""
    found, held = sweeps.found_slopes(GAUSSIAN, seeds, episodes, repeats)
    about = ("runs, episodes", GAUSSIAN.name, seeds, episodes, repeats)
    return [
        Row(f"slope that is found with {100 * POWER:g}%: found", *about, found, (POWER, POWER)),
        Row("slope of a score over the values of a sweep", *about, held, (0.93, 0.98)),
    ]


def _judged(published: str, seeds: int, episodes: int, repeats: int) -> list[Row]:
    shares = claims.false_verdicts(seeds, episodes, published, repeats)
    about, size = f"published with {published}", (seeds, episodes, repeats)
    return [
        Row(f"{about}: {name}", "runs, episodes", GAUSSIAN.name, *size, share, (0, 0.05))
        for name, share in zip(("equal values “differ”", "values a margin apart “agree”"), shares, strict=True)
    ]
