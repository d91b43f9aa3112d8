"""Refunds on the screens: the queue by what is to be done, and one refund with all around it."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from payops.core import clock
from payops.flows.refunds import dispatch as refund_dispatch
from payops.payments.models import ProviderCall, Refund
from payops.psp.calling import CallOutcome
from tests import refunds
from tests.builders import approval_of, decide, drain
from tests.console.work import HOSTILE, browser, text_of
from tests.flows import refund_life
from tests.flows.test_refund_offline import failed, left
from tests.flows.test_refund_request import dispute
from tests.refund_asks import carry_decisions, charge, granted, reload

pytestmark = pytest.mark.django_db(transaction=True)


def words_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, text_of(answer)
    return unescape(" ".join(strip_tags(text_of(answer).replace("<", " <")).split()))


def page_of(refund: Refund, *, by: str = "lena") -> str:
    return words_of(browser(by).get(f"/refunds/{refund.public_id}/"))


def shown_in(query: str, *, by: str = "lena") -> set[str]:
    """The refunds that the list shows."""
    page = text_of(browser(by).get(f"/refunds/?{query}"))
    return set(re.findall(r'class="row-link" href="/refunds/(rf_[0-9a-f]{32})/"', page))


def queries(client: Any, path: str) -> int:
    with CaptureQueriesContext(connection) as caught:
        assert client.get(path).status_code == 200
    return len(caught)


def act(refund: Refund, name: str, *, by: str, **said: str) -> Any:
    return browser(by).post(f"/refunds/{refund.public_id}/{name}/", said, follow=True)


def test_tabs_hold_what_is_to_be_done_and_say_how_many() -> None:
    first, second, third, fourth = (charge(10_000) for _ in range(4))
    asked = refunds.ask(first, "60.00")
    sent_next = refunds.ask(second, "20.00")
    lost = left(refunds.ask(third, "10.00"))
    owed = failed(fourth)

    page = words_of(browser("lena").get("/refunds/"))

    assert "Needs a decision 1 To be sent 1 Unknown 1 Ledger pending Failed or owed 1" in page
    for tab, refund in (
        ("decide", asked),
        ("send", sent_next),
        ("unknown", lost),
        ("owed", owed),
    ):
        assert shown_in(f"todo={tab}") == {refund.public_id}, tab
    assert len(shown_in("")) == 4
    assert "Nothing here" in words_of(browser("lena").get("/refunds/?todo=ledger"))
    odd = words_of(browser("lena").get("/refunds/?todo=everything"))
    assert "“everything” is none of the lists of refunds; all of them are shown." in odd


def test_filters_narrow_the_list_and_its_csv() -> None:
    first, second = (refunds.charge(10_000, order=order) for order in ("SHOES-1", "BAG-1"))
    shoes = refunds.ask(first, "20.00")
    bag = refunds.ask(
        second,
        "75.50",
        reason_code="item_returned",
        evidence={"return_tracking": "x"},
        ticket_system="jira",
        ticket_ref="OPS-7",
        source="ticket",
    )
    today = f"{clock.business_day(clock.utc_now(), time_zone='Europe/Berlin')}"
    both = {shoes.public_id, bag.public_id}

    for query, wanted in (
        ("q=shoes", {shoes.public_id}),
        ("q=OPS-7", {bag.public_id}),
        (f"q={bag.public_id}", {bag.public_id}),
        (f"q={shoes.payment.public_id}", {shoes.public_id}),
        (f"q={bag.approval_id}", {bag.public_id}),
        ("state=APPROVED", {shoes.public_id}),
        ("source=ticket", {bag.public_id}),
        ("provider=standard/demo", both),
        ("provider=stripe/demo", set()),
        ("reason=item", {bag.public_id}),
        ("min=20.01", {bag.public_id}),
        ("max=20.00", {shoes.public_id}),
        (f"from={today}&to={today}", both),
        ("to=2020-01-01", set()),
        ("todo=decide&min=1", {bag.public_id}),
    ):
        assert shown_in(query) == wanted, query
        file = browser("lena").get(f"/refunds/?{query}&format=csv")
        rows = csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode()))
        assert {row["id"] for row in rows} == wanted, query


def test_the_list_costs_the_same_with_two_rows_and_with_twelve() -> None:
    payment = charge(1_000_000)
    client = browser("lena")
    for _ in range(2):
        refunds.ask(payment, "1.00")
    few = queries(client, "/refunds/")
    for _ in range(10):
        refunds.ask(payment, "1.00")

    assert queries(client, "/refunds/") == few


def test_hostile_text_is_text_in_the_list_and_on_the_page() -> None:
    refund = refunds.ask(
        refunds.charge(10_000, order=HOSTILE[:60]), "20.00", note=HOSTILE, ticket_ref=HOSTILE
    )

    for path in ("/refunds/", f"/refunds/{refund.public_id}/"):
        assert "<script>alert" not in text_of(browser("lena").get(path))


def test_a_refund_that_waits_says_why_whose_turn_it_is_and_who_may_take_it_back() -> None:
    """RF-18, AP-8, D5"""
    payment = charge(10_000, platform_minor=1_000)
    refund = refunds.ask(payment, "60.00", note="arrived broken")

    page = page_of(refund, by="amara")

    assert "Waits for its approval Its amount is reserved under the charge" in page
    assert "Whose turn Payments operations lead" in page
    assert "Next: Once granted it is looked at again, and then it leaves." in page
    assert "Put to people when it was asked for refund.policy v1" in page
    assert "60.00 EUR is above 50.00 EUR, the most a rule grants alone" in page
    assert "Every check, 16 of them" in page
    assert "This refund 60.00 EUR Left 40.00 EUR" in page
    assert "Cancel refund… Nothing leaves. Its approval becomes void" in page
    assert "Approve" not in re.sub("Approvals|approval", "", page)
    assert "What you may do" not in page_of(refund, by="audrey")


def test_the_requester_sees_no_decide_button_and_the_lead_decides_with_the_charge_at_hand() -> None:
    """D5, F7: the whole charge, why people decide, the entries it would cause."""
    payment = charge(10_000, platform_minor=1_000)
    refunds.ask(payment, "15.00")
    refund = refunds.ask(payment, "60.00", evidence={"order_reference": "ORDER-77"})
    url = f"/approvals/{refund.approval_id}/"

    mine, theirs = (words_of(browser(name).get(url)) for name in ("amara", "lena"))

    assert "Your decision" not in mine and "You asked for this" in mine
    assert "Approve refund of 60.00 EUR" in theirs
    assert f"Charge {payment.merchant_ref} Seller Atelier Nordlicht" in theirs
    assert "Reason Order canceled before it was sent" in theirs
    assert "Evidence: order reference ORDER-77" in theirs
    assert "Refunded 0.00 EUR Reserved 15.00 EUR This refund 60.00 EUR Left 25.00 EUR" in theirs
    assert "the charge has 1 refund of 15.00 EUR in all already" in theirs
    assert "2000 Seller payable · S-1001 54.00 EUR" in theirs
    assert "The customer disputes nothing." in theirs


def test_a_dispute_that_came_meanwhile_is_shown_to_the_deciders() -> None:
    """D9, F1"""
    payment = charge(10_000)
    refund = refunds.ask(payment, "60.00")
    stands = dispute(payment)

    page = words_of(browser("lena").get(f"/approvals/{refund.approval_id}/"))

    assert f"It could not leave now The dispute {stands.public_id} stands against" in page
    assert "Blocks refunds" in page


def test_a_large_refund_is_sent_by_a_person_who_did_not_ask_for_it() -> None:
    """D5: grant and send are two permissions."""
    payment = charge(1_000_000)
    refund = refunds.ask(payment, "6000.00", by="tomas")
    approval = approval_of(refund.approval_id)
    for username in ("marco", "sofia"):
        decide(approval, username)
    carry_decisions()

    for name, offered in (("sofia", True), ("lena", True), ("amara", False), ("audrey", False)):
        page = page_of(refund, by=name)
        assert ("Send 6,000.00 EUR…" in page) is offered, name
    assert "Whose turn Whoever may send refunds" in page_of(refund, by="audrey")
    refused = act(refund, "send", by="amara")
    assert refused.status_code == 403 and "send_refund" in text_of(refused)
    look = words_of(browser("sofia").get(f"/refunds/{refund.public_id}/send/"))
    assert "6,000.00 EUR leaves through standard/demo. A refund that has left cannot" in look
    assert "It is on its way." in words_of(act(refund, "send", by="sofia"))
    assert reload(refund).sent_by.name == "Sofia Almeida"


def test_a_canceled_refund_says_who_why_and_reserves_nothing() -> None:
    refund = refunds.ask(charge(10_000), "60.00")

    assert "This field is required." in text_of(act(refund, "cancel", by="amara"))
    page = words_of(act(refund, "cancel", by="amara", reason="the customer keeps it"))

    assert "Canceled. Nothing leaves." in page
    assert "Canceled: nothing was sent the customer keeps it" in page
    assert "Reserved 0.00 EUR Left 100.00 EUR" in page
    again = act(refund, "send", by="lena")
    assert "only a granted refund" in words_of(again, 422)


def test_a_refund_paid_by_hand_is_recorded_with_its_reference() -> None:
    """F26"""
    refund = granted(charge(10_000), "30.00", offline=True)
    assert "Whose turn Whoever pays it by hand" in page_of(refund)
    moment = (clock.utc_now() + timedelta(minutes=1)).astimezone(clock.zone("Europe/Berlin"))

    page = words_of(
        act(
            refund,
            "record-offline",
            by="sofia",
            offline_ref="SEPA-77",
            paid_at=f"{moment:%Y-%m-%dT%H:%M}",
        )
    )

    assert "Recorded as paid by hand." in page and "Payment by hand SEPA-77" in page
    assert "refund.succeeded" in page and "1000 Cash at bank" in page
    assert "None: it is paid by hand, outside the provider." in page


def test_an_unknown_refund_shows_every_call_and_can_be_verified_before_its_turn() -> None:
    """RF-6, RF-17, F21, D14"""
    refund = refund_life.sent(refund_life.charged("standard"))
    lose(refund)

    page = page_of(refund)

    assert "Nobody knows yet whether the provider has it" in page
    assert "Whose turn The system: verifying at the provider" in page
    assert "Request and response of attempt 1" in page and "no answer timeout" in page
    assert "Verify now… standard/demo is asked by the refund's own key" in page
    assert "Cancel refund" not in page
    said = words_of(act(refund, "verify", by="amara"))
    assert "The provider is asked with the next call." in said
    assert "Verify now" not in page_of(refund, by="audrey")


def lose(refund: Refund) -> None:
    """The provider's answer never came."""
    now = clock.utc_now()
    outcome = CallOutcome(kind="unknown", started_at=now, finished_at=now, error_code="timeout")
    attempt = ProviderCall.objects.get(intent__subject_id=refund.public_id)
    call = refund_dispatch.RefundCall(refund_life.reload(refund), attempt)
    with transaction.atomic():
        refund_dispatch._record([(call, refund_dispatch.Answer(outcome))], now)
    assert reload(refund).state == "UNKNOWN"


def test_a_promise_that_failed_is_tried_again_or_ended_and_its_attempts_are_chained() -> None:
    """RF-16, D8, F3"""
    refund = failed(charge(10_000))
    page = page_of(refund)
    assert "Still owed" in page and "Whose turn Payments operations" in page
    assert "The customer is still owed 60.00 EUR: try again" in page

    asked = words_of(act(refund, "retry", by="amara", reason="a new card"))
    second = Refund.objects.get(retry_of=refund)

    assert "Asked for another attempt; others decide." in asked
    assert "Attempts at this promise" in asked
    for one in (refund, second):
        chained = text_of(browser("lena").get(f"/refunds/{one.public_id}/"))
        assert f"/refunds/{refund.public_id}/" in chained
        assert f"/refunds/{second.public_id}/" in chained
    assert "Another attempt took its place" in page_of(refund)


def test_the_end_of_a_promise_is_asked_for_with_evidence_and_decided_by_others() -> None:
    """D5, RF-16"""
    refund = failed(charge(10_000))

    page = words_of(
        act(
            refund,
            "end-promise",
            by="lena",
            outcome="lapsed",
            evidence="store credit 4711, mail of the customer",
            reason="made whole with store credit",
        )
    )

    assert "Asked for. Rule:" in page
    assert "the customer is no longer owed it" in page
    assert "Evidence store credit 4711, mail of the customer" in page
    assert "The charge now" in page


def test_the_page_of_a_refund_made_at_the_provider_says_so() -> None:
    """RF-12"""
    payment = refund_life.charged("standard")
    refund_life.outsider(payment).tell("succeeded")
    drain()
    refund = Refund.objects.get(source="provider")

    page = page_of(refund)

    assert "in the provider's own console" in page
    assert "Nobody decided it here: the provider, or somebody in its console, made it." in page
    assert "None from here: it was made at the provider." in page


def test_the_page_costs_the_same_however_many_refunds_the_charge_has() -> None:
    payment = charge(1_000_000)
    first = refunds.ask(payment, "1.00")
    refunds.ask(payment, "2.00")
    client, path = browser("lena"), f"/refunds/{first.public_id}/"
    few = queries(client, path)
    for number in range(8):
        refunds.ask(payment, f"{number + 3}.00")

    assert queries(client, path) == few <= 60


def test_my_work_counts_the_refunds_that_wait_for_people() -> None:
    """OB-8"""
    refunds.ask(charge(10_000), "60.00")
    failed(charge(10_000))

    home = words_of(browser("lena").get("/"))

    assert "Refunds to decide 1" in home and "Refunds still owed 1" in home
    assert "Refunds to send" not in home
    assert "Refunds to decide" not in words_of(browser("audrey").get("/"))
