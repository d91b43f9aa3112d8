"""What a provider shows when it is asked, as a test sets it: states, silence, lists of events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import sql

from payops.core import clock
from payops.core.models import Message
from payops.core.money import Money
from payops.payments.models import Payout
from payops.psp import registry
from payops.psp.base import KINDS
from payops.psp.calling import EventPage, NoAnswer, NotFound, ObjectState, PayoutLookup, StateLookup
from payops.webhooks.models import ProviderEvent
from tests.conftest import _owner as owner_connection

SILENCE = NoAnswer(reason="deadline")


@dataclass
class View:
    """Stands in for the calls of one provider; what it does not know, it says it has not."""

    states: dict[str, StateLookup] = field(default_factory=dict)
    payouts: dict[str, PayoutLookup] = field(default_factory=dict)
    pages: list[EventPage] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    listed_since: list[datetime] = field(default_factory=list)
    key_window_s: int = 3600
    askable: frozenset[str] = KINDS

    def show(self, payout: Payout, *kinds: str, amount: Money | None = None, **more: Any) -> None:
        """The payout as the provider has it: every kind named has happened."""
        self.states[payout.provider_ref] = ObjectState(
            provider_ref=payout.provider_ref,
            raw_status=kinds[-1].partition(".")[2],
            reached=frozenset(kinds),
            amount=amount or payout.amount,
            our_ref=more.get("our_ref", payout.public_id),
        )

    def hush(self, payout: Payout) -> None:
        self.states[payout.provider_ref] = SILENCE

    def list(self, *pages: Iterable[dict[str, Any]], error: str | None = None) -> None:
        """Pages of event bodies; `error` is told with the last one."""
        told = [tuple(json.dumps(body).encode() for body in page) for page in pages]
        last = len(told) - 1
        self.pages = [
            EventPage(
                bodies=bodies,
                cursor=None if place == last else str(place + 1),
                error=error if place == last else None,
            )
            for place, bodies in enumerate(told)
        ]

    # ---- what the product calls --------------------------------------------------------------

    def fetch_state(self, *, said: Any, **address: Any) -> StateLookup:
        self.asked.append(said.provider_ref)
        return self.states.get(said.provider_ref, NotFound(searched=said.provider_ref))

    def fetch_payout(self, *, provider_ref: str, **address: Any) -> PayoutLookup:
        self.asked.append(provider_ref)
        return self.payouts.get(provider_ref, NotFound(searched=provider_ref))

    def list_events(
        self, *, created_after: datetime, cursor: str | None, **address: Any
    ) -> EventPage:
        self.listed_since.append(created_after)
        return self.pages[int(cursor or 0)]


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> View:
    """The generic provider answers what the test tells it to."""
    shown = View()
    real = registry.PROVIDERS["standard"]
    monkeypatch.setitem(registry.PROVIDERS, "standard", replace(real, calls=shown))  # type: ignore[misc,arg-type]
    return shown


def policy(name: str, provider: str = "standard") -> None:
    """Set how far the account's webhooks are believed without asking."""
    change(provider, verify_policy=name)


def change(provider: str = "standard", **columns: Any) -> None:
    """The account's columns, written by the owner: changing them is governed."""
    names = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)
    statement = sql.SQL("UPDATE core_provideraccount SET {} WHERE provider = %s").format(names)
    with owner_connection() as owner:
        owner.execute(statement, [*columns.values(), provider])


def come_due() -> None:
    """Parked events and postponed messages are looked at now."""
    past = clock.utc_now() - timedelta(seconds=1)
    ProviderEvent.objects.filter(state="PARKED").update(due_at=past)
    Message.objects.filter(state="PENDING").update(due_at=past)
