"""What a metric is: its name, unit and better direction, how it is summarised, and the function that computes it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from metagap import registry
from metagap.errors import UserError
from metagap.text import uncertain

Statistic = Literal["mean", "median", "iqm"]
Axis = Literal["linear", "log"]

RESERVED = ("score", "loss")
"""Names that columns of the records have already."""


class Margin(NamedTuple):
    """How far apart two values may be and still count as the same: absolute, or a share of the published value."""

    size: float
    relative: bool = False

    def around(self, published: float) -> float:
        """In the unit of the value."""
        return self.size * abs(published) if self.relative else self.size


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How well the predictions for one task fit its targets, as one number.

    The same value has three forms: the *natural* one, which `function` computes (accuracy 0.93, MSE 0.4); the *score*,
    natural with the sign turned where lower is better; and the *printed* one, natural times `scale` (93%). Records hold
    scores of the headline metric and natural values of the others.
    """

    name: str
    """As suites say it: lower-case letters, digits and hyphens."""
    label: str
    """As a text says it: "accuracy", "MSE"."""
    about: str
    """One sentence on what it is, with its source."""
    kinds: tuple[str, ...]
    """The kinds of task that it is for."""
    function: str | Callable[..., Any]
    """The tensor function, or `package.module:name` of it, so that a metric can be looked at without torch.

    Of outputs (n, ways) or (n, 1) and targets (n,) or (n, 1) of one task it gives the natural value, shape (). It is
    mapped over tasks and traced: no control flow may depend on the values in these tensors.
    """
    higher_is_better: bool
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest natural value."""
    margin: Margin
    """How close to a published value ours has to be to count as the same, where nobody says otherwise."""
    chance: Callable[[int], float] | None = None
    """The natural value of guessing, of the ways of a task; None where there is no such thing."""
    unit: str = ""
    """Of the printed value: "%", or nothing."""
    gap_unit: str = ""
    """Of a printed difference; by default percentage points for %, else the label."""
    scale: float = 1.0
    """From natural to printed values."""
    statistic: Statistic = "mean"
    """What summarises the episodes: "iqm" (interquartile mean) where single ones can be arbitrarily bad."""
    accumulates: bool = False
    """Whether it is a sum over the steps of a rollout, so that values of different horizons compare per step."""
    axis: Axis = "linear"
    """Of figures."""
    revision: int = 1
    """Raised by its author when other values come of the same predictions."""

    def __post_init__(self) -> None:
        if not self.gap_unit:
            object.__setattr__(self, "gap_unit", "percentage points" if self.unit == "%" else self.label)
        for wrong, said in (
            (not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name), "needs a name of a-z, 0-9 and single hyphens"),
            (self.name in RESERVED, f"needs another name than {' and '.join(RESERVED)}"),
            (isinstance(self.kinds, str), "needs a tuple of kinds"),
            (self.statistic not in get_args(Statistic), f"needs a statistic of {', '.join(get_args(Statistic))}"),
            (self.axis not in get_args(Axis), f"needs an axis of {', '.join(get_args(Axis))}"),
            (self.axis == "log" and self.bounds[0] < 0, "has a logarithmic axis and values below zero"),
            (not self.bounds[0] < self.bounds[1], "needs bounds (least, greatest)"),
            (not self.scale > 0, "needs a scale above zero; higher_is_better gives the direction"),
        ):
            if wrong:
                raise UserError(f"metric '{self.name}' {said}")

    def __str__(self) -> str:
        return self.name

    # Computing it.

    def tensor_function(self) -> Callable[..., Any]:
        """The function of outputs and targets. Raises UserError where it cannot be imported."""
        return registry.function(self.function, f"metric '{self.name}'")

    @property
    def log(self) -> bool:
        """Whether figures have a logarithmic axis."""
        return self.axis == "log"

    def score_function(self) -> Callable[..., Any]:
        """The same, but for the score. Raises UserError where it cannot be imported."""
        natural = self.tensor_function()
        return natural if self.higher_is_better else lambda output, y: -natural(output, y)

    # From one form to another.

    @property
    def sign(self) -> int:
        """From natural values to scores and back."""
        return 1 if self.higher_is_better else -1

    @property
    def score_scale(self) -> float:
        """From scores to printed values."""
        return self.sign * self.scale

    @property
    def gap_scale(self) -> float:
        """From differences of scores to printed ones, which stay positive where the first score is better."""
        return self.scale

    def chance_score(self, ways: int) -> float | None:
        """The score of guessing; None where there is no such thing."""
        return None if self.chance is None else self.sign * self.chance(ways)

    @property
    def best_score(self) -> float:
        """The score that cannot be surpassed; infinite where there is none."""
        return self.bounds[1] if self.higher_is_better else -self.bounds[0]

    @property
    def worst_score(self) -> float:
        """The score that cannot be undercut; infinite where single episodes can ruin a mean."""
        return self.bounds[0] if self.higher_is_better else -self.bounds[1]

    @property
    def score_bounds(self) -> tuple[float, float]:
        """The least and the greatest score."""
        return self.worst_score, self.best_score

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The statistics worth showing: the mean alone, or all where its tail is heavy."""
        return ("mean",) if self.statistic == "mean" else ("mean", "median", "iqm")

    @property
    def decimals(self) -> int:
        """The fewest digits that are printed after the point."""
        return 1 if self.unit else 2

    # As text.

    @property
    def better(self) -> str:
        """The direction that is better."""
        return "higher" if self.higher_is_better else "lower"

    @property
    def axis_label(self) -> str:
        """Axis label or table heading, with the unit and the direction that is better."""
        return f"{self.label}{f' ({self.unit})' if self.unit else ''}, {self.better} is better"

    @property
    def heading(self) -> str:
        """The axis label at the beginning of a sentence."""
        return self.axis_label[0].upper() + self.axis_label[1:]

    def values(self, value: float, low: float, high: float) -> tuple[float, float, float]:
        """A score with its bounds in printed units; the bounds change places where the sign does."""
        value, low, high = (number * self.score_scale for number in (value, low, high))
        return (value, low, high) if self.higher_is_better else (value, high, low)

    def score(self, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A score with its interval as text, such as ``93.1 ± 0.4`` or ``0.38 [0.35, 0.44]``."""
        return uncertain(*self.values(value, low, high), decimals=self.decimals)

    def gap(self, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A difference of scores with its interval as text, signed."""
        scaled = (value * self.gap_scale, low * self.gap_scale, high * self.gap_scale)
        return uncertain(*scaled, decimals=self.decimals, signed=True)

    # In records, so that a report needs no plugin.

    def described(self, ways: Iterable[int]) -> dict[str, Any]:
        """It as plain values, with chance for tasks of these ways."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del plain["function"]
        return plain | {
            "kinds": list(self.kinds),
            "bounds": [bound if math.isfinite(bound) else None for bound in self.bounds],
            "margin": list(self.margin),
            "chance": self.chance and {str(n): self.chance(n) for n in sorted(set(ways))},
        }

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Metric:
        """The metric that was described; it cannot be computed, only shown."""
        known = {field.name for field in dataclasses.fields(cls)}
        low, high = description["bounds"]
        chances = description.get("chance")
        return cls(
            **{key: value for key, value in description.items() if key in known}
            | {
                "kinds": tuple(description["kinds"]),
                "bounds": (-math.inf if low is None else low, math.inf if high is None else high),
                "margin": Margin(*description["margin"]),
                "chance": chances and (lambda ways: chances[str(ways)]),
                "function": "",
            }
        )
