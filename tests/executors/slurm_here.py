"""A Slurm of one node on loopback, all of it in one folder: munged, slurmctld and slurmd of the system's packages.

Two partitions share the node; jobs of `urgent` preempt those of `usual`, which are queued again. By hand:

    python tests/executors/slurm_here.py FOLDER     # starts it, and prints the variable that commands need
    kill $(cat FOLDER/*.pid)                        # stops it
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEEDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
DAEMONS = ("slurmd", "slurmctld", "munged")
"""In the order in which they are stopped."""
PATIENCE = 60
"""Seconds until a daemon has to answer."""


def missing() -> str:
    """What keeps it from being started here; empty where nothing does."""
    lacking = [name for name in NEEDS if _program(name) is None]
    if lacking:
        return f"needs Slurm and munge: no {', '.join(lacking)}"
    return "" if os.geteuid() == 0 else "needs root, as slurmd does"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """A running Slurm; gives the environment variables that its commands need, and stops it in the end."""
    try:
        yield start(folder)
    finally:
        stop(folder)


def start(folder: Path) -> dict[str, str]:
    """Start the daemons in a folder that does not exist; returns once the node takes jobs."""
    folder.mkdir(parents=True)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    host, cores = socket.gethostname().partition(".")[0], len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 // 2
    configuration = folder / "slurm.conf"
    configuration.write_text(f"""\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=300
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory}
PartitionName=usual Nodes={host} Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes={host} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
""")
    settings = {"SLURM_CONF": str(configuration)}
    files = {"key-file": key} | {name: folder / f"munge.{name}" for name in ("socket", "seed-file")}
    files |= {"pid-file": folder / "munged.pid", "log-file": folder / "munged.log"}
    _run(folder, "munged", "--force", *(f"--{name}={path}" for name, path in files.items()))  # nobody else gets in
    _run(folder, "slurmctld", "-f", str(configuration))
    _run(folder, "slurmd", "-f", str(configuration))
    _wait_for(lambda: "idle" in _output(settings, "sinfo", "-h", "-o", "%T"), f"no idle node; see {folder}/*.log")
    return settings


def stop(folder: Path) -> None:
    """End the jobs and the daemons of a folder."""
    with suppress(OSError, subprocess.SubprocessError):
        _output({"SLURM_CONF": str(folder / "slurm.conf")}, "scancel", "--user", getpass.getuser())
    for name in DAEMONS:
        with suppress(OSError, ValueError):
            pid = int((folder / f"{name}.pid").read_text())
            os.kill(pid, signal.SIGTERM)
            _wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"{name} does not end")


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def _run(folder: Path, name: str, *arguments: str) -> None:
    command = [_program(name) or name, *arguments]
    with (folder / "start.log").open("a") as log:
        subprocess.run(command, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _output(settings: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout


def _wait_for(holds, otherwise: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    if wrong := missing():
        sys.exit(wrong)
    print(*(f"export {name}={value}" for name, value in start(Path(sys.argv[1]).absolute()).items()))
