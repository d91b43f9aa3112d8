"""What a person adds to the textbook month: an opening taken over and a write-off, four eyes each.

1000 cash at bank     811.00 + 1,000.00 opening                              =  1,811.00
1910 unidentified       9.00 - 9.00 written off                              =      0.00
3900 opening          1,000.00                                               =  1,000.00 C
5200 write-offs         9.00                                                 =      9.00
result                - 320.00 - 9.00                                        =  - 329.00
assets                2,111.00 + 1,000.00 - 9.00                             =  3,102.00
equity                1,000.00 - 329.00                                      =    671.00
cash flow             1,211.00 + 1,000.00 from the owners                    =  2,211.00
"""

from __future__ import annotations

import pytest
from django.db.models import Sum

from ledger import manual, selectors
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.manual import Line
from ledger.models import JournalLine
from tests import journals
from tests.golden import month

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_opening_and_a_write_off_join_the_month_under_approval() -> None:
    """D5, RP-1: asked for by one person, granted by another, then in the trial balance."""
    book = journals.meridian()
    month.post_month(book)
    opening = (Line("1000", 100_000, "EUR", month.BANK), Line("3900", -100_000, "EUR"))
    write_off = (Line("5200", 900, "EUR"), Line("1910", -900, "EUR", "unknown payee"))

    journals.posted(lines=opening, cash_flow_tag="financing", batch="statement 2026-03")
    journals.posted(event_class=manual.WRITE_OFF, lines=write_off, batch="statement 2026-03")

    found: dict[str, int] = {}
    for row in selectors.trial_balance(book=book):
        found[row.account] = found.get(row.account, 0) + row.reporting_minor
    expected = {**month.EXPECTED_TRIAL, "1000": 181_100, "3900": -100_000, "5200": 900}
    del expected["1910"]
    assert {code: minor for code, minor in found.items() if minor} == expected

    def total(kind: str) -> int:
        return sum(minor for code, minor in expected.items() if code[0] == kind)

    assert total("1") == 310_200
    assert total("4") + total("5") == 32_900
    assert -total("2") + -total("3") - 32_900 == 310_200
    lines = JournalLine.objects.filter(book=book, account__code__in=CASH_ACCOUNTS)
    cash = lines.aggregate(minor=Sum("reporting_minor"))["minor"]
    assert cash == month.EXPECTED_CASH + 100_000 == 221_100
