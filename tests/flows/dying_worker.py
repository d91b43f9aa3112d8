"""A worker that dies by kill -9 before, inside or after one function: `module:name moment lane`.

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


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2])
    while tasks.drain(sys.argv[3], budget_s=30).claimed:
        pass
