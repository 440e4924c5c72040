"""The terminal: rich's console, which lets no text of others move the cursor or hide what stands there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from metagap.text import printable


class Screen(Console):
    """rich's console; control characters within texts are printed as their escapes, such as `\\x1b`."""

    def render(self, *given: Any, **options: Any) -> Iterable[Segment]:
        """As rich's, with nothing but what can be seen in its texts."""
        for segment in super().render(*given, **options):
            seen = segment.text if segment.control else printable(segment.text)
            yield segment if seen == segment.text else Segment(seen, segment.style)
