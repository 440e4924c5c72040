"""Writes the guides that come from the code: the keys of a suite, the options of the command, and the models.

uv run python benchmark/docs/generate.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
import typer
from torch import nn

from metagap import inspection, registry, suite
from metagap.algorithms.base import Algorithm
from metagap.cli import app
from metagap.errors import UserError
from metagap.suite.schema import MOST
from metagap.tasks.episode import TaskSpec

HERE = Path(__file__).parent
MADE = "Made from the code by `uv run python benchmark/docs/generate.py`."

SECTIONS: list[tuple[str, type, str]] = [
    ("The suite itself", suite.Suite, "At the top of the file, before the first section."),
    ("`[task]`", suite.Task, ""),
    ("`[training]`", suite.Training, "An algorithm may have its own: `training` in its table."),
    ("`[evaluation]`", suite.Evaluation, "An algorithm may have its own: `evaluation` in its table."),
    ("`[algorithms.LABEL]`", suite.Entry, "All other keys are hyper-parameters: `metagap show maml`."),
    ("`[[splits]]`", suite.Split, ""),
    ("`shift` of a split", suite.Shift, ""),
    ("`[[responses]]`", suite.Response, "[Dose and response](responses.md) explains them."),
    ("`dose` of a split", suite.Dose, "`[[responses]]` makes such splits."),
    ("`[[published]]`", suite.Published, ""),
    ("`[sweep]`", suite.Axis, "Two tables `[[sweep]]` are a grid of two keys."),
    ("`[leave_one_out]`", suite.LeaveOneOut, 'A split with `source = "held-out"` shows the domain that is held out.'),
]
COLUMNS = ["key", "type", "range", "default", "meaning"]
ELSEWHERE = {
    "Suite": {"name", "task", "model", "source", "training", "evaluation", "algorithms", "splits", "published"}
}
"""Keys that have a section of their own, or that the file's name gives."""


def suite_keys() -> str:
    """The page of all keys of a suite."""
    parts = [
        "# All keys of a suite",
        f"{MADE} [Writing a suite](suites.md) explains what they are for.",
        "`[model]` and `[source]` have a `name` and the options that `metagap show NAME` prints: `metagap show conv4`, "
        "`metagap show omniglot`.",
    ]
    for title, model, remark in SECTIONS:
        left_out = ELSEWHERE.get(model.__name__, set())
        rows = [row for row in inspection.fields(model) if row["key"] not in left_out]
        parts += [f"## {title}", inspect.getdoc(model) or "", remark, table(COLUMNS, (readable(row) for row in rows))]
    return pages(parts)


def readable(row: dict[str, str]) -> list[str]:
    """The cells of a row, without limits that only catch typing errors."""
    limits = [limit for limit in row["range"].split(", ") if limit != f"≤ {MOST}"]
    kind = row["type"].replace(f", < {2**63}", "")
    return [f"`{row['key']}`", kind, ", ".join(limits), row["default"], row["meaning"]]


def options() -> str:
    """The page of all commands and their options."""
    parts = [
        "# All options",
        f"{MADE} [The commands](commands.md) explains what they are for.",
    ]
    for name, command in commands(typer.main.get_command(app)):
        parts += [f"## metagap {name}", command.help or ""]
        rows = [[option(parameter), default(parameter), getattr(parameter, "help", "")] for parameter in command.params]
        parts += [table(["argument or option", "default", "meaning"], rows)] if rows else []
    return pages(parts)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with the words by which it is called."""
    for name, command in sorted(group.commands.items()):
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, command


def option(parameter: Any) -> str:
    """How it is written on the command line."""
    value = parameter.metavar or ("" if getattr(parameter, "is_flag", False) else "VALUE")
    names = [*parameter.opts, *parameter.secondary_opts]
    if not names[0].startswith("-"):
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return f"`{', '.join(names)}{' ' if value else ''}{value}`"


def default(parameter: Any) -> str:
    """The value that is taken where none is given; empty for none, off and what the meaning explains."""
    value = parameter.default
    return f"`{value}`" if value not in (None, False) and not callable(value) else ""


SMALL: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "mlp": ((5,), {"hidden": [6]}),
    "linear": ((5,), {}),
    "tabular-mlp": ((5,), {"categories": [3, 2], "embedding": 2, "hidden": [6], "layer_norm": True}),
    "conv1d": ((2, 6), {"filters": 3, "kernel": 3}),
    "gru": ((2, 3), {"hidden": 4, "bidirectional": True}),
    "lstm": ((2, 3), {"hidden": 4, "pooling": "mean"}),
    "transformer": ((2, 5), {"patch": 2, "width": 4, "layers": 1, "heads": 2}),
    "conv4": ((1, 8, 8), {"filters": 3}),
    "r2d2-embedding": ((1, 16, 16), {"filters": [2, 2, 3, 3]}),
    "resnet10": ((1, 8, 8), {"filters": 2}),
    "resnet12": ((1, 8, 8), {"widths": [2, 3]}),
    "resnet18": ((1, 16, 16), {"filters": 2}),
    "wrn28-10": ((1, 8, 8), {"depth": 10, "width": 1}),
}
"""Every model, small: the shape of its inputs, and options. Of less than 16 pixels, resnet18 normalises so few values
that iMAML makes 1e-9 of rounding errors."""
INPUTS = {1: "vectors (features,)", 2: "series (channels, time)", 3: "images (channels, height, width)"}
KINDS = {
    "classification": TaskSpec("classification", 3, 2, 2),
    "regression": TaskSpec("regression", 1, 6, 6),
}
OPTIONS: dict[str, dict[str, Any]] = {
    name: {"inner_steps": 2}
    for name in ("maml", "fomaml", "anil", "boil", "meta-sgd", "maml-plus-plus", "cavia", "proto-maml", "imaml")
}
"""Two inner steps: all that several have and one has not."""
OPTIONS["reptile"] = {"inner_steps": 2, "inner_optimizer": "sgd"}  # Adam makes whole steps of rounding errors


def models() -> str:
    """The page of the models, and of the algorithms that go with them."""
    parts = [
        "# The models",
        f"{MADE} A network has `features` and a linear `head`; [yours](add-model.md) may be any module. "
        "`metagap show NAME` prints the same.",
        table(["inputs", "models"], ([inputs, ", ".join(_taking(axes))] for axes, inputs in INPUTS.items())),
        "`linear` and `mlp` flatten whatever they are given. Embeddings of a pretrained network are vectors. A table's "
        "categories are columns of zeros and ones, which any model for vectors takes, or codes, for `tabular-mlp`.",
        "## Which algorithms go with them",
        "Every algorithm with every model, for small tasks of both kinds: the rest is refused with the sentence in the "
        "last column. Where it is not, the meta-gradient of all ways to compute it (many tasks at once, eagerly or "
        "traced; one task at a time, traced) agrees to nine digits with a plain loop over the tasks; "
        "`pytest -m slow tests/engine/test_model_grid.py` computes all of it, in float64.",
        table(["algorithm", "kinds of task", "computed", "not with"], _grid()),
        "Networks that plugins bring may have layers that many tasks at once cannot be computed with, such as `nn.GRU` "
        "and `nn.LSTM`. Their tasks are computed one by one, and a sentence says so; `gru` and `lstm` are the same "
        "networks without that. `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` can be mapped.",
        "A trace of a recurrent network has the operations of every step of time. One of more than 10,000, as of MAML "
        "with some 65 steps of time, is not compiled.",
    ]
    for name in SMALL:
        found = registry.load("model", name)
        rows = [
            [f"`{row['key']}`", row["type"], row["range"], row["default"]]
            for row in inspection.describe(f"model:{name}")["tables"].get("Options", [])
        ]
        parts += [f"## {name}", inspect.getdoc(found) or "", table(["option", "type", "range", "default"], rows)]
    return pages(parts)


def _taking(axes: int) -> list[str]:
    return [f"`{name}`" for name, (shape, _) in SMALL.items() if len(shape) == axes]


def _grid() -> Iterator[list[str]]:
    """A row for every algorithm that predicts: for which kinds, how its tasks are computed, and what it refuses."""
    for name in registry.names("algorithm"):
        found = registry.load("algorithm", name)
        if found.acts or found.__module__.startswith("metagap.bridges"):
            continue
        refused = {(model, kind): refusal(model, name, kind) for model in SMALL for kind in KINDS}
        kinds = [kind for kind in KINDS if not all(refused[model, kind] for model in SMALL)]
        reasons: dict[str, list[str]] = {}
        for model in SMALL:
            if reason := next(filter(None, (refused[model, kind] for kind in kinds)), ""):
                reasons.setdefault(reason, []).append(f"`{model}`")
        computed = "many tasks at once" if found.mappable else "one task at a time"
        computed = "all tasks as one batch" if found.pooled else computed
        others = "; ".join(f"{', '.join(those)}: {reason}" for reason, those in reasons.items())
        yield [f"`{name}`", ", ".join(kinds), computed if found.trains else "no meta-training", others]


def small(model: str, algorithm: str, kind: str) -> tuple[Algorithm, dict[str, torch.Tensor]]:
    """An algorithm bound to a small network of a model, and its meta-parameters; raises UserError where it refuses."""
    network, spec = _network(model, kind), KINDS[kind]
    bound = registry.load("algorithm", algorithm)(**OPTIONS.get(algorithm, {})).bind(network, spec)
    bound.check_network()
    meta = bound.init(network, spec.ways if spec.kind.has_ways else 0, torch.Generator().manual_seed(0))
    return bound, {name: value.double() for name, value in meta.items()}


@cache
def _network(model: str, kind: str) -> nn.Module:
    torch.manual_seed(0)
    shape, options = SMALL[model]
    return registry.load("model", model)(shape, KINDS[kind].ways, **options).double()


def refusal(model: str, algorithm: str, kind: str) -> str:
    """Why an algorithm does not go with a model for a kind of task; empty where it does."""
    try:
        small(model, algorithm, kind)
    except UserError as error:
        return str(error)
    return ""


def table(heads: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """Text that does not break a table."""
    return " ".join(str(value).replace("|", "\\|").split())


def pages(parts: Iterable[str]) -> str:
    """Paragraphs as a file."""
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES = {"suite-keys.md": suite_keys, "options.md": options, "models.md": models}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
