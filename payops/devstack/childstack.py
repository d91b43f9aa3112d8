"""A stack of one's own: `manage.py up` as a child process over a data directory, and its stop.

For whatever needs a whole running product for a while: the browser tests, the screenshots. Servers
configured by the caller's environment are never used.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payops.devstack import stackfile
from payops.devstack.datadir import CHECKOUT
from payops.devstack.errors import StackError
from payops.devstack.ports import free_port
from payops.devstack.testrun import cleaned

READY = "Ctrl-C stops everything"
START_S = 240.0
STOP_S = 60.0
LOOK_EVERY_S = 0.2
TAIL_CHARS = 3000


@dataclass(frozen=True)
class Stack:
    """What `stack.json` tells of a running stack."""

    told: dict[str, Any]

    @property
    def web(self) -> str:
        return str(self.told["web"])

    @property
    def simulator(self) -> str:
        return str(self.told["simulator"])

    def password(self, username: str) -> str:
        return str(self.told["people"][username]["password"])


def read_stack(*, path: Path) -> Stack:
    return Stack(json.loads(path.read_text(encoding="utf-8")))


@contextmanager
def own_stack(*, var: Path) -> Iterator[Stack]:
    """Seeded and ready for the block, stopped as by Ctrl-C after it. Raises StackError."""
    log = var / "up.log"
    environment = cleaned(os.environ) | {"PAYOPS_VAR": str(var), "PAYOPS_PORT": str(free_port())}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "manage.py"), "up"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_ready() -> bool:
        if child.poll() is not None:
            raise StackError(f"the stack ended while starting:\n{_tail(log)}")
        return READY in log.read_text(errors="replace")

    try:
        _wait_for(is_ready, log=log)
        yield read_stack(path=var / stackfile.FILE)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise


def _wait_for(holds: Callable[[], bool], *, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise StackError(f"no stack was ready after {START_S:.0f} s:\n{_tail(log)}")
        time.sleep(LOOK_EVERY_S)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-TAIL_CHARS:]
