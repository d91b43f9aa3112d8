"""Turns the facts of a request into the payout flow's ask, and its outcome into an answer.

The key's system calls, a person asks: `on_behalf_of` names that person, who is the requester and
is barred from approving (D5). What the request names must exist in the key's own book.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from approvals.refusals import ApprovalRefused
from payops.api import on_behalf, reads
from payops.api.authentication import actor_of
from payops.api.idempotency import Answer, Call
from payops.api.problems import Problem, invalid_fields
from payops.api.serializers import PayoutAnswer, PayoutRequest
from payops.core import ids
from payops.core.models import Book, ProviderAccount
from payops.core.money import MoneyError
from payops.core.roles import Act
from payops.flows.payouts import request as payout_flow
from payops.flows.payouts.request import PayoutAsk, PayoutRefused
from payops.payments.models import Beneficiary

SOURCE = "api"


def ask(call: Call, *, now: datetime) -> Answer:
    """One payout for this call, inside the caller's transaction. Raises Problem."""
    fields = _fields(call.facts)
    book = call.api_key.book
    wanted = PayoutAsk(
        account=_account(book, fields["account"]),
        beneficiary=_beneficiary(book, fields["beneficiary"]),
        amount=fields["money"],
        merchant_ref=fields["merchant_ref"],
        request_key=call.request_key,
        reason=fields["reason"],
        requested_by=on_behalf.person_of(
            fields["on_behalf_of"], act=Act.REQUEST_PAYOUT, act_words="request payouts", now=now
        ),
        source=SOURCE,
    )
    try:
        payout = payout_flow.ask_release(wanted, actor=actor_of(call.api_key), now=now)
    except PayoutRefused as refusal:
        raise Problem("payout-refused", str(refusal)) from refusal
    except ApprovalRefused as refusal:
        raise Problem("not-now", refusal.words) from refusal
    except MoneyError as error:
        # The amount fits; its conversion or the day's total beside others does not.
        raise Problem("not-now", str(error)) from error
    body = dict(PayoutAnswer(reads.payout_of(book, payout.public_id)).data)
    return Answer(201, body, payout.public_id, str(wanted.requested_by.pk))


def _fields(facts: dict[str, Any]) -> dict[str, Any]:
    request = PayoutRequest(data=facts)
    if not request.is_valid():
        raise invalid_fields(request.errors)
    return request.validated_data


def _account(book: Book, address: str) -> ProviderAccount:
    provider, _, slug = address.partition("/")
    found = ProviderAccount.objects.filter(book=book, provider=provider, slug=slug)
    account = found.select_related("book").first()
    if account is None:
        raise _unknown("account", address)
    return account


def _beneficiary(book: Book, named: str) -> Beneficiary:
    by_name = Q(reference=named)
    key = _key(named)
    rows = Beneficiary.objects.filter(by_name | Q(pk=key) if key else by_name, book=book)
    found = list(rows[:2])
    if len(found) != 1:
        raise _unknown("beneficiary", named)
    return found[0]


def _key(named: str) -> UUID | None:
    try:
        return ids.parse(named, Beneficiary.PREFIX)[1]
    except ids.UnknownId:
        return None


def _unknown(field: str, named: str) -> Problem:
    words = f"{field}: {named[:64]!r} is not known here."
    return Problem("unknown-reference", words, errors=[{"field": field, "detail": "not known"}])
