"""Questions asked at a provider that move nothing: an object's state, a payout, a page of events.

Each waits for its turn at the account's valve, leaves outside any transaction and tells the valve
whether it was answered. Serves WH-15, WH-22, WH-27.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from payops.core import clock
from payops.core.models import ProviderAccount
from payops.flows import calls, intents
from payops.payments import call_gate
from payops.psp import registry
from payops.psp.base import NormalizedEvent
from payops.psp.calling import EventPage, NoAnswer, PayoutLookup, RefundList, StateLookup

# Reasons that mean nobody answered; any other refusal is an answer of a provider that is there.
SILENT = frozenset(
    {
        "deadline",
        "name_unknown",
        "connect_error",
        "read_error",
        "write_error",
        "close_error",
        "network_error",
        "remote_protocol_error",
        "api_error",
    }
)
SILENT_STARTS = ("status_5", "status_429", "answer_")
SILENT_ENDS = "_timeout"


def fetch_state(*, account: ProviderAccount, said: NormalizedEvent) -> StateLookup:
    """The object an event is about, as the provider shows it now. Raises Postpone."""
    calls.take_turn(account)
    found = registry.calls(account.provider).fetch_state(said=said, **_address(account))
    _tell(account, found.reason if isinstance(found, NoAnswer) else "", said.provider_ref)
    return found


def fetch_payout(*, account: ProviderAccount, provider_ref: str) -> PayoutLookup:
    """Raises Postpone."""
    calls.take_turn(account)
    found = registry.calls(account.provider).fetch_payout(
        provider_ref=provider_ref, **_address(account)
    )
    _tell(account, found.reason if isinstance(found, NoAnswer) else "", provider_ref)
    return found


def list_refunds(*, account: ProviderAccount, payment_ref: str) -> RefundList | NoAnswer:
    """Every refund of one payment, as the provider has them. Raises Postpone."""
    calls.take_turn(account)
    found = registry.refunds(account.provider).list_refunds(
        payment_provider_ref=payment_ref, **_address(account)
    )
    _tell(account, found.reason if isinstance(found, NoAnswer) else "", payment_ref)
    return found


def list_events(*, account: ProviderAccount, created_after: Any, cursor: str | None) -> EventPage:
    """One page of the provider's own list. Raises Postpone."""
    calls.take_turn(account)
    page = registry.calls(account.provider).list_events(
        created_after=created_after, cursor=cursor, **_address(account)
    )
    _tell(account, page.error or "", "list of events")
    return page


def _address(account: ProviderAccount) -> dict[str, Any]:
    assert not connection.in_atomic_block, "the network is never asked inside a transaction"
    known = settings.PSP[account.provider]
    return {
        "http": intents.http_client(),
        "base_url": known["base_url"],
        "api_key": known["api_key"],
        "deadline_s": intents.CALL_DEADLINE_S,
        "settings": account.settings,
    }


def _tell(account: ProviderAccount, reason: str, subject: str) -> None:
    silent = reason in SILENT or reason.endswith(SILENT_ENDS) or reason.startswith(SILENT_STARTS)
    now = clock.utc_now()
    call_gate.report(account=account, answered=not silent, error=reason, subject=subject, now=now)
