"""The refund policy on the screens: read by everybody, changed after a look at the last month."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.utils.html import strip_tags

from approvals.models import ApprovalRequest
from payops.payments import refund_table
from tests import refunds
from tests.builders import decide, drain
from tests.console.work import browser, text_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/settings/refund-policy/"
CHANGE = f"{URL}change/"


def words_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, text_of(answer)
    return unescape(" ".join(strip_tags(text_of(answer).replace("<", " <")).split()))


def form(**changes: Any) -> dict[str, Any]:
    """What the form posts when nothing is typed but a reason."""
    rules = refund_table.seeded(currency="EUR")
    said: dict[str, Any] = {
        "reason": "fewer small decisions",
        "auto_max": "50.00",
        "send_by_person_above": "5000.00",
        "requires_settled": "no",
        "never_auto_channels": ["bulk"],
        "seller_disputes_min": "5",
        "twin_minutes": "10",
    }
    rows = sorted(rules["reasons"].values(), key=lambda row: row["label"])
    for place, row in enumerate(rows):
        said |= {
            f"r{place}_label": row["label"],
            f"r{place}_high_risk": row["high_risk"],
            f"r{place}_required": " ".join(row["required"]),
            f"r{place}_wanted": " ".join(row["wanted"]),
        }
    return {**said, **changes}


def test_the_table_is_shown_in_plain_words_to_everybody_who_reads_policies() -> None:
    """AP-7, F23"""
    page = words_of(browser("priya").get(URL))

    assert "Version 1 Active" in page
    assert "A rule grants alone up to 50.00 EUR" in page
    assert "A person sends what is granted Above 5,000.00 EUR" in page
    assert "Item not received item_not_received With prior disputes Order reference" in page
    assert "Version 1 20" in page and "seeded with the book" in page
    assert "Propose a change" not in page
    assert browser("priya").get(CHANGE).status_code == 403
    assert browser("priya").get(f"{URL}?version=7").status_code == 404


def test_a_change_is_looked_at_over_the_last_month_and_then_asked_for() -> None:
    """AP-9, D2: what it would have decided, before anybody is asked."""
    small, large = refunds.charge(10_000), refunds.charge(10_000)
    refunds.ask(small, "20.00")
    asked = refunds.ask(large, "80.00")

    look = words_of(browser("marco").post(CHANGE, form(auto_max="100.00")))

    assert "A rule grants alone up to Changed 50.00 EUR 100.00 EUR" in look
    assert "2 requests of the last 30 days: 1 would have been decided otherwise." in look
    assert "Granted by rule 1 2 Put to people 1 0" in look
    assert "80.00 EUR Put to people Granted by rule" in look
    assert ApprovalRequest.objects.filter(kind="policy_change").count() == 0

    typed = form(auto_max="100.00", step="ask")
    page = words_of(browser("marco").post(CHANGE, typed, follow=True))

    approval = ApprovalRequest.objects.get(kind="policy_change")
    assert approval.facts["rules"]["auto_max_minor"] == 10_000
    assert "Proposed refund policy" in page and "1 would have been decided otherwise" in page
    assert "Change proposed New refund policy" in words_of(browser("priya").get(URL))
    for username in ("ingrid", "sofia"):
        decide(approval, username)
    drain()
    after = words_of(browser("priya").get(URL))
    assert "Version 2 Active" in after and "up to 100.00 EUR" in after
    before = words_of(browser("priya").get(f"{URL}?version=1"))
    assert "Version 1 Not active now" in before and "up to 50.00 EUR" in before
    kept = words_of(browser("priya").get(f"/refunds/{asked.public_id}/"))
    assert "Put to people when it was asked for refund.policy v1" in kept


def test_a_reason_is_added_and_another_taken_away() -> None:
    """RF-14"""
    typed = form(
        r0_label="",
        r9_code="late_delivery",
        r9_label="Delivered late",
        r9_high_risk="always",
        r9_required="carrier_status, promise",
    )

    look = words_of(browser("marco").post(CHANGE, typed))

    assert "Reason: Charged twice Removed" in look
    assert "Reason: Delivered late Added Not there Delivered late; high risk always" in look
    assert "refused without carrier status, promise" in look


def test_what_was_typed_can_be_changed_further_before_it_is_asked_for() -> None:
    answer = browser("marco").post(CHANGE, form(auto_max="75.00", step="edit"))

    page = text_of(answer)
    assert answer.status_code == 200
    assert 'value="75.00"' in page and "Show what would change" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Nothing differs from the active table; change a rule first."),
        ({"auto_max": "5.000,00"}, "is not read as an amount"),
        ({"auto_max": ""}, "This field is required."),
        ({"twin_minutes": "2000"}, "less than or equal to 1440"),
        ({"never_auto_channels": ["fax"]}, "fax is not one of the available choices"),
        ({"r9_label": "Late"}, "Give the reason a code; systems ask by it."),
        ({"r9_code": "late"}, "Name the reason; people choose it by its name."),
        ({"r9_code": "Late!", "r9_label": "Late"}, "small letters, digits and underscores fit"),
        (
            {"r0_wanted": "other_payment", "r0_required": "other_payment"},
            "both requires and wants",
        ),
        ({"reason": ""}, "Write why"),
    ],
)
@pytest.mark.parametrize("step", ["", "ask"])
def test_what_cannot_be_read_is_refused_on_the_form(
    changes: dict[str, Any], words: str, step: str
) -> None:
    answer = browser("marco").post(CHANGE, form(**changes) | {"step": step})

    assert words in words_of(answer, 422)
    assert ApprovalRequest.objects.count() == 0
