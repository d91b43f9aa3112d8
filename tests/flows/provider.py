"""The provider as a test sees it: faults to order, movements to count, webhooks to pass on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.db import connections
from django.test import Client

from payops.core import clock
from payops.core.models import Message
from payops.payments.models import CallGate, Payout, ProviderCall
from tests import builders
from tests.builders import approval_of, approve_all, drain, reload
from tests.simulator.process import API_KEY, ROOT, Process, Receiver

ROUNDS_MAX = 30
KILLED = -signal.SIGKILL


@dataclass
class Provider:
    process: Process
    receiver: Receiver

    def reset(self) -> None:
        self.process.control("POST", "/reset")
        self.receiver.received.clear()

    def fault(self, kind: str, **options: Any) -> None:
        """The next payout that is created meets this fault."""
        match = {"operation": "payout.create"}
        self.process.control("POST", "/faults", {"match": match, "fault": kind, **options})

    def movements(self) -> list[tuple[str, str, int, str, str | None]]:
        return self.process.movements()

    def deliver(self) -> int:
        """Pass the webhooks received so far on to the product, as they came."""
        self.process.quiet()
        passed = 0
        while self.receiver.received:
            told = self.receiver.received.pop(0)
            kind = told.headers.pop("content-type", "application/json")
            told.headers.pop("host", None)
            answer = Client().post(
                told.path, data=told.body, content_type=kind, headers=told.headers
            )
            assert answer.status_code == 200, (told.path, answer.status_code)
            passed += 1
        return passed

    def worker_that_dies(self, at: str, moment: str, lane: str = "high") -> int:
        """Drain a lane in a process of its own that kills itself there; answers its exit code."""
        connections.close_all()
        nursery = self.nursery
        assert nursery.stdin is not None and nursery.stdout is not None
        nursery.stdin.write(f"{at} {moment} {lane}\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    @cached_property
    def nursery(self) -> subprocess.Popen[str]:
        """A process that has Django ready and forks a worker per line it reads."""
        address = f"127.0.0.1:{self.process.port}"
        environ = {
            **os.environ,
            "PAYOPS_HTTP_ALLOW": address,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        for name in ("stripe", "standard"):
            environ[f"PAYOPS_PSP_{name.upper()}_URL"] = f"http://{address}/{name}"
            environ[f"PAYOPS_PSP_{name.upper()}_KEY"] = API_KEY
        return subprocess.Popen(
            [sys.executable, "-m", "tests.flows.dying_worker"],
            cwd=ROOT,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        nursery = self.__dict__.get("nursery")
        if nursery is not None:
            nursery.stdin.close()
            nursery.wait(10)
            nursery.stdout.close()
        self.process.kill()
        self.receiver.close()


def approved(amount: str = "1200.00", **asked: Any) -> Payout:
    """Requested and approved; its dispatch message is ready and nothing has been sent."""
    payout = builders.requested(amount, **asked)
    approve_all(approval_of(payout.approval_id))
    return payout


def later() -> None:
    """What waits for a retry is due, a dead worker's lease is over, a pause is over."""
    past = clock.utc_now() - timedelta(seconds=1)
    pending = Message.objects.filter(state=Message.State.PENDING)
    pending.update(due_at=past)
    pending.filter(leased_until__isnull=False).update(leased_until=past)
    ProviderCall.objects.filter(outcome="").update(deadline_at=past)
    CallGate.objects.exclude(state=CallGate.State.CLOSED).update(probe_at=past)


def settle(payout: Payout, *, until: tuple[str, ...] = ("IN_TRANSIT",)) -> Payout:
    """Drain and let time pass until the payout is there, within a bound."""
    for _ in range(ROUNDS_MAX):
        drain()
        payout = reload(payout)
        if payout.state in until:
            return payout
        later()
    raise AssertionError(f"{payout.state} after {ROUNDS_MAX} rounds")


def calls(payout: Payout) -> list[tuple[str, str]]:
    """(operation, outcome) of every attempt, in order."""
    made = ProviderCall.objects.filter(intent__subject_id=payout.public_id).order_by("attempt")
    return list(made.values_list("operation", "outcome"))
