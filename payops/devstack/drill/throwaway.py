"""A stack of the drill's own: its own data directory, its own ports, gone afterwards.

It is a process of its own started by the ordinary command, because what is drilled must be what
people run. After a failed drill its directory stays, to look at.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from payops.devstack.datadir import CHECKOUT
from payops.devstack.errors import StackError
from payops.devstack.postgres import Postgres
from payops.devstack.secretfile import load_secrets
from payops.devstack.stackfile import FILE
from payops.devstack.supervisor import die_with_parent
from payops.devstack.testrun import cleaned

READY_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.2
LAST_LINE = "Ctrl-C stops everything"
MANAGE = str(CHECKOUT / "manage.py")


class Throwaway:
    """`environment` reaches the stack; `keep` leaves its directory where it is."""

    def __init__(self, *, home: Path) -> None:
        self.home = home
        self.var = home / "var"
        self.log = home / "stack.log"
        self.environment = cleaned(os.environ) | {
            "PAYOPS_VAR": str(self.var),
            "PAYOPS_PORT": "0",
        }
        self.keep = False

    def run(self, *arguments: str) -> int:
        """A management command against this stack, in the terminal of the caller."""
        return subprocess.call([sys.executable, MANAGE, *arguments], env=self.environment)


@contextlib.contextmanager
def throwaway_stack() -> Iterator[Throwaway]:
    """Ready when entered. Raises StackError with its last lines when it does not become so."""
    home = Path(tempfile.mkdtemp(prefix="payops-drill-"))
    if os.geteuid() == 0:
        home.chmod(0o711)  # the database runs under another account, which passes through here
    stack = Throwaway(home=home)
    with stack.log.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, MANAGE, "up", "--people-only"],
            env=stack.environment,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        _wait_until_ready(stack, child)
        yield stack
    finally:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_TIMEOUT_S)
        if child.poll() is None:
            child.kill()
            child.wait()
        if not stack.keep:
            _throw_away(stack)


def _wait_until_ready(stack: Throwaway, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while not ((stack.var / FILE).exists() and LAST_LINE in _said(stack)):
        if child.poll() is not None or time.monotonic() > until:
            tail = "\n".join(_said(stack).splitlines()[-20:])
            raise StackError(f"the stack to drill did not start:\n{tail}")
        time.sleep(LOOK_EVERY_S)


def _said(stack: Throwaway) -> str:
    return stack.log.read_text(errors="replace")


def _throw_away(stack: Throwaway) -> None:
    if stack.var.exists():
        Postgres(
            home=stack.var / "postgres", secrets=load_secrets(directory=stack.var)
        ).throw_away()
    shutil.rmtree(stack.home, ignore_errors=True)
