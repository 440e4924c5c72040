"""What all tables of a suite file are made of: a section, and the types of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from metagap.files import fault_of_name

MOST = 10**9
"""What anything that is counted may be at most: beyond it lie typing errors."""


def _name(value: str) -> str:
    if fault := fault_of_name(value):
        raise ValueError(fault)
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank; allowed: a text")
    return value


def distinct(values: list[Any]) -> list[Any]:
    """The values; raises ValueError where one is listed twice."""
    if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
        raise ValueError(f"{twice!r} is listed twice")
    return values


PositiveInt = Annotated[int, Gt(0), Le(MOST)]
PositiveInts = Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(distinct)]
Count = Annotated[int, Ge(0), Le(MOST)]
Seed = Annotated[int, Ge(0), Lt(2**63)]
Rate = Annotated[float, Gt(0)]
Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(_name)]
"""Of a split or an algorithm's entry: it stands in tables, and in the names of files."""


class Section(BaseModel):
    """A table of a suite file: no unknown keys, never changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    def allowed_keys(cls) -> list[str]:
        """What its table may say."""
        return list(cls.model_fields)


def unset(value: Any) -> bool:
    """Whether a key is as in suites that do not know it, so that their digests stay what they were."""
    return value is None


Made = TypeVar("Made", bound=Section)


def constructed(section: type[Made], table: Mapping[str, Any]) -> Made:
    """A section of plain values that are not checked."""
    return section.model_construct(**{key: value for key, value in table.items() if key in section.model_fields})
