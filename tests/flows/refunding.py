"""Granted refunds of charges that the simulator has too, and what became of them there and here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.core.models import Message
from payops.payments.models import Intent, Payment, ProviderCall, Refund
from tests.builders import drain
from tests.flows.provider import Provider, later
from tests.refunds import ask
from tests.simulator.process import API_KEY, ROOT

AMOUNT = "30.00"
MINOR = 3_000
ROUNDS_MAX = 40


def charges(provider: Provider, name: str, count: int = 1) -> list[Payment]:
    """Captured payments that the provider and the product both know."""
    stamp = time.time_ns()
    references = [f"SOLD-{stamp}-{number}" for number in range(count)]
    for reference in references:
        provider.process.pay_in(
            name, reference=reference, seller="S-1001", amount=10_000, fee=0, platform_fee=1_000
        )
    provider.deliver()
    drain()
    whole = Payment.objects.select_related("book", "account", "beneficiary")
    found = list(whole.filter(merchant_ref__in=references).order_by("created_at", "pk"))
    assert len(found) == count
    return found


def granted(provider: Provider, name: str = "standard", count: int = 1) -> list[Refund]:
    """Refunds that the rule grants at once; their dispatch is ready and nothing has been sent."""
    paid = charges(provider, name, count)
    asked = [ask(payment, AMOUNT) for payment in paid]
    assert {refund.state for refund in asked} == {"APPROVED"}, asked[0].refusal
    return asked


def one(provider: Provider, name: str = "standard") -> Refund:
    return granted(provider, name)[0]


def fault(provider: Provider, kind: str, *, reference: str = "", **options: Any) -> None:
    """The next refund that is created, or the one with our reference, meets this fault."""
    match = {"operation": "refund.create"} | ({"reference": reference} if reference else {})
    provider.process.control("POST", "/faults", {"match": match, "fault": kind, **options})


def settle(*, until: frozenset[str] = frozenset({"ACCEPTED", "SUCCEEDED"})) -> None:
    """Drain and let time pass until every refund is there, within a bound."""
    for _ in range(ROUNDS_MAX):
        drain()
        if not Refund.objects.exclude(state__in=until).exists():
            return
        later()
    raise AssertionError(Counter(Refund.objects.values_list("state", flat=True)))


def movements(provider: Provider) -> Counter[tuple[str, int, str, str | None]]:
    """What left the provider for customers: (our reference, minor units, currency, key)."""
    told = provider.process.control("GET", "/movements?kind=refund&limit=1000")["movements"]
    return Counter(
        (row["reference"], row["amount"], row["currency"], row["idempotency_key"]) for row in told
    )


def exactly_once(refunds: list[Refund]) -> Counter[tuple[str, int, str, str | None]]:
    """One movement each, under the stored key, for exactly our amount."""
    keys = dict(Intent.objects.filter(kind="refund").values_list("subject_id", "idempotency_key"))
    return Counter((r.public_id, MINOR, "EUR", keys[r.public_id]) for r in refunds)


def calls(refund: Refund) -> list[tuple[str, str]]:
    """(operation, outcome) of every attempt, in order."""
    made = ProviderCall.objects.filter(intent__subject_id=refund.public_id).order_by("attempt")
    return list(made.values_list("operation", "outcome"))


def entries() -> Counter[tuple[str, str]]:
    """(event class, subject) of the entries of refunds."""
    rows = JournalEntry.objects.filter(event_class__startswith="refund.")
    return Counter(rows.values_list("event_class", "subject_id"))


def posted_once(refunds: list[Refund], *classes: str) -> Counter[tuple[str, str]]:
    return Counter((name, refund.public_id) for name in classes for refund in refunds)


def cases() -> list[tuple[str, str, str]]:
    return sorted(Case.objects.values_list("rule", "subject_id", "state"))


def unfinished() -> list[tuple[str, str]]:
    return list(Message.objects.exclude(state="DONE").values_list("topic", "last_error"))


@contextmanager
def workers(provider: Provider) -> Iterator[subprocess.Popen[str]]:
    """A process that forks a worker of calls per line it reads and kills it after so long."""
    connections.close_all()
    address = f"127.0.0.1:{provider.process.port}"
    environ = {
        **os.environ,
        "PAYOPS_HTTP_ALLOW": address,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    for name in ("stripe", "standard"):
        environ[f"PAYOPS_PSP_{name.upper()}_URL"] = f"http://{address}/{name}"
        environ[f"PAYOPS_PSP_{name.upper()}_KEY"] = API_KEY
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flows.killed_worker"],
        cwd=ROOT,
        env=environ,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def work_until_killed(process: subprocess.Popen[str], seconds: float) -> str:
    """ "killed" while it still worked, or "done" when it had nothing left before that."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()
