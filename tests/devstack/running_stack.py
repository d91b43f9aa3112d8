"""Starts the tiny stack as a separate process and reads what it tells the outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis

from payops.devstack.datadir import CHECKOUT
from payops.devstack.ports import free_port

TIMEOUT_S = 60.0
NOT_YET = (OSError, KeyError, ValueError, psycopg.OperationalError, redis.RedisError)


class RunningStack:
    """One supervisor process over one data directory."""

    def __init__(self, *, var: Path, port: int, arguments: tuple[str, ...] = ()) -> None:
        self.var = var
        self.port = port
        given = ("DATABASE_", "REDIS_", "PAYOPS_", "PG")
        environment = {n: v for n, v in os.environ.items() if not n.startswith(given)}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.devstack.tiny_stack", *arguments],
            cwd=CHECKOUT,
            env=environment | {"PAYOPS_VAR": str(var), "PAYOPS_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.var / "stack.json").read_text())
        return content

    def wait_until_ready(self) -> None:
        """Reads the terminal up to the last line of the introduction."""
        assert self.child.stdout is not None
        seen = []
        for line in self.child.stdout:
            seen.append(line)
            if "Ctrl-C stops everything" in line:
                return
        raise AssertionError("the stack ended while starting:\n" + "".join(seen))

    def wait_for_new_pid(self, name: str, *, old: int) -> int:
        def pid() -> int:
            return int(self.told()["pids"][name])

        eventually(lambda: pid() != old, what=f"a new {name}")
        return pid()

    def interrupt(self) -> int:
        self.child.send_signal(signal.SIGINT)
        self.output = self.child.communicate(timeout=TIMEOUT_S)[0]
        return self.child.returncode

    def result(self) -> tuple[int, str]:
        output, _ = self.child.communicate(timeout=TIMEOUT_S)
        return self.child.returncode, output


@contextlib.contextmanager
def tiny_stack(*, var: Path, arguments: tuple[str, ...] = ()) -> Iterator[RunningStack]:
    stack = RunningStack(var=var, port=free_port(), arguments=arguments)
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        if stack.child.poll() is None:
            stack.interrupt()


def eventually(holds: Callable[[], bool], *, what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        with contextlib.suppress(*NOT_YET):
            if holds():
                return
        assert time.monotonic() < deadline_s, f"never saw {what}"
        time.sleep(0.05)
