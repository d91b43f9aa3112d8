"""One real stack for all browser tests: `manage.py up` over a data directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payops.devstack.datadir import CHECKOUT
from payops.devstack.ports import free_port

READY = "Ctrl-C stops everything"
START_S = 240.0
STOP_S = 60.0
LOOK_EVERY_S = 0.2
NOT_OF_THE_CALLER = ("DATABASE_", "REDIS_", "PAYOPS_", "DJANGO_", "PG")
KEPT_OF_THE_CALLER = ("PAYOPS_VENV", "PAYOPS_PG_ACCOUNT")


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


class Up:
    """The supervisor as a child process; its output is kept beside its data."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.log = var / "up.log"
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT_OF_THE_CALLER or not name.startswith(NOT_OF_THE_CALLER)
        }
        environment |= {"PAYOPS_VAR": str(var), "PAYOPS_PORT": str(free_port())}
        with self.log.open("wb") as output:
            self.child = subprocess.Popen(
                [sys.executable, str(CHECKOUT / "manage.py"), "up"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> Stack:
        def ready() -> bool:
            assert self.child.poll() is None, f"the stack ended while starting:\n{self.tail()}"
            return READY in self.log.read_text(errors="replace")

        wait_for(ready, within_s=START_S, what=lambda: f"the stack ready:\n{self.tail()}")
        return read_stack(self.var / "stack.json")

    def stop(self) -> None:
        """As Ctrl-C does; the supervisor stops what it started."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def read_stack(path: Path) -> Stack:
    return Stack(json.loads(path.read_text()))


def wait_for(holds: Callable[[], bool], *, within_s: float, what: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"after {within_s:.0f} s still not {what()}"
        time.sleep(LOOK_EVERY_S)
