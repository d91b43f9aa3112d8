"""The form that asks for a refund: live eligibility, one request however often it is sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils.html import strip_tags

from payops.core.models import AuditEvent
from payops.payments.models import Payment, Refund
from tests import refunds
from tests.console.work import HOSTILE, browser, shows, text_of
from tests.flows.test_refund_request import dispute
from tests.refund_asks import counters

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/refunds/new/"


def page_of(payment: Payment, *, by: str = "amara") -> Any:
    return browser(by).get(f"{URL}?payment={payment.public_id}")


def typed(payment: Payment, **changes: str) -> dict[str, str]:
    """What the form posts for 30.00 with everything that its reason asks for."""
    shown = text_of(page_of(payment))
    key = re.search(r'name="request_key" value="(console:[0-9a-f]{32})"', shown)
    assert key is not None
    return {
        "payment": payment.public_id,
        "request_key": key[1],
        "how": "other",
        "amount": "30.00",
        "reason_code": "order_canceled",
        "evidence_order_reference": "ORDER-1",
        "note": "the customer canceled",
        **changes,
    }


def send(said: dict[str, str], *, by: str = "amara") -> Any:
    return browser(by).post(URL, said)


def follow(answer: Any) -> str:
    """Where the form led to, as the same browser shows it."""
    assert answer.status_code == 302, text_of(answer)
    return words_of(answer.client.get(answer.headers["Location"]))


def words_of(answer: Any) -> str:
    return " ".join(strip_tags(text_of(answer).replace("<", " <")).split())


def test_the_form_begins_with_what_is_left_and_says_nothing_it_does_not_know() -> None:
    payment = refunds.charge(10_000)
    refunds.ask(payment, "20.00")

    page = words_of(page_of(payment))

    assert "Of 100.00 EUR captured" in page
    assert "Reserved 20.00 EUR This refund 80.00 EUR Left 0.00 EUR" in page
    assert "The rest, 80.00 EUR" in page and "All of it" not in page
    assert "Choose the amount and the reason" in page
    assert "Refunds of this charge 20.00 EUR Approved Amara Okafor" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Goes out at once by rule refund.policy v1 30.00 EUR leaves as soon as you ask."),
        ({"amount": "50.01"}, "Needs: Payments operations lead 50.01 EUR is above 50.00 EUR"),
        (
            {"amount": "100.01"},
            "Would be refused 100.01 EUR asked, 100.00 EUR left of 100.00 EUR captured "
            "(0.00 refunded, 0.00 reserved)",
        ),
        ({"evidence_order_reference": ""}, "Would be refused order reference is missing"),
        ({"reason_code": "requested_by_customer"}, "without customer message the evidence is not"),
        ({"offline": "on"}, "Needs: Finance manager people decide about a refund that is paid by"),
        ({"goodwill": "on"}, "people decide about a gift of the platform"),
    ],
)
def test_what_asking_would_come_to_is_said_in_words_before_anybody_asks(
    changes: dict[str, str], words: str
) -> None:
    """RF-3, RF-18, AP-7, AP-8: with figures, and without a row."""
    payment = refunds.charge(10_000)

    answer = send(typed(payment, **changes) | {"step": "check"})

    assert answer.status_code == 200
    said = words_of(answer)
    assert words.casefold() in said.casefold(), said
    assert Refund.objects.count() == 0


def test_looking_complains_about_nothing_that_is_not_typed_yet() -> None:
    payment = refunds.charge(10_000)

    answer = send(
        typed(payment, reason_code="item_returned", amount="") | {"step": "check", "confirm": ""}
    )

    assert answer.status_code == 200
    assert "Not done" not in words_of(answer)
    assert 'name="evidence_return_tracking"' in text_of(answer)
    assert 'name="evidence_order_reference"' not in text_of(answer)


def test_a_dispute_that_blocks_is_named_with_what_to_do_instead() -> None:
    """D9, RF-15: a refund would pay the customer twice."""
    payment = refunds.charge(10_000)
    stands = dispute(payment)

    look = words_of(send(typed(payment) | {"step": "check"}))
    answer = send(typed(payment))

    words = f"the dispute {stands.public_id} blocks it: the customer would be paid twice"
    assert "Would be refused" in look and words in look
    shown = follow(answer)
    assert f"Refused: {words}" in shown and "Refused: nothing was sent" in shown
    assert Refund.objects.get().state == "REFUSED"
    assert counters(payment) == (10_000, 0, 0)


def test_the_same_page_sent_twice_is_one_refund_with_its_live_state() -> None:
    """RF-2, RF-11: the key was made with the page."""
    payment = refunds.charge(10_000)
    said = typed(payment)

    first, second = send(said), send(said)

    refund = Refund.objects.get()
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["Location"] == f"/refunds/{refund.public_id}/"
    assert "This request was made already: this is its refund, as it is now." in follow(second)
    assert AuditEvent.objects.filter(action="refund.repeated").count() == 1
    assert counters(payment) == (10_000, 3_000, 0)


def test_the_whole_rest_sent_twice_means_the_amount_that_the_page_showed() -> None:
    """RF-11: the second time nothing is left, and it is the same request all the same."""
    payment = refunds.charge(4_000)
    said = typed(payment, how="rest-4000", amount="")

    first, second = send(said), send(said)

    assert first.headers["Location"] == second.headers["Location"]
    assert Refund.objects.get().amount_minor == 4_000
    page = words_of(page_of(payment))
    assert "Nothing is left to refund" in page


def test_a_rest_that_shrank_meanwhile_is_refused_with_both_figures() -> None:
    """RF-10: what was seen is what is asked for, never a silent other amount."""
    payment = refunds.charge(10_000)
    said = typed(payment, how="rest-10000", amount="")
    refunds.ask(payment, "70.00")

    shown = follow(send(said))

    assert "100.00 EUR asked, 30.00 EUR left of 100.00 EUR captured" in shown
    assert counters(payment) == (10_000, 7_000, 0)


def test_the_agent_who_asks_again_from_a_fresh_page_sees_the_refund_of_before() -> None:
    """RF-11, s1_b: the second page has a key of its own, the request is the same."""
    payment = refunds.charge(10_000)
    first = send(typed(payment))

    second = send(typed(payment))

    assert second.headers["Location"] == first.headers["Location"]
    assert "Asked for a moment ago already: this is that refund." in follow(second)
    assert Refund.objects.count() == 1


def test_another_refund_of_the_same_amount_is_asked_for_on_purpose_and_people_decide() -> None:
    payment = refunds.charge(10_000)
    refunds.ask(payment, "30.00")

    answer = send(typed(payment, another="1"))

    follow(answer)
    made = Refund.objects.latest("created_at")
    assert (Refund.objects.count(), made.state) == (2, "AWAITING_APPROVAL")
    warned = words_of(browser("amara").get(f"/refunds/{made.public_id}/"))
    assert "asks for the same amount and reason within 10 minutes" in warned


def test_above_the_limit_of_the_book_the_amount_is_typed_once_more() -> None:
    payment = refunds.charge(2_000_000)
    said = typed(payment, how="rest-2000000", amount="")

    look = words_of(send(said | {"step": "check"}))
    missing, wrong = send(said), send(said | {"confirm": "2000.00"})

    assert "Type 20000.00 to ask for 20,000.00 EUR" in look
    for answer in (missing, wrong):
        assert answer.status_code == 422
        assert shows(answer, "Type 20000.00 to confirm a refund of 20,000.00 EUR.")
    assert Refund.objects.count() == 0
    follow(send(said | {"confirm": "20000.00"}))
    assert Refund.objects.get().amount_minor == 2_000_000


def test_a_button_that_said_another_amount_asks_for_nothing_and_says_the_right_one() -> None:
    payment = refunds.charge(10_000)

    answer = send(typed(payment, shown="10000"))

    assert answer.status_code == 422
    assert shows(answer, "The button said 100.00 EUR and 30.00 EUR is typed; ask once more.")
    assert "Refund 30.00 EUR now" in words_of(answer)
    assert 'name="shown" value="3000"' in text_of(answer)
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": ""}, "Write the amount, or choose the whole rest."),
        ({"amount": "12,50"}, "is not read as an amount"),
        ({"amount": "0.00"}, "A refund gives back more than nothing"),
        ({"amount": "1.005"}, "more than 2 decimals"),
        ({"how": "everything"}, "Enter a valid value."),
        ({"how": "rest-10000"}, "30.00 is typed and the whole rest is chosen"),
        ({"reason_code": ""}, "Choose the reason of the refund."),
        ({"reason_code": "boredom"}, "boredom is not one of the available choices"),
        ({"evidence_order_reference": " "}, "This reason needs it: order reference."),
        ({"ticket_ref": "INC001"}, "Say which system the ticket is in."),
        ({"ticket_system": "jira"}, "number, or choose no ticket."),
        ({"note": "x" * 401}, "at most 400 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_on_the_form_and_kept_as_typed(
    changes: dict[str, str], words: str
) -> None:
    payment = refunds.charge(10_000)

    answer = send(typed(payment, **changes))

    assert answer.status_code == 422
    assert shows(answer, words)
    assert Refund.objects.count() == 0


def test_the_ticket_and_the_note_are_kept_as_text() -> None:
    """RF-8: the page links what was asked to the ticket it came from."""
    payment = refunds.charge(10_000)

    answer = send(typed(payment, note=HOSTILE, ticket_system="servicenow", ticket_ref="INC001"))

    page = text_of(browser("amara").get(answer.headers["Location"]))
    assert "<script>" not in page and "\u202e" not in page
    assert "in the console, ServiceNow INC001" in page


@pytest.mark.parametrize("username", ["audrey", "chen", "eli", "sofia", "marco", "ada"])
def test_whoever_may_not_ask_for_refunds_has_no_form_and_no_button(username: str) -> None:
    """SE-4"""
    payment = refunds.charge(10_000)

    answer = page_of(payment, by=username)

    assert answer.status_code == 403
    assert "This needs the permission request_refund: ask for refunds." in text_of(answer)
    charge = browser(username).get(f"/payments/{payment.public_id}/")
    assert "/refunds/new/" not in text_of(charge)


def test_without_a_charge_the_form_leads_to_the_charges() -> None:
    answer = browser("amara").get(URL)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/payments/?state=CAPTURED")
    assert browser("amara").get(f"{URL}?payment=po_{'0' * 32}").status_code == 404
    assert browser("amara").get(f"{URL}?payment=pa_{'0' * 32}").status_code == 404
