"""Filters from the URL: understood or named as not understood, never silently ignored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.http import QueryDict

from payops.console.filters import Control, amount_within, read
from payops.core.models import Book
from payops.payments.models import Payout
from tests import builders

CONTROLS = [
    Control("state", "State", "select", [("", "Any"), ("PAID", "Paid")]),
    Control("min", "From", "amount"),
    Control("day", "Day", "date"),
    Control("q", "Text"),
    Control("held", "On hold", "check"),
]


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("state=PAID&min=1,200.50&day=2026-03-31&q=x", 0),
        ("state=NOPE", 1),
        ("state=paid", 1),
        ("held=1", 0),
        ("held=0", 1),
        ("held=no", 1),
        ("min=abc", 1),
        ("min=NaN", 1),
        ("min=Infinity", 1),
        ("min=1e99", 1),
        ("day=2026-13-01", 1),
        ("day=0001-01-01", 1),
        ("q=%00%27;--", 0),
    ],
)
def test_what_cannot_be_understood_is_told_and_filters_nothing(query, refused):
    found = read(QueryDict(query), CONTROLS)

    assert len(found.refused) == refused
    if refused:
        assert not found.any_set
        assert all("it filters nothing" in words for words in found.refused)


def test_values_are_typed():
    found = read(QueryDict("min=1,200.50&q=%20a%00b%20"), CONTROLS)

    assert found.amount("min") == Decimal("1200.50")
    assert found["q"] == "ab"
    assert found.day("day") is None


@pytest.mark.django_db
def test_amounts_are_compared_in_the_major_units_of_each_currency():
    """D17: 5,000 JPY are 5000 minor units, 5,000.00 EUR are 500000."""
    for amount, currency, seller in (("5000", "JPY", "S-1007"), ("49.99", "EUR", "S-1001")):
        builders.requested(amount, currency=currency, reference=seller)
    book = Book.objects.get(code="meridian")

    def found(least: str | None, most: str | None) -> set[str]:
        bounds = [None if text is None else Decimal(text) for text in (least, most)]
        rows = Payout.objects.filter(amount_within("amount_minor", *bounds), book=book)
        return set(rows.values_list("currency", flat=True))

    assert found("50", None) == {"JPY"}
    assert found("49.99", "49.99") == {"EUR"}
    assert found("49.991", None) == {"JPY"}
    assert found(None, "4999") == {"EUR"}
    assert found("5000", "5000") == {"JPY"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("who", "path", "words"),
    [
        ("eli", "/inbox/?state=nope", "“nope” is none of the choices of “State”"),
        ("lena", "/cases/?overdue=x", "“x” is neither 1 nor nothing for “Overdue”"),
        ("amara", "/payouts/?state=nope", "“nope” is none of the choices of “State”"),
        ("marco", "/approvals/?show=nope", "“nope” is none of the lists of approvals"),
    ],
)
def test_a_value_nobody_knows_is_told_on_the_page_and_never_exported(as_, who, path, words):
    """A file cannot say that a filter was not understood, so the page is shown in its place."""
    for address in (path, path + "&format=csv"):
        answer = as_(who).get(address)

        assert answer.headers["Content-Type"].startswith("text/html")
        assert words in answer.content.decode()
