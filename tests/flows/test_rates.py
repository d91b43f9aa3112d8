"""What a file of rates would bring is told before, asked for as a whole, and known as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from payops.core import clock
from payops.core.models import Evidence, Rate
from payops.flows import rate_changes, rates
from payops.flows.governed import ChangeRefused, only_book
from payops.flows.rate_changes import NamedRate, RatesRefused
from payops.formats.rates import reader
from tests.builders import decide, drain
from tests.people import actor
from tests.rates import known_rate

pytestmark = pytest.mark.django_db(transaction=True)
MOMENT = datetime(2026, 3, 31, 14, 0, tzinfo=UTC)


def reading(text: str) -> reader.Reading:
    return reader.read(text, time_zone="Europe/Berlin", source="Bank")


def preview(text: str) -> rates.Preview:
    return rates.preview(reading=reading(text), now=clock.utc_now())


def ask(text: str, **change: Any) -> ApprovalRequest:
    values: dict[str, Any] = {
        "book": only_book(),
        "reading": reading(text),
        "content": text,
        "filename": "march.csv",
        "reason": "month end",
        "actor": actor("priya"),
        "now": clock.utc_now(),
    }
    return rates.propose(**{**values, **change})


def grant(approval: ApprovalRequest) -> None:
    decide(approval, "sofia")
    drain()


def test_each_rate_stands_beside_the_one_before_it_in_the_file_too() -> None:
    known_rate("CHF", "EUR", "1.0000", as_of=MOMENT - timedelta(days=30))

    told = preview("CHF,EUR,1.2000,2026-03-30\nCHF,EUR,1.0500,2026-03-29\nEUR,CHF,0.8,2026-03-31\n")

    assert [(row.line, row.shown_before, row.change, row.is_far) for row in told.rows] == [
        (1, "1.05", Decimal("14.3"), True),
        (2, "1", Decimal("5.0"), False),
        (3, "1", Decimal("-20.0"), True),  # told the other way round, by the stored one
    ]
    assert told.warning == (
        "CHF/EUR 1.2 is 14.3% above the last known 1.05;"
        " EUR/CHF 0.8 is 20.0% below the last known 1"
    )


def test_a_rate_from_the_future_is_rejected() -> None:
    ahead = (clock.utc_now() + timedelta(hours=1)).isoformat()

    told = preview(f"CHF,EUR,1.05,{ahead}\nCHF,EUR,1.05,2026-03-31\n")

    (reject,) = told.rejects
    assert (reject.line, "has not come yet" in reject.why) == (1, True)
    with pytest.raises(RatesRefused, match="1 of the lines cannot be taken, so none is asked for"):
        ask(f"CHF,EUR,1.05,{ahead}\nCHF,EUR,1.05,2026-03-31\n")
    assert ApprovalRequest.objects.count() == 0


def test_what_is_known_already_is_left_out_and_a_correction_is_not() -> None:
    grant(ask("CHF;EUR;1.05;2026-03-31\n"))
    both = "CHF;EUR;1.05;2026-03-31\nSEK;EUR;0.09;2026-03-31\n"

    assert [row.is_known for row in preview(both).rows] == [True, False]
    assert ask(both).facts["rates"] == ["SEK/EUR 0.0900000000 2026-03-30T22:00:00.000000Z Bank"]
    with pytest.raises(RatesRefused, match="all 1 rates are known already"):
        ask("CHF;EUR;1.05;2026-03-31\n")
    grant(ask("CHF;EUR;1.06;2026-03-31\n"))
    newest = Rate.objects.filter(base="CHF").order_by("-as_of", "-pk").first()
    assert newest is not None and newest.rate == Decimal("1.06")


def test_asked_for_twice_it_is_one_request_with_one_document() -> None:
    first, second = ask("CHF;EUR;1.05;2026-03-31\n"), ask("CHF;EUR;1.05;2026-03-31\n")
    other = ask("SEK;EUR;0.09;2026-03-31\n")

    assert first.pk == second.pk != other.pk
    assert Evidence.objects.filter(subject_id=first.public_id).count() == 1


def test_five_hundred_rates_are_brought_at_once_and_not_one_more() -> None:
    lines = [f"CHF;EUR;1.{n:04};2026-03-31T00:{n // 60:02}:{n % 60:02}\n" for n in range(501)]

    told = preview("".join(lines))
    assert [reject.why for reject in told.rejects] == [
        "501 rates are more than 500 at a time; bring fewer days"
    ]
    grant(ask("".join(lines[:500])))

    assert Rate.objects.filter(base="CHF").count() == 500


def test_far_rates_are_flagged_to_the_deciders_and_can_be_granted() -> None:
    known_rate("CHF", "EUR", "1.0000", as_of=MOMENT - timedelta(days=30))

    approval = ask("CHF;EUR;2.5;2026-03-31\n")

    assert approval.facts["warning"] == "CHF/EUR 2.5 is 150.0% above the last known 1"
    grant(approval)
    assert Rate.objects.get(base="CHF", approval_id=approval.public_id).rate == Decimal("2.5")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "1 to 500 rates"),
        ({"rates": []}, "1 to 500 rates"),
        ({"rates": "CHF"}, "1 to 500 rates"),
        ({"rates": ["CHF/EUR 1.05"]}, "does not name an exchange rate"),
        ({"rates": ["XXX/EUR 1.0500000000 2026-03-31T00:00:00.000000Z B"]}, "XXX is not a curr"),
        ({"rates": ["CHF/CHF 1.0500000000 2026-03-31T00:00:00.000000Z B"]}, "is no rate between"),
        ({"rates": ["CHF/EUR 0.0000000000 2026-03-31T00:00:00.000000Z B"]}, "is no rate between"),
        ({"rates": ["CHF/EUR 1.0500000000 2026-02-30T00:00:00.000000Z B"]}, "is no moment"),
        ({"rates": ["CHF/EUR 1.0500000000 2026-03-31T00:00:00.000000Z B"] * 2}, "named twice"),
    ],
)
def test_facts_that_name_no_rates_are_refused(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ChangeRefused, match=words):
        rate_changes.check(facts)


def test_the_name_of_a_rate_reads_back_as_the_rate() -> None:
    rate = NamedRate("KWD", "JPY", Decimal("489.1234567891"), MOMENT, "ECB, fixing of 14:15")

    assert rate_changes.named(rate.text) == rate
