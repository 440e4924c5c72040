"""Built-in suites with random mistakes: each is a suite, or refused as bad input is, and never anything else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metagap.errors import UserError
from metagap.files import SUITES
from metagap.suite import Sweep, expand, load_chosen, schema

NAMES = ("quickstart", "sinusoid", "navigation", "bandits", "linear-tasks", "dose-response", "gap-along-training")
"""Suites that have everything that a suite can have, and need no data."""
TABLES = {name: SUITES.read(SUITES.path(name)) for name in [*NAMES, "gap-over-classes", "handwriting"]}
SECTIONS = (schema.Suite, schema.Task, schema.Training, schema.Evaluation, schema.Split, schema.Shift)
SECTIONS += (schema.Response, schema.Dose, schema.Published, schema.Axis)
KEYS = sorted({key for section in SECTIONS for key in section.allowed_keys()} | {"inner_lr", "horizon", "image_size"})

WORDS = st.sampled_from(
    (
        *("maml", "promp", "conv4", "glyphs", "digits", "path:", "path:gone", "gone.py:Name", "classification"),
        *("control", "cross-domain", "meta-train", "train", "all", "held-out", "open", "accuracy", "diversity"),
        *("jpeg", "..", "NUL", "training.lr", "algorithms.*.inner_lr", "source.noise", "linear", "step"),
        *("[bold]x[/]", "\x1b[31m", "\u202e"),
    )
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 2**31, 2**63 - 1, 2**63, 10**30, 0.0, 1.0, 1e-320, 1e308]),
    st.integers(-3, 30),
    st.floats(),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
PLAIN = st.one_of(NUMBERS, st.booleans(), WORDS, TEXTS, st.dates(), st.datetimes(), st.times())
VALUES = st.recursive(
    PLAIN,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inside, max_size=3),
    max_leaves=5,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a table."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*above, key)
        yield from places(inside, (*above, key))


@st.composite
def mistaken(draw: st.DrawFn) -> dict[str, Any]:
    """The table of a built-in suite with one to three mistakes in it."""
    table = copy.deepcopy(TABLES[draw(st.sampled_from(sorted(TABLES)))])
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(table)) or [("title",)]))
        place: Any = table
        for key in above:
            place = place[key]
        match draw(st.sampled_from(["value", "value", "gone", "key", "renamed", "twice"])):
            case "gone":
                place.pop(last, None) if isinstance(place, dict) else place.pop(last)
            case "key" if isinstance(place, dict):
                place[draw(st.sampled_from(KEYS))] = draw(VALUES)
            case "renamed" if isinstance(place, dict) and last in place:
                place[draw(st.sampled_from(KEYS) | TEXTS)] = place.pop(last)
            case "twice" if isinstance(place, list):
                place.append(copy.deepcopy(place[last]))
            case _:
                place[last] = draw(VALUES)
    return table


def check(table: dict[str, Any], path: Path) -> None:
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    try:
        chosen, _ = load_chosen(str(path))
        assert chosen.cells if isinstance(chosen, Sweep) else expand(chosen)
    except UserError as error:
        assert str(error).startswith((str(path), "suite 'mistaken': every algorithm is on_request"))
        assert " fails with " not in str(error)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suites") / "mistaken.toml"


def trying(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=checks)


@trying(60)
@given(table=mistaken())
def test_a_few(file, table):
    check(table, file)


@pytest.mark.slow
@trying(3000)
@given(table=mistaken())
def test_many(file, table):
    check(table, file)
