"""The results of a sweep: those of each of its members, read together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from metagap.errors import UserError
from metagap.results.failures import failures
from metagap.results.own import Plan
from metagap.results.reading import Results, assemble, of_same_settings, opened, remarks_of, said_of, unmended
from metagap.results.survey import survey
from metagap.suite import Axis, Suite, Values, said


@dataclass(frozen=True)
class SweepResults:
    """The results of the members of a sweep that have any.

    axes: the keys that are swept. members: the results of each, by its values, in the order of the sweep. notes:
    sentences that a reader of the numbers should know.
    """

    axes: tuple[Axis, ...]
    members: dict[Values, Results]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def suite(self) -> Suite:
        """That of the member with most algorithms; all share its name, title and splits."""
        return max((one.suite for one in self.members.values()), key=lambda suite: len(suite.algorithms))

    def said(self, values: Values) -> str:
        """The values of a member with their keys."""
        return said(self.axes, values)


def read_sweep(results: Path, suite: str, plan: Plan) -> SweepResults:
    """The finished cells of the members of a sweep below the folder `results`.

    Damaged cells are left out, and the notes name the file. Raises UserError where there is nothing to read.
    """
    seen, failed = survey(results / suite), failures(results / suite)
    members: dict[Values, Results] = {}
    told: dict[Values, list[str]] = {}
    problems: list[str] = []
    for values, variant, hashes in plan.members:
        notes = told[values] = []
        there = [one for one in seen.found if one.head.variant == variant and one.hash in hashes]
        latest = of_same_settings(there, hashes, notes)
        left = unmended([one for one in failed if one.variant in (variant, "") and one.hash in hashes], latest)
        notes += map(said_of, left)
        if not there:
            notes.append("There are no results of it.")
            continue
        try:
            members[values] = assemble(opened(latest, notes), [], variant, plan.reference, left)
            notes += members[values].notes
        except UserError as error:
            problems.append(str(error))
    remarks = list(remarks_of(seen))
    if not members:
        problem = f"no finished results of the sweep '{suite}' in '{results / suite}'; `metagap run {suite}` makes them"
        raise UserError("\n".join([problem, *problems, *remarks]))
    return SweepResults(plan.axes, members, [*_together(plan.axes, told), *problems, *remarks])


def _together(axes: tuple[Axis, ...], told: dict[Values, list[str]]) -> list[str]:
    """The notes of all members: once what several say, and with its values what one says."""
    counts = Counter(note for notes in told.values() for note in dict.fromkeys(notes))
    lines = [
        note if counts[note] > 1 and not note.startswith("There are no results") else f"{said(axes, values)}: {note}"
        for values, notes in told.items()
        for note in notes
    ]
    return list(dict.fromkeys(lines))
