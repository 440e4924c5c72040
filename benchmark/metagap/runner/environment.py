"""What the numbers of a cell may depend on besides its configuration: code, packages, device, machine."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from metagap import __version__, digests

PACKAGE = Path(__file__).parents[1]
NEEDED = ("torch", "numpy", "scipy", "torchvision")
"""Packages that numbers depend on, by the names that they are imported by."""
WHERE_INSTALLED = ("learn2learn", "mujoco", "gymnasium")
"""The same of those that few cells need: recorded wherever they are installed, so that it says nothing of what the
process has run before."""


def environment(device: torch.device) -> dict[str, Any]:
    """That of this process, as plain values. What the machine does not tell is left out."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "metagap": __version__,
        "code": code(PACKAGE),
        **_known(commit=commit(PACKAGE)),
        "python": platform.python_version(),
        **_known(**{name: _version(name) for name in NEEDED}, **{name: _installed(name) for name in WHERE_INSTALLED}),
        "platform": platform.platform(),
        "device": f"{device.type}: {torch.cuda.get_device_name(device) if device.type == 'cuda' else _processor()}",
        **(_cuda() if device.type == "cuda" else {}),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


@cache
def code(package: Path) -> str:
    """A digest of the files of a package, twelve digits: an edited one has another, whatever its version says."""
    files = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return digests.of_value([[path.relative_to(package).as_posix(), digests.of_file(path)] for path in files])[:12]


@cache
def commit(package: Path) -> str:
    """The commit of the package's own checkout; empty where it is installed, in whatever repository that may be."""
    top = package.parents[1]
    try:
        project = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError):
        return ""
    if project != package.name or Path(_output("git", "-C", str(top), "rev-parse", "--show-toplevel") or "/") != top:
        return ""
    return _output("git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12")


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _version(package: str) -> str:
    """That of what is imported, which says more than that of the distribution: `2.15.0+cu132`."""
    return str(getattr(sys.modules.get(package), "__version__", None) or _installed(package))


def _installed(package: str) -> str:
    """The version of a distribution; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cuda() -> dict[str, Any]:
    """The versions below torch."""
    return _known(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), driver=_driver())


@cache
def _driver() -> str:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:  # no Linux
        command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        return _output(*command).partition("\n")[0]
    found = re.search(r"Module\s.*?(\d+(?:\.\d+)+)", text)
    return found[1] if found else ""


@cache
def _processor() -> str:
    """The model of the CPU, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:  # no Linux
        found = [_output("sysctl", "-n", "machdep.cpu.brand_string")]
    return next(filter(None, found), platform.processor() or platform.machine())


def _output(*command: str) -> str:
    """What a command prints; empty where it fails, or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
