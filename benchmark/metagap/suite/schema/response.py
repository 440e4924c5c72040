"""`[[responses]]`: families of splits that differ in the strength of one shift; and what holds between these splits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from metagap.suite.schema.section import Name, PositiveInt, Section, Text, distinct

if TYPE_CHECKING:
    from metagap.suite.schema.evaluation import Split
    from metagap.suite.schema.task import Task

SHIFTED = "shifted"
"""The role of the splits of a response."""
EPISODES = 200
"""Of a shifted split, at most, where nobody says how many."""
SEVERITIES = (1, 2, 3, 4, 5)


class Dose(Section):
    """Which response a split belongs to, and how far it is shifted."""

    of: Name = Field(description="the name of the response")
    strength: float = Field(description="of the shift, in the unit of the response")
    reference: Name = Field(description="the split that it is compared with: the same tasks, not shifted")
    neutral: float = Field(default=0.0, description="the strength of that split")


class Response(Section):
    """A family of splits that show the tasks of one split, shifted more and more."""

    name: Name
    key: Text | None = Field(default=None, description="the key of the source that is changed, such as source.rotation")
    shift: Text | None = Field(default=None, description="or the corruption whose severity is: `metagap list shifts`")
    values: list[Any] = Field(
        default=list(SEVERITIES), min_length=1, description="of the key, or severities; default: all five severities"
    )
    strengths: list[float] | None = Field(
        default=None, description="how strong each value is, where the values are no numbers"
    )
    neutral: float = Field(
        default=0.0, description="the strength of the split that is not shifted, such as a width of 1"
    )
    reference: Name | None = Field(
        default=None, description="the split that is shifted; default: the first in-distribution split"
    )
    episodes: PositiveInt | None = Field(
        default=None, description=f"of each split; default: the evaluation's, at most {EPISODES}"
    )

    @field_validator("values")
    @classmethod
    def _different(cls, values: list[Any]) -> list[Any]:
        return distinct(values)

    @model_validator(mode="after")
    def _of_one_thing(self) -> Response:
        if (self.key is None) == (self.shift is None):
            raise ValueError("a response has either key or shift")
        if self.key is not None:
            if not self.key.startswith("source.") or self.key == "source.":
                raise ValueError(f"key = '{self.key}'; allowed: a key of the source, such as source.rotation")
            if "values" not in self.model_fields_set:
                raise ValueError("key 'values' is missing: those that the key takes")
        elif wrong := [value for value in self.values if type(value) is not int or value not in SEVERITIES]:
            raise ValueError(f"values has {wrong[0]!r}; allowed: severities from 1 to 5")
        given = self.values if self.strengths is None else self.strengths
        if wrong := [value for value in given if type(value) not in (int, float) or not math.isfinite(value)]:
            raise ValueError(f"values has {wrong[0]!r}, which is no number; `strengths` says how strong each value is")
        if len(given) != len(self.values):
            raise ValueError(f"{len(given)} strengths for {len(self.values)} values; allowed: as many")
        if fault := fault_of_strengths(given, self.neutral):
            raise ValueError(fault)
        return self

    @property
    def doses(self) -> list[tuple[float, Any]]:
        """The strengths with their values."""
        given = self.values if self.strengths is None else self.strengths
        return [(float(strength), value) for strength, value in zip(given, self.values, strict=True)]


def fault_of_strengths(strengths: Sequence[float], neutral: float) -> str:
    """What is wrong with the strengths of a response; empty where nothing is."""
    if len({*strengths}) < len(strengths):
        return f"two strengths are the same: {', '.join(f'{one:g}' for one in sorted(strengths))}"
    if neutral in strengths:
        return f"a strength is {neutral:g}, which is neutral: the reference is there already"
    if min(strengths) < neutral < max(strengths):
        return f"strengths lie on both sides of neutral = {neutral:g}; a response goes one way: make two of them"
    return ""


def faults_of_doses(splits: Sequence[Split], task: Task) -> Iterator[str]:
    """What does not fit together among the shifted splits of a suite."""
    known = {split.name: split for split in splits}
    responses: dict[str, list[Dose]] = {}
    for split in splits:
        dose = split.dose
        if (dose is None) == (split.role == SHIFTED):
            yield f"split '{split.name}': role shifted and key 'dose' go together; [[responses]] makes such splits"
        if dose is None:
            continue
        responses.setdefault(dose.of, []).append(dose)
        reference = known.get(dose.reference)
        if reference is None or reference.role in (SHIFTED, "meta-val"):
            allowed = [one.name for one in splits if one.role not in (SHIFTED, "meta-val")]
            yield f"responses.{dose.of}: key 'reference' = '{dose.reference}'; allowed: {', '.join(allowed)}"
        elif differing := [
            key
            for key in ("ways", "shots", "queries", "imbalance")
            if (getattr(split, key) or getattr(task, key)) != (getattr(reference, key) or getattr(task, key))
        ]:
            yield f"split '{split.name}' has other {differing[0]} than '{reference.name}', which it is compared with"
    for name, doses in responses.items():
        if len({(dose.reference, dose.neutral) for dose in doses}) > 1:
            yield f"responses.{name}: its splits have different references, or different neutral values"
        elif fault := fault_of_strengths([dose.strength for dose in doses], doses[0].neutral):
            yield f"responses.{name}: {fault}"
