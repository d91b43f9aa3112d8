"""Workers of the lane of calls that are killed by kill -9 after so many seconds, one per line."""

from __future__ import annotations

import os
import signal
import sys
import time

import django

django.setup()

from payops.core.callers import Room  # noqa: E402
from payops.flows import calls, tasks  # noqa: E402

# The cap of the account is another test's matter; here many calls are in the air at once.
calls.AccountTurns.room = lambda self, *, turn, wanted, take, now: Room(wanted)  # type: ignore


def end_of(child: int, seconds: float) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return "done"
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed"


if __name__ == "__main__":
    for line in sys.stdin:
        worker = os.fork()
        if worker == 0:
            while tasks.drain("calls", budget_s=30).claimed:
                pass
            os._exit(0)
        print(end_of(worker, float(line)), flush=True)
