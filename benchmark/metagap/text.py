"""Numbers as text: with an interval, as a share, as a probability."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

MISSING = "–"


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


def listed(values: Sequence[str], most: int = 6) -> str:
    """Some names in a sentence."""
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown


def printable(text: str) -> str:
    """The text with its control characters as escapes, such as `\\x1b`."""
    return text if text.isprintable() else "".join(repr(c)[1:-1] if is_control(c) else c for c in text)


def is_control(character: str) -> bool:
    """Whether a terminal acts on it, or cannot show it: of these, ends of lines and tabs alone are let through."""
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
