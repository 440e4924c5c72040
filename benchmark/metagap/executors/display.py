"""What people see while cells run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console

from metagap.executors.executor import Progress
from metagap.progress import bars


class Display:
    """Bars for the cells in work and one for all of them; lines above them."""

    def __init__(self, total: int, console: Console):
        self._bars = bars(console, speed_estimate_period=30)
        self._total = total
        self._rows: dict[str, tuple[str, Any]] = {}
        self._said = Counter[str]()

    def __enter__(self) -> Display:
        self._bars.__enter__()
        self._overall = self._bars.add_task("cells", total=self._total, brief=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._bars.__exit__(*error)

    def move(self, name: str, to: Progress) -> None:
        """Show how far a cell is."""
        if name not in self._rows or self._rows[name][0] != to.phase:
            if name in self._rows:
                self._bars.remove_task(self._rows[name][1])
            self._rows[name] = (to.phase, self._bars.add_task(f"{name}, {to.phase}", total=to.total))
        self._bars.update(self._rows[name][1], completed=to.done)

    def say(self, text: str, once: bool = False) -> None:
        """Print a line that is to be noticed; once: not where it was printed before."""
        if not (once and self._said[text]):
            self._bars.console.print(text, style="yellow", markup=False, soft_wrap=True)
        self._said[text] += 1

    def finish(self, name: str, line: str) -> None:
        """Count a cell as over, and print a line about it."""
        if name in self._rows:
            self._bars.update(self._rows.pop(name)[1], visible=False)
        self._bars.advance(self._overall)
        self._bars.console.print(line)
