"""An exchange rate comes in through its granted import alone (D5, LJ-10).

Through the flow, through the ORM and by SQL as the app role; a second login is the same person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from approvals import services
from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.core import clock
from payops.core.models import AuditEvent, Rate
from payops.flows import governance, rates
from payops.flows.rate_changes import NamedRate
from payops.formats.rates import reader
from tests.builders import decide, drain
from tests.guards.approval_attacks import refused, run
from tests.people import actor
from tests.rates import known_rate

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "comes in only through its granted import"
MOMENT = datetime(2026, 3, 31, 14, 0, tzinfo=UTC)
FILE = "CHF;EUR;1.0512;2026-03-31T14:00:00Z;Bank\nSEK;EUR;0.0893;2026-03-31T14:00:00Z;Bank\n"


def ask(text: str = FILE, by: str = "priya") -> ApprovalRequest:
    return rates.propose(
        book=governance.only_book(),
        reading=reader.read(text, time_zone="Europe/Berlin", source="file"),
        content=text,
        filename="march.csv",
        reason="month end",
        actor=actor(by),
        now=clock.utc_now(),
    )


def granted() -> ApprovalRequest:
    """By treasury, and put in force."""
    approval = ask()
    decide(approval, "sofia")
    drain()
    approval.refresh_from_db()
    return approval


def insert(**change: Any) -> Rate:
    values: dict[str, Any] = {
        "base": "CHF",
        "quote": "EUR",
        "rate": Decimal("1.0512"),
        "source": "Bank",
        "as_of": MOMENT,
        **change,
    }
    return Rate.objects.create(**values)


def brought() -> list[tuple[str, Decimal]]:
    rows = Rate.objects.exclude(approval_id="").order_by("base")
    return [(row.base, row.rate) for row in rows]


def test_rates_are_known_once_treasury_approved_them_and_leave_a_trail() -> None:
    approval = ask()
    assert (brought(), approval.seats) == ([], ["treasury"])
    assert approval.facts["rates"] == [
        "CHF/EUR 1.0512000000 2026-03-31T14:00:00.000000Z Bank",
        "SEK/EUR 0.0893000000 2026-03-31T14:00:00.000000Z Bank",
    ]

    decide(approval, "sofia")
    drain()

    assert brought() == [("CHF", Decimal("1.0512")), ("SEK", Decimal("0.0893"))]
    assert {row.approval_id for row in Rate.objects.exclude(approval_id="")} == {approval.public_id}
    trail = AuditEvent.objects.get(action="rates.brought")
    assert (trail.subject_id, trail.reason) == (approval.public_id, "month end")
    assert trail.evidence["pairs"] == ["CHF/EUR", "SEK/EUR"]


def test_a_rejected_import_makes_nothing_known() -> None:
    approval = ask()

    decide(approval, "sofia", "reject")
    drain()

    assert brought() == []


def test_the_one_who_brings_rates_never_decides_about_them() -> None:
    """AP-4: treasury may bring and decide, but the same person not both."""
    approval = ask(by="sofia")

    with pytest.raises(ApprovalRefused):
        decide(approval, "sofia")
    decide(approval, "henrik")
    drain()

    assert len(brought()) == 2


def test_who_may_not_bring_rates_cannot_ask_past_the_screen() -> None:
    """SE-4"""
    for who in ("lena", "audrey", "eli", "chen"):
        with pytest.raises(governance.ChangeRefused, match="may not manage_rates"):
            ask(by=who)
    assert ApprovalRequest.objects.count() == 0


@pytest.mark.parametrize("approval_id", ["", "ap_" + "0" * 32, "nonsense"])
def test_the_app_role_inserts_no_rate_by_itself(approval_id: str) -> None:
    with refused(REFUSED):
        insert(approval_id=approval_id)
    with refused(REFUSED):
        run(
            "INSERT INTO core_rate (id, created_at, base, quote, rate, source, as_of, approval_id)"
            " VALUES (gen_random_uuid(), now(), 'CHF', 'EUR', 1.0512, 'Bank', %s, %s)",
            MOMENT,
            approval_id,
        )
    assert brought() == []


def test_an_import_that_is_asked_for_is_not_granted() -> None:
    approval = ask()
    with refused(REFUSED):
        insert(approval_id=approval.public_id)

    decide(approval, "sofia")
    with refused(REFUSED):  # granted, but its execution has not begun
        insert(approval_id=approval.public_id)
    assert brought() == []


@pytest.mark.parametrize(
    "change",
    [
        {"base": "NOK"},
        {"quote": "USD"},
        {"rate": Decimal("1.0513")},
        {"rate": Decimal("1.05120001")},
        {"source": "Bank "},
        {"source": "ECB"},
        {"as_of": datetime(2026, 3, 31, 14, 0, 1, tzinfo=UTC)},
        {"as_of": datetime(2026, 3, 30, 14, 0, tzinfo=UTC)},
        {},
    ],
)
def test_a_granted_import_lets_in_no_other_row_and_none_twice(change: dict[str, Any]) -> None:
    approval = granted()

    with refused(REFUSED):
        insert(approval_id=approval.public_id, **change)

    assert len(brought()) == 2


def test_one_statement_cannot_bring_a_named_row_twice() -> None:
    approval = ask("CHF;EUR;1.0512;2026-03-31T14:00:00Z;Bank\n")
    decide(approval, "sofia")
    approval.refresh_from_db()
    services_now = clock.utc_now()

    with refused(REFUSED):
        services.begin_execution(
            request_id=approval.pk,
            content_hash=approval.content_hash,
            now=services_now,
            actor=governance.ACTOR,
        )
        run(
            "INSERT INTO core_rate (id, created_at, base, quote, rate, source, as_of, approval_id)"
            " SELECT gen_random_uuid(), now(), 'CHF', 'EUR', 1.0512, 'Bank', %s, %s"
            " FROM generate_series(1, 2)",
            MOMENT,
            approval.public_id,
        )
    assert brought() == []


def test_an_approval_of_another_kind_is_no_import() -> None:
    wish = governance.propose(
        kind="person_create",
        facts={"name": "Nils", "email": "", "rates": [_named().text]},
        title="New person",
        reason="joins",
        actor=actor("ada"),
        now=clock.utc_now(),
    )
    decide(wish, "chen")
    drain()

    with refused(REFUSED):
        insert(approval_id=wish.public_id)


def test_a_known_rate_is_never_changed_or_taken_away() -> None:
    known_rate("CHF", "EUR", "1.0512", as_of=MOMENT)

    with refused("append-only|permission denied"):
        run("UPDATE core_rate SET rate = 2 WHERE base = 'CHF'")
    with refused("append-only|permission denied"):
        run("DELETE FROM core_rate WHERE base = 'CHF'")
    with refused("append-only|permission denied"):
        run("TRUNCATE core_rate")


def _named() -> NamedRate:
    return NamedRate("CHF", "EUR", Decimal("1.0512"), MOMENT, "Bank")
