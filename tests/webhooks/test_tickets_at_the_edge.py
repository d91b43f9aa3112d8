"""Tickets at the webhook edge: receipt, one event per request, secrets, allowlist (RF-1, RF-2)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import ProviderAccount
from payops.core.money import Money
from payops.flows import missed_events
from payops.flows.payouts import request as payout
from payops.flows.payouts.request import PayoutAsk, PayoutRefused
from payops.payments.models import Beneficiary, Payout
from payops.webhooks import rotation, selectors
from payops.webhooks.models import Delivery, ProviderEvent
from tests import builders
from tests.accounts import account_of, with_secret, with_settings
from tests.people import actor, person
from tests.psp.ticket_bodies import ISSUE, JIRA_SETTINGS, OTHER_SECRET, RECORD, SECRET, issue, mac

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"jira": ISSUE, "servicenow": RECORD}
BOTH = pytest.mark.parametrize("provider", ["jira", "servicenow"])


@pytest.fixture(autouse=True)
def desks(transactional_db: None) -> None:
    """A desk of each ticket system beside the seeded accounts, with a secret."""
    book = account_of("stripe").book
    with as_owner():
        for provider, settings in (("jira", JIRA_SETTINGS), ("servicenow", {})):
            ProviderAccount.objects.create(
                book=book,
                provider=provider,
                slug="desk",
                settings=settings,
                created_at=clock.utc_now(),
            )
    for provider in BODY:
        with_secret(provider, SECRET, slug="desk")


def post(provider: str, raw: bytes, *, secret: str = SECRET, **extra: str) -> Any:
    headers = {
        "jira": {"HTTP_X_HUB_SIGNATURE": f"sha256={mac(raw, secret)}"},
        "servicenow": {"HTTP_X_SERVICENOW_TOKEN": secret},
    }[provider]
    url = f"/webhooks/{provider}/desk/"
    return Client().post(url, raw, content_type="application/json", **headers, **extra)


@BOTH
def test_ticket_is_stored_before_it_is_acknowledged(provider: str) -> None:
    answer = post(provider, BODY[provider])

    assert (answer.status_code, answer.content) == (200, b'{"received":true}')
    event = ProviderEvent.objects.get()
    assert (event.type, event.state) == ("refund.requested", "RECEIVED")
    assert event.dedupe_key.endswith(":rq-7781-1")
    assert selectors.raw_body(event=event) == BODY[provider]
    receipt = Delivery.objects.get()
    assert (receipt.signature_ok, receipt.duplicate) == (True, False)


@BOTH
def test_same_ticket_again_is_a_receipt_and_no_second_event(provider: str) -> None:
    for _ in range(3):
        assert post(provider, BODY[provider]).status_code == 200

    assert ProviderEvent.objects.count() == 1
    assert sorted(Delivery.objects.values_list("duplicate", flat=True)) == [False, True, True]


def test_issue_that_was_edited_otherwise_is_no_second_event() -> None:
    post("jira", ISSUE)
    post("jira", issue(event="jira:issue_updated", status={"name": "In progress"}))

    assert ProviderEvent.objects.count() == 1


@BOTH
def test_unsigned_ticket_is_refused_and_told_nothing(provider: str) -> None:
    answer = post(provider, BODY[provider], secret=OTHER_SECRET)

    assert (answer.status_code, answer.content) == (401, b"")
    assert not ProviderEvent.objects.exists()
    assert Delivery.objects.get().signature_reason == "signature_mismatch"


def test_shared_token_is_never_kept_with_the_receipt() -> None:
    post("servicenow", RECORD)

    assert SECRET not in str(Delivery.objects.get().headers)


@BOTH
def test_new_secret_works_beside_the_old_one(provider: str) -> None:
    with_secret(provider, OTHER_SECRET, slug="desk")

    assert post(provider, BODY[provider]).status_code == 200
    assert post(provider, BODY[provider], secret=OTHER_SECRET).status_code == 200


def test_address_that_is_not_on_an_enforced_list_is_refused() -> None:
    with_settings("jira", "desk", allowlist_mode="enforce")

    assert post("jira", ISSUE).status_code == 403
    assert not ProviderEvent.objects.exists()


@BOTH
def test_hostile_ticket_ends_as_a_dead_letter_that_names_the_field(provider: str) -> None:
    raw = BODY[provider].replace(b"30.5", b"-3.5")

    assert post(provider, raw).status_code == 200
    builders.drain()

    event = ProviderEvent.objects.get()
    assert event.state == "DEAD"
    field = {"jira": "issue.fields.customfield_10042", "servicenow": "amount"}[provider]
    assert event.last_error == (
        f"StructuralMismatch: the event contradicts itself: amount_malformed at {field}"
    )


def test_ticket_system_is_never_asked_for_events_it_might_have() -> None:
    waiting = missed_events._addressed(clock.utc_now())

    asked = {account.provider for account in waiting}
    assert "stripe" in asked and not asked & {"jira", "servicenow"}


def test_nothing_is_paid_out_over_a_ticket_system() -> None:
    ask = PayoutAsk(
        account=account_of("jira", "desk"),
        beneficiary=Beneficiary.objects.order_by("reference").first(),
        amount=Money(1200, "EUR"),
        merchant_ref="P-1",
        reason="refund by hand",
        requested_by=person("amara"),
        request_key="k-1",
    )

    with pytest.raises(PayoutRefused, match="jira/desk is a ticket system"):
        payout.request_payout(ask=ask, actor=actor("amara"), now=clock.utc_now())
    assert not Payout.objects.exists()


@BOTH
def test_secret_of_a_ticket_system_has_a_form(provider: str) -> None:
    account = account_of(provider, "desk")

    assert rotation.checked(account, rotation.generated(account))
    with pytest.raises(rotation.RotationRefused, match="24 to 200 visible characters"):
        rotation.checked(account, "short")
