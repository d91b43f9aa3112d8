"""Advice on the pages of charges, refunds, disputes and failed payments: text beside, no more."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.utils.html import strip_tags

from payops.cases.advice import Recommendation
from payops.console.reads import advice, advice_beside
from payops.core import clock
from payops.core.models import AuditEvent
from payops.payments.models import Payment, Refund
from payops.triage import refunds as refund_advice
from tests import builders, refunds
from tests.console.work import HOSTILE, browser, text_of
from tests.flows.test_refund_request import dispute
from tests.refund_asks import granted

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING_SENT = "Draft, nothing is sent. Copy it and change what does not fit."


def words_of(path: str, *, by: str = "lena") -> str:
    answer = browser(by).get(path)
    assert answer.status_code == 200, text_of(answer)
    return " ".join(strip_tags(text_of(answer).replace("<", " <")).split())


def failed_payment(code: str = "insufficient_funds", *, order: str = "ORDER-F") -> Payment:
    said = {
        "id": f"spm_failed_{time.time_ns()}",
        "object": "payment",
        "reference": order,
        "amount": 4_900,
        "currency": "EUR",
        "status": "failed",
        "failure_code": code,
        "seller": "S-1001",
        "method": "card",
        "created": int(time.time()),
    }
    assert builders.post_standard(builders.standard_event("payment.failed", said)) == 200
    builders.drain()
    return Payment.objects.get(provider_ref=said["id"])


def pages() -> dict[str, str]:
    """One page of each kind, with the sentence its advice begins with."""
    charge = refunds.charge(10_000)
    waiting = refunds.ask(charge, "60.00")
    disputed = refunds.charge(8_000)
    failed = failed_payment()
    return {
        f"/refunds/new/?payment={charge.public_id}": "A refund of 40.00 EUR. Dispute risk: low.",
        f"/refunds/{waiting.public_id}/": "A refund of 60.00 EUR as “Order canceled before it was "
        "sent”. Dispute risk: low.",
        f"/approvals/{waiting.approval_id}/": "A refund of 60.00 EUR as “Order canceled before it "
        "was sent”. Dispute risk: low.",
        f"/disputes/{dispute(disputed).public_id}/": "Dispute of 80.00 EUR: the provider gives no "
        "reason that is known here.",
        f"/payments/{failed.public_id}/": "49.00 EUR did not go through: there was not enough "
        "money in the account or on the card.",
    }


def test_every_page_shows_its_advice_and_that_it_decides_nothing() -> None:
    """AI-2, AI-3, AI-6"""
    for path, sentence in pages().items():
        shown = words_of(path, by="amara")

        assert sentence in shown, path
        assert "It decides nothing, fills in nothing and sends nothing. From rules" in shown


def test_switched_off_every_page_works_without_it(settings: Any) -> None:
    """AI-10"""
    settings.PAYOPS_ADVICE = "off"

    for path, sentence in pages().items():
        shown = words_of(path, by="amara")
        assert sentence not in shown
        assert "It decides nothing" not in shown
    assert Recommendation.objects.filter(case=None).count() == 0


def test_a_fault_in_advice_leaves_the_page_whole(monkeypatch: Any) -> None:
    """AI-10"""
    refund = refunds.ask(refunds.charge(10_000), "60.00")

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(refund_advice, "advise", broken)

    shown = words_of(f"/refunds/{refund.public_id}/")

    assert "Why it was decided so" in shown
    assert "It decides nothing" not in shown


def test_looking_at_a_page_keeps_the_advice_once_and_changes_nothing_else() -> None:
    """AI-9, I16"""
    refund = refunds.ask(refunds.charge(10_000), "60.00")
    before = AuditEvent.objects.count()

    for _ in range(3):
        words_of(f"/refunds/{refund.public_id}/")

    assert Recommendation.objects.filter(subject_id=refund.public_id).count() == 1
    assert AuditEvent.objects.count() == before
    assert Refund.objects.get(pk=refund.pk).state == "AWAITING_APPROVAL"


def test_hostile_references_are_text_in_advice_and_drafts() -> None:
    """D1: what came from outside is escaped, bounded, and without what nobody sees."""
    failed = failed_payment(code='"><script>alert(2)</script>', order=HOSTILE[:60])

    page = text_of(browser("lena").get(f"/payments/{failed.public_id}/"))

    advice = page[page.index('class="advice"') : page.index("It decides nothing")]
    assert "<script" not in advice
    assert "\u202e" not in advice
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in advice
    assert "Read the provider&#x27;s own words first" in advice


def test_a_refused_refund_has_a_draft_that_nobody_sends() -> None:
    """AI-6: the reason by the check, never its figures; copied by hand."""
    charge = refunds.charge(10_000)
    dispute(charge)
    refused = refunds.ask(charge, "30.00")
    assert refused.state == "REFUSED"

    shown = words_of(f"/refunds/{refused.public_id}/")

    assert "Why: A dispute stands against the charge" in shown
    assert "Draft: refusal" in shown
    assert NOTHING_SENT in shown
    assert "your bank is deciding about this payment at your request" in shown
    page = text_of(browser("lena").get(f"/refunds/{refused.public_id}/"))
    (draft,) = re.findall(r"<textarea[^>]*readonly>(.*?)</textarea>", page, re.DOTALL)
    assert charge.beneficiary.name not in draft
    assert "name=" not in page[page.index("<textarea") : page.index("</textarea>")]


def test_what_is_typed_without_scripts_is_advised_on_too() -> None:
    """AI-3: missing evidence of the reason that was chosen."""
    charge = refunds.charge(10_000)
    said = {
        "payment": charge.public_id,
        "how": "other",
        "amount": "30.00",
        "reason_code": "item_not_received",
        "step": "check",
    }

    whole = text_of(browser("amara").post("/refunds/new/", said))
    part = text_of(browser("amara").post("/refunds/new/", said, headers={"hx-request": "true"}))

    assert "Order reference (refused without); carrier status (people decide without)" in whole
    assert "It decides nothing" not in part


def test_a_page_without_the_payment_having_failed_has_no_retry_advice() -> None:
    charge = refunds.charge(10_000)

    assert advice_beside.of_payment(charge, now=charge.created_at) == []
    assert "It decides nothing" not in words_of(f"/payments/{charge.public_id}/")


def test_deciders_see_advice_beside_the_charge_and_the_hash_knows_nothing_of_it() -> None:
    """D1, F7: what is approved is the same with and without it."""
    refund = granted(refunds.charge(10_000))

    shown = words_of(f"/approvals/{refund.approval_id}/")

    assert "It decides nothing" in shown
    assert refund.state == "APPROVED"


def test_a_suggested_reason_counts_against_the_refund_that_was_asked_for_after_it() -> None:
    """AI-9: how often people chose what was suggested."""
    charge = refunds.charge(4_000, order="ORDER-TWICE")
    refunds.charge(4_000, order="ORDER-TWICE")
    words_of(f"/refunds/new/?payment={charge.public_id}", by="amara")
    refunds.ask(charge, "40.00")

    (rate,) = advice.rates(charge.book, now=clock.utc_now())

    assert (rate.suggested, rate.decided, rate.accepted, rate.overridden) == (1, 1, 0, 1)
