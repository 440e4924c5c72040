"""Writing the files of a new project."""

from __future__ import annotations

import ast
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from metagap.errors import UserError
from metagap.skeleton.names import check_module, check_name, class_name

FILES = {
    "{name}.py": "algorithm.py.jinja",
    "test_{name}.py": "test.py.jinja",
    "pyproject.toml": "pyproject.toml.jinja",
    "README.md": "README.md.jinja",
}
"""The files of a project, and the template of each."""


def new_algorithm(name: str, folder: Path | None = None) -> list[Path]:
    """Write a project around a new algorithm; returns its files.

    folder: where to; by default the current folder where it is empty, else a new one of that name. Raises UserError
    where the name cannot be used or a file is there already; nothing has been written then.
    """
    check_name(name)
    folder = _free_folder(name) if folder is None else folder
    texts = {folder / file: text for file, text in _rendered(name).items()}
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise UserError(f"new algorithm '{name}': not overwritten: {', '.join(there)}; choose another --folder")
    check_module(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"new algorithm '{name}': cannot write to '{folder}': {error}") from None
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


def _rendered(name: str) -> dict[str, str]:
    environment = Environment(
        loader=PackageLoader("metagap", "skeleton/templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    called = class_name(name)
    texts = {
        file.format(name=name): environment.get_template(template).render(name=name, class_name=called)
        for file, template in FILES.items()
    }
    if called in _imported(texts[f"{name}.py"]):
        raise UserError(f"new algorithm '{name}': its class would be called {called}, as another; take another name")
    return texts


def _imported(code: str) -> set[str]:
    imports = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}
