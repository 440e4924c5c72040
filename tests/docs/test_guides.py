"""The README and the guides keep their word: links, commands, code and generated pages hold."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from guides import EXAMPLES, GENERATED, GUIDES, PAGES, ROOT, blocks, commands, ids, prose, text

from metagap import cli, executors, registry
from metagap.checking.named import named
from metagap.engine.machines import devices
from metagap.errors import UserError
from metagap.files import SUITES
from metagap.machine import Machine
from metagap.reproduce import paper_table
from metagap.suite import Suite, expand, load_suite, load_sweep, with_algorithms


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 10_240


def test_there_are_guides_and_the_index_has_all_of_them():
    index = text(GUIDES / "README.md")
    for page in GUIDES.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name}" in index, page.name


def test_the_map_of_the_code_has_every_package():
    code = text(GUIDES / "code.md")
    for package in (ROOT / "benchmark" / "metagap").glob("*/__init__.py"):
        assert f"  {package.parent.name}/" in code, package.parent.name


def test_every_example_is_in_a_guide():
    guides = "".join(text(page) for page in GUIDES.glob("*.md"))
    for example in EXAMPLES.glob("*.py"):
        assert f"](../examples/{example.name})" in guides, example.name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> list[str]:
    """The headings of a page as a repository browser links to them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    counts: Counter[str] = Counter()
    for i, slug in enumerate(slugs):
        slugs[i] = f"{slug}-{counts[slug]}" if counts[slug] else slug
        counts[slug] += 1
    return slugs


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: value)
def test_commands_can_be_run(page, line, readers_folder):
    words = shlex.split(line, comments=True)
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    while words[0] == "--with":
        words = words[2:]
    check = {
        "metagap": check_metagap, "python": check_python, "pytest": check_pytest, "ruff": check_ruff, "pip": check_pip,
    }  # fmt: skip
    assert words[0] in check, f"{page}: a command that no test knows: {line}"
    check[words[0]](words[1:])


def check_metagap(words: list[str]) -> None:
    """The options exist, and so does what they name; placeholders in capitals stand for anything."""
    if words in (["--version"], ["--install-completion"]):
        return
    words = [word for word in words if word != "..."]
    command: Any = typer.main.get_command(cli.app)
    name = ""
    while hasattr(command, "commands") and words and words[0] != "COMMAND":
        name, words = words[0], words[1:]
        assert name in command.commands, name
        command = command.commands[name]
    if words in ([], ["COMMAND", "--help"]):  # a command that is only mentioned
        return
    given = command.make_context(name, words).params
    check = CHECKS.get(name)
    if check is not None:
        check(given)


def placeholder(value: str) -> bool:
    return value.isupper()


def check_suite(given: dict[str, Any]) -> None:
    if placeholder(given["suite"]):
        return
    changes = given.get("set_") or []
    sweep = load_sweep(given["suite"], changes)
    suite = load_suite(given["suite"], changes) if sweep is None else sweep.first
    if given.get("algorithm"):
        suite = with_algorithms(suite, given["algorithm"])
    if "launch" in given:
        assert executors.find(given["launch"])
    if "device" in given and given["device"] != "cuda":
        devices(Machine(given["device"], workers=given["jobs"]))


def check_pair(given: dict[str, Any]) -> None:
    check_suite(given)
    if not placeholder(given["suite"]):
        labels = list(SUITES.read(SUITES.path(given["suite"]))["algorithms"])
        assert {given["a"], given["b"]} <= {*labels, "mine", None}


def check_table(given: dict[str, Any]) -> None:
    if not placeholder(given["table"]):
        table = paper_table.at_budget(
            paper_table.chosen(paper_table.load_table(given["table"]), given["cells"] or []), given["budget"]
        )
        assert table.parts
        assert given["from_"] is None or (ROOT / given["from_"]).is_dir()


def check_name(given: dict[str, Any]) -> None:
    from metagap.inspection import describe

    assert placeholder(given["name"]) or describe(given["name"])["tables"]


def check_sources(given: dict[str, Any]) -> None:
    for name in given["names"] or []:
        assert placeholder(name) or registry.load("source", name.partition(":")[0])


def check_examined(given: dict[str, Any]) -> None:
    name = given["name"]
    assert name is None or placeholder(name) or registry.load(*named(name))


CHECKS = {
    "run": check_suite,
    "report": check_suite,
    "compare": check_pair,
    "power": check_pair,
    "reproduce": check_table,
    "show": check_name,
    "get": check_sources,
    "verify": check_sources,
    "check": check_examined,
}


def check_python(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()


def check_pytest(words: list[str]) -> None:
    for word in words:
        assert "/" not in word or (ROOT / word).exists()


def check_ruff(words: list[str]) -> None:
    assert words in (["check"], ["format", "--check"])


def check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    extras = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
        assert extra in extras


def test_a_wrong_command_is_noticed(readers_folder):
    with pytest.raises(AssertionError):
        check_metagap(["runn", "quickstart"])
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        check_metagap(["run", "quickstarts"])
    with pytest.raises(UserError, match=r"unknown key 'training\.lrr'"):
        check_metagap(["run", "quickstart", "--set", "training.lrr=1"])
    with pytest.raises(Exception, match="--nothing"):
        check_metagap(["run", "quickstart", "--nothing"])


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=ids)
def test_suites_and_settings_are_valid(page, readers_folder):
    for block in blocks(page, "toml"):
        table = tomllib.loads(block)
        if "project" in table:
            groups = {group.removeprefix("metagap.") for group in table["project"]["entry-points"]}
            assert groups <= {registry.plural(kind) for kind in registry.BASES} | {"gaps", "panels"}
        elif "columns" in table:
            Path("table.toml").write_text(block, encoding="utf-8")
            assert paper_table.load_table("table.toml").parts
        elif "title" in table:
            Path("suite.toml").write_text(block, encoding="utf-8")
            sweep = load_sweep("suite.toml")
            assert expand(load_suite("suite.toml")) if sweep is None else all(sweep.cells)
        else:
            assert set(table) <= {*Suite.model_fields, "leave_one_out", "responses", "sweep"}
            check_part(table)


def check_part(table: dict[str, Any]) -> None:
    """A part of a suite, put into the suite quickstart."""
    base = SUITES.read(SUITES.path("quickstart"))
    if "source" in table:
        if table["source"].get("name", "mixture") == "mixture":  # whose options are not those of glyphs
            base["splits"] = [{"name": "new", "role": "in-distribution", "classes": "test"}]
        else:
            table["source"].setdefault("held_out_images", base["source"]["held_out_images"])
        base["source"] = table.pop("source")
    lines = tomlify(base | table)
    Path("part.toml").write_text(lines, encoding="utf-8")
    assert load_sweep("part.toml") or load_suite("part.toml")


def tomlify(table: dict[str, Any]) -> str:
    """A table of plain values as TOML."""
    return "\n".join(f"{key} = {inline(value)}" for key, value in table.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {inline(one)}' for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else '"' + value.replace("\n", " ").replace('"', "'") + '"'


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=ids)
def test_python_is_that_of_an_example_or_runs(page, readers_folder):
    examples = [text(path).partition("\n\n\nif __name__")[0].strip() for path in EXAMPLES.glob("*.py")]
    for block in blocks(page, "python"):
        if block.strip() in examples:
            continue
        if "learn2learn" in block:
            pytest.importorskip("learn2learn")
        exec(compile(block, ids(page), "exec", dont_inherit=True), {"__name__": "guide"})


def test_generated_pages_are_current():
    spec = importlib.util.spec_from_file_location("generate", GUIDES / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert set(generate.PAGES) == GENERATED
    for name, make in generate.PAGES.items():
        assert text(GUIDES / name) == make(), "run: uv run python benchmark/docs/generate.py"


def test_ci_runs_what_the_readme_says():
    assert "uv run pytest" in text(ROOT / "README.md")
    assert "uv run pytest" in text(ROOT / ".ci" / "run")
    assert "uv run pytest" in text(ROOT / ".github" / "workflows" / "tests.yml")
