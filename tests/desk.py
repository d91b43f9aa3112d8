"""Agents who ask for refunds in tickets: signed records through the edge."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from django.db import transaction
from django.test import Client

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import Book, ProviderAccount
from payops.payments.models import Payment
from payops.webhooks.directory import directory
from payops.webhooks.models import ProviderEvent
from payops.webhooks.secrets import add_secret

SECRET = "a-token-of-the-service-desk-0001"
AMARA = "amara@meridian.example"
_numbers = itertools.count(1)


def desk(provider: str = "servicenow") -> ProviderAccount:
    """The ticket system's account, with the token both sides know."""
    book = Book.objects.get(is_system=False)
    with as_owner(), transaction.atomic():
        account, _ = ProviderAccount.objects.get_or_create(
            book=book, provider=provider, slug="desk"
        )
        add_secret(account=account, value=SECRET, now=clock.utc_now())
    directory.forget()
    return account


def record(payment: Payment | str, **members: Any) -> dict[str, Any]:
    """A ticket's record; `payment` is a charge or what the agent wrote."""
    number = next(_numbers)
    told = {
        "sys_id": f"{number:032x}",
        "number": f"INC{number:07d}",
        "request_id": f"rq-{number}-{time.time_ns()}",
        "charge": payment if isinstance(payment, str) else payment.provider_ref,
        "amount": "30.00",
        "currency": "EUR",
        "reason": "Order canceled",
        "note": "The customer canceled.",
        "opened_by": AMARA,
        "state": "2",
        "evidence": {"order_reference": "ORDER-1"},
        "created": int(time.time()),
    } | members
    return {name: value for name, value in told.items() if value is not None}


def submit(told: dict[str, Any], *, token: str = SECRET) -> int:
    answer = Client().post(
        "/webhooks/servicenow/desk/",
        data=json.dumps(told),
        content_type="application/json",
        headers={"x-servicenow-token": token},
    )
    return answer.status_code


def event_of(told: dict[str, Any]) -> ProviderEvent:
    return ProviderEvent.objects.get(
        provider_event_id=f"{told['number']}:{told.get('request_id') or told['sys_id']}"
    )
