"""What a score is called, in which unit it is printed, and how a number with an interval becomes text."""

from __future__ import annotations

import math
from dataclasses import dataclass

MISSING = "–"


@dataclass(frozen=True)
class Measure:
    """The printed form of a score: accuracy in per cent, or the mean squared error as a positive number.

    `scale` turns a stored score into the printed value (100 for accuracies, -1 for -MSE) and `gap_scale` does so for a
    difference of two scores, which stays positive where generalization costs something.
    """

    name: str
    unit: str
    gap_unit: str
    better: str
    scale: float
    gap_scale: float
    statistic: str
    log: bool

    @classmethod
    def of(cls, suite: dict) -> Measure:
        """The measure of a resolved suite, from `suite["task"]["kind"]`."""
        return REGRESSION if suite["task"]["kind"] == "regression" else CLASSIFICATION

    @property
    def label(self) -> str:
        """Axis label or table heading, with the unit and the direction that is better."""
        return f"{self.name}{f' ({self.unit})' if self.unit else ''}, {self.better} is better"

    @property
    def heading(self) -> str:
        """The label at the beginning of a sentence."""
        return self.label[0].upper() + self.label[1:]

    def values(self, value: float, low: float, high: float) -> tuple[float, float, float]:
        """A score with its bounds in printed units; the bounds change places where the sign does."""
        value, low, high = value * self.scale, low * self.scale, high * self.scale
        return (value, high, low) if self.scale < 0 else (value, low, high)

    def score(self, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A score with its interval as text, such as ``93.1 ± 0.4`` or ``0.38 [0.35, 0.44]``."""
        return uncertain(*self.values(value, low, high), decimals=1 if self.unit else 2)

    def gap(self, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A difference of scores with its interval as text, signed."""
        scaled = (value * self.gap_scale, low * self.gap_scale, high * self.gap_scale)
        return uncertain(*scaled, decimals=1 if self.unit else 2, signed=True)


CLASSIFICATION = Measure("accuracy", "%", "percentage points", "higher", 100.0, 100.0, "mean", log=False)
REGRESSION = Measure("MSE", "", "MSE", "lower", -1.0, 1.0, "iqm", log=True)


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number as text: ``∞`` where it is infinite, ``–`` where it is missing, a power of ten where it is huge."""
    if value is None or math.isnan(value):
        return MISSING
    sign = "−" if value < 0 else "+" if signed else ""
    if math.isinf(value):
        return f"{sign}∞"
    if abs(value) >= 1e5:
        mantissa, exponent = f"{abs(value):.1e}".split("e")
        return f"{sign}{mantissa}e{int(exponent)}"
    text = f"{abs(value):.{decimals}f}"
    return text if float(text) == 0 else f"{sign}{text}"


def uncertain(value: float, low: float, high: float, decimals: int = 2, signed: bool = False) -> str:
    """A value with its interval: ``±`` where the interval is symmetric as printed, else the two bounds in brackets.

    `decimals` is the fewest digits after the point; a narrower interval gets up to two more, to show its first digit.
    """
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return number(value, decimals, signed)
    up, down = high - value, value - low
    widest = max(up, down)
    if 0 < widest < math.inf:
        needed = -math.floor(math.log10(widest))
        decimals = needed if decimals < needed <= decimals + 2 else decimals
    if not all(map(math.isfinite, (value, low, high))):
        if math.isinf(value) or (math.isinf(low) and math.isinf(high)):
            return number(value, decimals, signed)
        return f"{number(value, decimals, signed)} [{number(low, decimals)}, {number(high, decimals)}]"
    if abs(up - down) <= max(10.0**-decimals, 0.05 * widest):
        return f"{number(value, decimals, signed)} ± {number(widest, decimals)}"
    return f"{number(value, decimals, signed)} [{number(low, decimals)}, {number(high, decimals)}]"


def share(value: float) -> str:
    """A share in [0, 1] as a percentage that never rounds a rare event to none."""
    if value is None or math.isnan(value):
        return MISSING
    return "<0.1%" if 0 < value < 0.001 else f"{100 * value:.1f}%"


def probability(value: float) -> str:
    """A p-value as text."""
    if value is None or math.isnan(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
