"""The dispute screens: queue by deadline, one dispute with its money, people's acts (D9, OB-8)."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from payops.core.models import AuditEvent
from payops.payments.models import Dispute
from tests.builders import approve_all, drain
from tests.flows.dispute_tales import Tale

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


def told(*words: str, due_in_s: int = 5 * DAY, **more: Any) -> Tale:
    tale = Tale("stripe", due_at=int(time.time()) + due_in_s, **more)
    return tale.captured().happens(*words)


def address(tale: Tale, act: str = "") -> str:
    return f"/disputes/{tale.dispute.public_id}/{act}"


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


@pytest.fixture
def four() -> list[Tale]:
    return [
        told("opened", "withdrawn"),
        told("opened", due_in_s=DAY),
        told("opened", due_in_s=-DAY),
        told("opened", "withdrawn", "won", "returned"),
    ]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {0, 1, 2, 3}),
        ("state=live", {0, 1, 2}),
        ("state=WON", {3}),
        ("deadline=soon", {1}),
        ("deadline=over", {2}),
        ("deadline=open", {0, 1, 2}),
        ("provider=stripe/demo", {0, 1, 2, 3}),
        ("provider=adyen/demo", set()),
        ("twice=1", set()),
    ],
)
def test_filters_narrow_the_queue_and_its_csv(
    as_: Any, four: list[Tale], query: str, shown: set[int]
) -> None:
    page = as_("lena").get(f"/disputes/?{query}").content.decode()
    answer = as_("lena").get(f"/disputes/?{query}&format=csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    for place, tale in enumerate(four):
        assert (f">{tale.ref}</a>" in page) == (place in shown), place
    assert {row["provider_ref"] for row in rows} == {four[place].ref for place in shown}


def test_a_dispute_is_found_by_its_reference_its_charge_and_its_id(as_: Any) -> None:
    one, other = told("opened"), told("opened")
    for text_ in (one.ref, one.charge, one.dispute.public_id, one.payment.public_id):
        page = as_("lena").get(f"/disputes/?q={text_}").content.decode()
        assert f">{one.ref}</a>" in page and f">{other.ref}</a>" not in page
    found = as_("lena").get(f"/trace/?q={one.dispute.public_id}", follow=True)
    assert one.dispute.public_id in found.content.decode()


def test_the_page_shows_money_deadline_entries_and_raw_events(as_: Any) -> None:
    tale = told("opened", "withdrawn", fee=1_500)
    page = text(as_("lena").get(address(tale)))

    assert "Evidence is awaited" in page
    for words in ("At provider", "held on the seller", "of our fee at stake", "Dispute fee"):
        assert words in page
    for figure in ("100.00", "90.00", "10.00", "15.00"):
        assert figure in page
    assert "charge.dispute.funds_withdrawn" in page
    assert "dispute.funds_withdrawn" in page and "fee.charged" in page
    assert f"https://dashboard.stripe.com/test/disputes/{tale.ref}" in page
    assert "Open its case" in page


def test_evidence_that_was_sent_is_recorded_with_who_and_what(as_: Any) -> None:
    tale = told("opened", "withdrawn")
    answer = as_("amara").post(address(tale, "evidence-sent/"), {"reference": "submission 7781"})

    assert answer.status_code == 302
    dispute = tale.dispute
    assert (dispute.state, dispute.evidence_sent_at is not None) == ("UNDER_REVIEW", True)
    row = AuditEvent.objects.get(action="dispute.evidence_sent")
    assert (row.login, row.reason) == ("amara", "evidence sent to the provider: submission 7781")


def test_evidence_is_refused_once_it_is_decided(as_: Any) -> None:
    tale = told("opened", "withdrawn", "lost")
    answer = as_("amara").post(address(tale, "evidence-sent/"), {"reference": "late"})

    assert answer.status_code == 422
    assert f"dispute {tale.ref} is LOST; evidence is sent while it is open" in text(answer)


def test_who_bears_it_is_set_before_the_money_moves_and_never_after(as_: Any) -> None:
    tale = told("opened")
    assert tale.balances()["2310"] == -9_000
    said = {"borne_by": "platform", "reason": "our own mistake"}
    assert as_("lena").post(address(tale, "bearer/"), said).status_code == 302

    assert tale.balances() == {"1100": 10_000, "2000": -9_000, "4000": -1_000}
    assert AuditEvent.objects.get(action="dispute.bearer_set").login == "lena"
    tale.happens("withdrawn")
    assert tale.balances() == {
        "1300": 10_000,
        "1390": -10_000,
        "2000": -9_000,
        "4000": -1_000,
        "5100": 10_000,
    }
    again = as_("lena").post(address(tale, "bearer/"), {**said, "borne_by": "seller"})
    assert again.status_code == 422
    assert "who bears it is booked" in text(again)


def test_a_loss_is_accepted_by_others_and_then_booked(as_: Any) -> None:
    """D5: the asker is not the decider; the hold is used up by the granted request."""
    tale = told("opened", "withdrawn")
    answer = as_("lena").post(address(tale, "accept-loss/"), {"reason": "the parcel was lost"})
    assert answer.status_code == 302
    asked = ApprovalRequest.objects.get(kind="dispute_loss")
    assert tale.dispute.state == "OPEN"
    page = text(as_("marco").get(f"/approvals/{asked.public_id}/"))
    assert "Accept the loss of dispute" in page and "dispute.lost" in page

    approve_all(asked)
    drain()

    asked.refresh_from_db()
    assert asked.executed_at is not None
    assert (tale.dispute.state, tale.balances()) == ("LOST", {})


def test_a_dispute_that_moved_on_makes_the_accepted_loss_void(as_: Any) -> None:
    tale = told("opened", "withdrawn")
    as_("lena").post(address(tale, "accept-loss/"), {"reason": "the parcel was lost"})
    asked = ApprovalRequest.objects.get(kind="dispute_loss")
    tale.happens("won", "returned")

    approve_all(asked)
    drain()

    asked.refresh_from_db()
    assert (asked.state, asked.executed_at) == ("VOID", None)
    assert tale.dispute.state == "WON"


@pytest.mark.parametrize(
    ("who", "act", "status"),
    [
        ("audrey", "evidence-sent/", 403),
        ("amara", "evidence-sent/", 200),
        ("audrey", "accept-loss/", 403),
        ("sofia", "bearer/", 403),
        ("lena", "nothing-such/", 404),
    ],
)
def test_acts_need_their_permission(as_: Any, who: str, act: str, status: int) -> None:
    assert as_(who).get(address(told("opened"), act)).status_code == status


def test_an_empty_queue_says_what_comes_here(as_: Any) -> None:
    assert "No disputes" in text(as_("audrey").get("/disputes/"))
    assert not Dispute.objects.exists()
