"""What is installed: the package with its types and suites, and nothing that a folder of the user's could shadow."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    from hatchling.builders.wheel import WheelBuilder

    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    return Path(built)


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_alone(wheel):
    assert {name.partition("/")[0].partition("-")[0] for name in files(wheel)} == {"metagap"}


def test_the_wheel_holds_every_file_of_the_package_and_every_suite(wheel):
    package = {
        path.relative_to(ROOT / "benchmark") for path in (ROOT / "benchmark/metagap").rglob("*") if path.is_file()
    }
    suites = {"metagap" / path.relative_to(ROOT) for path in (ROOT / "suites").rglob("*.toml")}
    wanted = {path.as_posix() for path in package | suites if "__pycache__" not in path.parts}
    assert len(suites) > 50 and "metagap/py.typed" in wanted
    assert wanted <= files(wheel)


def test_every_entry_point_of_the_wheel_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        found = ConfigParser(delimiters="=")
        found.read_string(archive.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(found.sections()) == {"console_scripts", *project["entry-points"]}
    modules = [value.partition(":")[0].replace(".", "/") for group in found for value in found[group].values()]
    assert len(modules) > 50
    assert [m for m in modules if not {f"{m}.py", f"{m}/__init__.py"} & files(wheel)] == []


def test_the_unpacked_wheel_works_beside_a_folder_called_benchmark(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark/__init__.py").write_text("raise SystemExit('shadowed')")
    code = f"""
        import sys
        sys.path.insert(1, {str(tmp_path / "installed")!r})
        import metagap.cli
        print(metagap.__file__)
        sys.argv = ["metagap", "list", "suites"]
        metagap.cli.main()
    """
    command = [sys.executable, "-c", dedent(code)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(str(tmp_path / "installed")) and "quickstart" in found.stdout
