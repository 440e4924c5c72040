"""What `metagap list` tells; light, since the names are often all that is wanted."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metagap import registry
from metagap.errors import UserError
from metagap.files import SUITES, TABLES

KINDS: dict[str, registry.Kind] = {
    "algorithms": "algorithm",
    "models": "model",
    "sources": "source",
    "metrics": "metric",
    "kinds": "kind",
    "optimizers": "optimizer",
    "quantities": "quantity",
    "executors": "executor",
    "shifts": "shift",
}
WRITTEN = {"suites": SUITES, "tables": TABLES}


def listing(what: str) -> list[dict[str, Any]]:
    """A row for each suite, table, or thing that is registered. One that cannot be loaded is listed with its fault."""
    if what not in (allowed := [*WRITTEN, *KINDS]):
        raise UserError(f"list '{what}'{registry.suggest(what, allowed)}")
    if what in WRITTEN:  # in files that say it, which is quicker than to make what they describe
        return [{"name": name, "about": WRITTEN[what].title(name)} for name in WRITTEN[what].names()]
    rows = []
    for name in registry.names(KINDS[what]):
        try:
            rows.append({"name": name, "about": registry.summary(registry.load(KINDS[what], name))})
        except UserError as error:
            rows.append({"name": name, "about": f"broken: {error}"})
    return rows


def print_listing(rows: list[dict[str, Any]], console: Console) -> None:
    """Rows with the same keys as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for key in rows[0] if rows else []:
        table.add_column(key, overflow="fold", no_wrap=key in ("name", "suite", "variant"))
    for row in rows:
        table.add_row(*(escape(text(value)) for value in row.values()))
    console.print(table)


def text(value: Any) -> str:
    """A plain value as a suite file has it: a table with a line for every key, nothing for None."""
    if isinstance(value, dict):
        return "\n".join(f"{key} = {text(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
