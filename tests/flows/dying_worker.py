"""Workers that die by kill -9 before or after one function; one per line `module:name moment lane`.

A name with an `@` (`…runbook:_run_step@ticket`) dies only for the call that is about that step.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import django

django.setup()

from payops.flows import tasks  # noqa: E402


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(at: str, moment: str) -> None:
    where, _, only = at.partition("@")
    module_name, _, name = where.partition(":")
    module = import_module(module_name)
    real = getattr(module, name)

    def armed(*given: Any, **named: Any) -> Any:
        if only and only not in [getattr(each, "name", "") for each in given]:
            return real(*given, **named)
        if moment == "before":
            die()
        answer = real(*given, **named)
        die()
        return answer

    setattr(module, name, armed)


def work(at: str, moment: str, lane: str) -> None:
    arm(at, moment)
    while tasks.drain(lane, budget_s=30).claimed:
        pass


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(*line.split())
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
