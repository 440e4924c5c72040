"""Writing the files of a new project."""

from __future__ import annotations

import ast
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from metagap.errors import UserError
from metagap.skeleton.names import check_module, check_name, class_name

PREDICTOR, POLICY = ("algorithm.py.jinja", "test.py.jinja"), ("policy.py.jinja", "test_policy.py.jinja")
CODE = {"classification": PREDICTOR, "regression": PREDICTOR, "control": POLICY}
"""By the kind of task: the templates of an algorithm and of its tests."""
PEERS = {PREDICTOR: ("quickstart", "MAML", "maml"), POLICY: ("navigation", "MAML-TRPO", "maml-trpo")}
"""A suite to run it on, and whom to compare it with there."""


def new_algorithm(name: str, folder: Path | None = None, kind: str = "classification") -> list[Path]:
    """Write a project around a new algorithm; returns its files.

    folder: where to; by default the current folder where it is empty, else a new one of that name. kind: of the tasks
    that it is for. Raises UserError where the name cannot be used, there is no such kind or a file is there already;
    nothing has been written then.
    """
    if kind not in CODE:
        raise UserError(f"new algorithm '{name}': --kind '{kind}'; allowed: {', '.join(CODE)}")
    check_name(name)
    folder = _free_folder(name) if folder is None else folder
    texts = {folder / file: text for file, text in _rendered(name, CODE[kind]).items()}
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise UserError(f"new algorithm '{name}': not overwritten: {', '.join(there)}; choose another --folder")
    check_module(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"new algorithm '{name}': --folder '{folder}' cannot be written: {error.strerror}") from None
    return list(texts)


def _free_folder(name: str) -> Path:
    """The current folder where it is empty, else the folder of this name in it, which has to be new or empty."""
    for folder in (Path(), Path(name)):
        if not folder.exists() or (folder.is_dir() and _is_empty(folder)):
            return folder
    raise UserError(f"new algorithm '{name}': '{name}' is there already and not an empty folder; choose a --folder")


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing in it but hidden files."""
    return all(path.name.startswith(".") for path in folder.iterdir())


def _rendered(name: str, code: tuple[str, str]) -> dict[str, str]:
    environment = Environment(
        loader=PackageLoader("metagap", "skeleton/templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    called = class_name(name)
    algorithm, test = code
    files = {
        f"{name}.py": algorithm,
        f"test_{name}.py": test,
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
    }
    suite, peer, peer_name = PEERS[code]
    texts = {
        file: environment.get_template(template).render(
            name=name, class_name=called, suite=suite, peer=peer, peer_name=peer_name
        )
        for file, template in files.items()
    }
    if called in _imported(texts[f"{name}.py"]):
        raise UserError(f"new algorithm '{name}': its class would be called {called}, as another; take another name")
    return texts


def _imported(code: str) -> set[str]:
    imports = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}
