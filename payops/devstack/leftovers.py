"""Processes of a stack whose supervisor was killed: remembered in a pid file, stopped at the start.

On Linux the kernel ends most of them (supervisor.py); what ignored that, and everything on macOS,
is found here. A pid alone is never trusted: the process must also have started when we noted it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from payops.devstack.output import say
from payops.devstack.privatefiles import read_json, write_private_json

FILE = "processes.json"
SAME_START_WITHIN_S = 5.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
_STOP_SIGNALS = {"database": signal.SIGINT}  # PostgreSQL: fast shutdown


def remember(*, directory: Path, pids: Mapping[str, int]) -> None:
    """Write the pid file; a process already gone is left out."""
    noted = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            noted[name] = {"pid": pid, "created_at": psutil.Process(pid).create_time()}
    write_private_json(path=directory / FILE, content=noted)


def forget(*, directory: Path) -> None:
    (directory / FILE).unlink(missing_ok=True)


def stop_leftovers(*, directory: Path) -> list[str]:
    """Stop what an earlier supervisor left over this directory; returns the names."""
    noted = read_json(path=directory / FILE)
    alive = {
        name: process
        for name, row in noted.items()
        if (process := _same_process(pid=row["pid"], created_at=row["created_at"]))
    }
    for name, process in alive.items():
        say(f"stopping {name} (pid {process.pid}), left by a stack that was killed")
        _signal(process, _STOP_SIGNALS.get(name, signal.SIGTERM))
    stubborn = _wait_for_end(list(alive.values()))
    for process in [*stubborn, *_orphans(groups={row["pid"] for row in noted.values()})]:
        _signal(process, signal.SIGKILL)
    _wait_for_end(stubborn)
    forget(directory=directory)
    return sorted(alive)


def is_alive(process: psutil.Process) -> bool:
    """A zombie has ended; in a container nobody may ever collect it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _same_process(*, pid: int, created_at: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - created_at) < SAME_START_WITHIN_S
        return process if is_same and is_alive(process) else None
    except psutil.NoSuchProcess:
        return None


def _wait_for_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The ones still alive after the time."""
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while (alive := [p for p in processes if is_alive(p)]) and time.monotonic() < deadline_s:
        with contextlib.suppress(psutil.TimeoutExpired):
            alive[0].wait(POLL_S)
    return alive


def _orphans(*, groups: set[int]) -> list[psutil.Process]:
    """Children of our processes that outlived them: same process group, leader gone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(process.pid)
            if group in groups and group != process.pid and not psutil.pid_exists(group):
                found.append(process)
    return found


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
