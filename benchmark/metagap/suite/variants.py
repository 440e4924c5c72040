"""Suites made of another one: with other algorithms, seeds or budgets than its file has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from metagap import registry
from metagap.errors import UserError
from metagap.files import folder_name
from metagap.suite.cell import Cell, digest
from metagap.suite.resolve import resolve_entry
from metagap.suite.schema import Entry, Suite
from metagap.suite.schema.suite import HEADINGS, taken


def with_algorithms(suite: Suite, wanted: Iterable[str]) -> Suite:
    """The suite with these algorithms only: labels of the suite, or any other algorithm with its defaults; `all` is all
    that the suite has.

    Raises UserError for a name that is neither in the suite nor registered nor a file.
    """
    names = [label for one in wanted for label in (suite.algorithms if one == "all" else [one])]
    registered = registry.names("algorithm")
    plugins = [name for name in names if ".py:" in name and name not in suite.algorithms]
    labels = _labels(plugins, {label.casefold() for label in [*suite.algorithms, *registered]})
    chosen: dict[str, Entry] = {}
    for name in names:
        if name in suite.algorithms:
            chosen[name] = suite.algorithms[name].model_copy(update={"on_request": False})
        elif name in plugins:
            chosen |= {label: _added(suite, label, name) for label, plugin in labels.items() if plugin == name}
        elif name in registered:
            chosen[name] = _added(suite, name, name)
        else:
            allowed = list(dict.fromkeys([*suite.algorithms, *registered]))
            hint = f"{registry.suggest(name, allowed, 'metagap list algorithms')}, or path/to/file.py:ClassName"
            raise UserError(f"--algorithm: unknown algorithm '{name}'{hint}")
    return suite.model_copy(update={"algorithms": chosen})


def _added(suite: Suite, label: str, name: str) -> Entry:
    """An algorithm that the suite does not have, with its defaults. Raises UserError for a label that is taken."""
    if label in HEADINGS:
        raise UserError(f"--algorithm {name}: {taken(label)}")
    return resolve_entry(suite, Entry(algorithm=name), f"--algorithm {label}")


def with_iterations(suite: Suite, iterations: int) -> Suite:
    """The suite with this many outer steps for every algorithm, whatever budget of its own it has."""
    training = {"iterations": iterations}
    entries = {
        label: entry.model_copy(update={"training": {**entry.training, **training}})
        if "iterations" in entry.training
        else entry
        for label, entry in suite.algorithms.items()
    }
    return suite.model_copy(update={"training": suite.training.model_copy(update=training), "algorithms": entries})


def with_budget(suite: Suite, share: float) -> Suite:
    """The suite with this share of every algorithm's outer steps, at least one; schedules shrink with them."""

    def scaled(training: dict[str, Any]) -> dict[str, Any]:
        iterations = training.get("iterations")
        return {**training, "iterations": max(1, round(share * iterations))} if iterations else training

    entries = {
        label: entry.model_copy(update={"training": scaled(entry.training)})
        for label, entry in suite.algorithms.items()
    }
    training = suite.training.model_copy(update=scaled(suite.training.model_dump()))
    return suite.model_copy(update={"training": training, "algorithms": entries})


def share_of(budget: str | None) -> float:
    """The share of the meta-training iterations that is written "5%" or "0.05"; None: all of them.

    Raises UserError for anything that is not above 0 and up to 100%.
    """
    if budget is None:
        return 1.0
    number, percent = budget.strip().removesuffix("%"), budget.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UserError(f"--budget '{budget}': a share of the iterations, such as 5%; allowed: above 0 and up to 100%")
    return share


def with_choices(
    suite: Suite,
    algorithms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    iterations: int | None = None,
    budget: float = 1.0,
) -> Suite:
    """The suite with these algorithms, seeds and outer steps instead of its own, and with a share of all outer steps;
    what is not given stays."""
    suite = suite if iterations is None else with_iterations(suite, iterations)
    suite = suite if budget == 1 else with_budget(suite, budget)
    suite = with_algorithms(suite, list(algorithms)) if algorithms else suite
    return with_seeds(suite, list(seeds)) if seeds else suite


def with_seeds(suite: Suite, seeds: list[int]) -> Suite:
    """The suite with these seeds instead of its own. Raises UserError for what is no seed."""
    if wrong := [one for one in seeds if type(one) is not int or not 0 <= one < 2**63]:
        raise UserError(f"seed {wrong[0]!r}; allowed: whole numbers from 0 to {2**63 - 1}")
    return suite.model_copy(update={"seeds": list(dict.fromkeys(seeds))})


def variation(cell: Cell, written: Suite) -> str:
    """What a changed suite is known by, next to the one that its file describes; empty where they are the same.

    Algorithms that the file does not have make no variation, and neither does a choice among algorithms or seeds.
    cell: any of the changed suite.
    """
    suite, same = cell.suite, cell.suite.shared == written.shared

    def settings(one: Suite, label: str) -> dict[str, Any]:
        entry = one.algorithms[label].model_dump(exclude={"on_request"})
        if not same:  # budgets of algorithms change with that of all
            entry["training"] = {key: value for key, value in entry["training"].items() if key != "iterations"}
        return entry

    labels = [label for label in suite.algorithms if label in written.algorithms]
    differing = [label for label in labels if settings(suite, label) != settings(written, label)]
    if same and not differing:
        return ""
    own = [digest([suite.algorithms[label].model_dump() for label in differing])] if differing else []
    return "-".join([cell.variant, *own])


def _labels(plugins: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """A label for each `path/to/file.py:ClassName`: the name of the class, with that of the file where this is taken.

    Raises UserError where that does not tell them apart either.
    """
    files = {(Path(path).resolve(), cls): name for name in reversed(plugins) for path, _, cls in [name.rpartition(":")]}
    classes = Counter(cls.lower() for _, cls in files)
    labels: dict[str, str] = {}
    for (path, cls), name in reversed(files.items()):
        if not cls:
            raise UserError(f"--algorithm {name}: write it as path/to/file.py:ClassName")
        label = cls.lower()
        if label in taken or classes[label] > 1:
            label = f"{label}-{path.stem}"
        folder_name(label, f"--algorithm {name}")
        if label in taken or label in labels:
            other = labels.get(label, label)
            raise UserError(
                f"--algorithm: '{other}' and '{name}' would both be called '{label}'; rename a file or class"
            )
        labels[label] = name
    return labels
