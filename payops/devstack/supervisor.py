"""Runs the processes of a stack: starts them, restarts what dies, writes their logs, stops them.

Every launch happens in the thread that calls `tend`, because on Linux a child is told of the death
of the thread that started it (PR_SET_PDEATHSIG), so that even `kill -9` of the supervisor leaves
nothing behind. macOS has no such signal; there the pid file does it (leftovers.py).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from payops.devstack.accounts import Account
from payops.devstack.errors import StackError, Stopped
from payops.devstack.logs import ProcessLog
from payops.devstack.output import say
from payops.devstack.stopping import StopRequest

POLL_S = 0.1
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
STABLE_AFTER_S = 10.0
STOP_TIMEOUT_S = 20.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """One row of the table of processes."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    stop_signal: int = signal.SIGTERM
    account: Account | None = None
    is_shown: bool = True  # its lines also go to the terminal, not only to its log file
    may_die_while_starting: bool = False  # a server whose predecessor still holds its memory


@dataclass
class _Process:
    program: Program
    log: ProcessLog
    child: subprocess.Popen[bytes]
    started_s: float
    restart_at_s: float | None = None
    deaths_in_a_row: int = 0


class Supervisor:
    """Knows the processes it started, in the order of their start."""

    def __init__(
        self,
        *,
        log_directory: Path,
        stopping: StopRequest,
        on_change: Callable[[dict[str, int]], None] = lambda pids: None,
    ) -> None:
        self._log_directory = log_directory
        self._stopping = stopping
        self._on_change = on_change
        self._processes: dict[str, _Process] = {}
        self._is_starting = True

    def started(self) -> None:
        """From here on a death is repaired; until here it is the failure of the start."""
        self._is_starting = False

    def start(self, program: Program) -> None:
        assert program.name not in self._processes, f"{program.name} already runs"
        log = ProcessLog(name=program.name, directory=self._log_directory, shown=program.is_shown)
        child = _launch(program)
        log.follow(child)
        self._processes[program.name] = _Process(program, log, child, time.monotonic())
        self._on_change(self.pids())

    def pids(self) -> dict[str, int]:
        return {name: process.child.pid for name, process in self._processes.items()}

    def tend(self) -> None:
        """One look at every process: a dead one is reported now and restarted after its backoff."""
        for process in self._processes.values():
            if process.restart_at_s is None:
                if process.child.poll() is not None:
                    self._check_allowed_to_die(process)
                    self._plan_restart(process)
            elif time.monotonic() >= process.restart_at_s:
                self._restart(process)

    def wait_until(self, ready: Callable[[], bool], *, name: str, timeout_s: float) -> None:
        """Wait for one process to be ready; too long is an error with its last lines."""
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline_s:
                log = self._processes[name].log
                raise log.failure(f"{name} was not ready within {timeout_s:.0f} s")
            self.tend()
            self.pause()

    def pause(self) -> None:
        if self._stopping.wait(POLL_S):
            raise Stopped

    def run_until_stopped(self) -> None:
        while not self._stopping.wait(POLL_S):
            self.tend()

    def stop(self, names: Collection[str]) -> None:
        """Ask the named ones to end, last started first, wait, and force what does not."""
        chosen = [p for name, p in self._processes.items() if name in names][::-1]
        for process in chosen:
            if process.child.poll() is None:
                process.child.send_signal(process.program.stop_signal)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for process in chosen:
            try:
                process.child.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{process.program.name} did not stop in time, ending it")
            _end_group(process.child)
            process.log.close()
            del self._processes[process.program.name]

    def _check_allowed_to_die(self, process: _Process) -> None:
        program = process.program
        if self._is_starting and not program.may_die_while_starting:
            cause = _in_words(process.child.returncode)
            raise process.log.failure(f"{program.name} ended ({cause}) while starting")

    def _plan_restart(self, process: _Process) -> None:
        lived_s = time.monotonic() - process.started_s
        process.deaths_in_a_row = 1 if lived_s > STABLE_AFTER_S else process.deaths_in_a_row + 1
        delay_s = min(BACKOFF_FIRST_S * 2 ** (process.deaths_in_a_row - 1), BACKOFF_MAX_S)
        process.restart_at_s = time.monotonic() + delay_s
        _end_group(process.child)  # its own children would keep the port
        name, code = process.program.name, process.child.returncode
        say(f"{name} ended ({_in_words(code)}), restarting it in {delay_s:.1f} s")

    def _restart(self, process: _Process) -> None:
        process.child = _launch(process.program)
        process.log.follow(process.child)
        process.started_s = time.monotonic()
        process.restart_at_s = None
        self._on_change(self.pids())


def die_with_parent(stop_signal: int) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends this signal when the supervisor dies."""
    if _libc is None:
        return None
    parent = os.getpid()

    def ask_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            os._exit(1)  # the supervisor died between fork and prctl

    return ask_kernel


def _launch(program: Program) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            program.command,
            env=dict(program.env),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops in order
            preexec_fn=die_with_parent(program.stop_signal),
            **(program.account.popen_arguments() if program.account else {}),
        )
    except OSError as error:
        raise StackError(f"{program.name} cannot be started: {error}") from error


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _in_words(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"code {code}"
