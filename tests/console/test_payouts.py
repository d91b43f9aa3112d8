"""Payouts: the list by its filters, the CSV of the same rows, one payout with all around it."""

from __future__ import annotations

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payops.core.models import AuditEvent
from tests import builders, stories

HOSTILE = "<script>alert(1)</script>\"'"


def rows_of(answer) -> list[dict[str, str]]:
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def queries(client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as caught:
        assert client.get(path).status_code == 200
    return len(caught)


@pytest.fixture
def three(db):
    return [
        builders.requested("100.00", merchant_ref="A-1"),
        builders.requested("250.00", merchant_ref="A-2", reference="S-1002"),
        builders.requested("900.00", merchant_ref="B-1", provider="stripe"),
    ]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"A-1", "A-2", "B-1"}),
        ("state=AWAITING_APPROVAL", {"A-1", "A-2", "B-1"}),
        ("state=PAID", set()),
        ("provider=stripe/demo", {"B-1"}),
        ("beneficiary=casa+verde", {"A-2"}),
        ("beneficiary=S-1002", {"A-2"}),
        ("min=100.01&max=900", {"A-2", "B-1"}),
        ("q=a-", {"A-1", "A-2"}),
        ("held=1", set()),
        ("state=AWAITING_APPROVAL&min=200&q=A", {"A-2"}),
    ],
)
def test_filters_narrow_the_list_and_its_csv(as_, three, query, shown):
    page = as_("lena").get(f"/payouts/?{query}").content.decode()
    file = rows_of(as_("lena").get(f"/payouts/?{query}&format=csv"))

    for payout in three:
        assert (f">{payout.merchant_ref}</a>" in page) == (payout.merchant_ref in shown)
    assert {row["merchant_ref"] for row in file} == shown


def test_export_is_recorded_with_its_filters(as_, three):
    """AU-5: taking a list out is an act."""
    list(as_("audrey").get("/payouts/?q=A&format=csv").streaming_content)

    row = AuditEvent.objects.get(action="list.exported")
    assert (row.subject_id, row.login) == ("list:payouts", "audrey")
    assert row.evidence == {"filters": {"q": "A", "format": "csv"}}


def test_refused_filter_is_told(as_, three):
    page = as_("lena").get("/payouts/?min=lots").content.decode()

    assert "not an amount such as 1,200.00" in page
    assert ">A-1</a>" in page


def test_no_match_is_not_the_same_as_no_payouts(as_, three):
    assert "No payout fits these filters" in as_("lena").get("/payouts/?q=zzz").content.decode()


def test_list_costs_the_same_with_three_rows_and_with_thirty(as_, three):
    client = as_("lena")
    few = queries(client, "/payouts/")
    for number in range(27):
        builders.requested("10.00", merchant_ref=f"C-{number}")

    assert queries(client, "/payouts/") == few


def test_hostile_text_is_text_on_the_page_and_no_formula_in_the_csv(as_, db):
    builders.requested("10.00", merchant_ref=HOSTILE)
    builders.requested("10.00", merchant_ref="=cmd|' /C calc'!A0")

    page = as_("lena").get("/payouts/").content.decode()
    file = rows_of(as_("lena").get("/payouts/?format=csv"))

    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "'=cmd|' /C calc'!A0" in {row["merchant_ref"] for row in file}


@pytest.mark.django_db(transaction=True)
def test_page_of_a_failed_payout_says_what_is_wrong_and_shows_the_whole_evidence(as_):
    """Story s0_a as far as reading goes: failure after PAID, everything on one page."""
    payout = stories.paid_payout("12400.00", merchant_ref="P-10492")
    body = builders.standard_event(
        "payout.failed",
        builders.payout_object(
            payout, "failed", failure_code="account_closed", failure_message=HOSTILE
        ),
    )
    for _ in range(3):
        assert builders.post_standard(body) == 200
    builders.drain()
    client = as_("lena")

    page = client.get(f"/payouts/{payout.public_id}/").content.decode()

    assert "The provider reports that it failed after it was paid" in page
    assert "payments operations: decide the case" in page
    assert "12,400.00" in page
    assert HOSTILE not in page
    assert "1 open hold covers it" in page and "protective" in page
    assert "Marco Bianchi" in page and "Chen Wei" in page
    assert "no open hold covers the payout or its beneficiary" in page
    assert "Request and response of attempt 1" in page
    assert "payout.initiated" in page and "2100" in page
    assert "In transit → Paid" in page and "Paid → Exception" in page
    assert "/cases/cs_" in page
    assert payout.beneficiary.bank_masked in page
    assert queries(client, f"/payouts/{payout.public_id}/") <= 45


@pytest.mark.django_db
def test_payout_of_another_kind_of_id_is_not_found(as_):
    payout = builders.requested()

    answer = as_("lena").get(f"/payments/{payout.public_id}/")

    assert answer.status_code == 404
    assert "is a po id where a pa id is needed" in answer.content.decode()
