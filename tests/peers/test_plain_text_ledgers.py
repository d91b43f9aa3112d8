"""hledger and beancount read our export and agree with our trial balance to the minor unit (LJ-19).

They are programs of other authors and are never imported. Each is skipped with a printed line
where it is not installed: `PAYOPS_HLEDGER`, `PAYOPS_BEAN_CHECK`, or on the path.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ledger import selectors
from ledger.exporting import DETAILED, SUMMARISED
from payops.core import clock
from payops.core.models import Book
from payops.flows import export_mapping
from payops.formats.journals.registry import TARGETS
from tests.flows.exporting import (
    FIVE,
    file_of,
    granted,
    made,
    meridian,
    posted,
    rules_of,
)
from tests.golden import month
from tests.ledger.scene import make_book
from tests.peers import plain_text
from tests.peers.plain_text import Balances

pytestmark = pytest.mark.django_db(transaction=True)
RANGE = {"from_on": date(2026, 3, 1), "to_on": date(2026, 4, 30)}
PROGRAMS = {"hledger": plain_text.hledger, "beancount": plain_text.bean_check}
READ = {"hledger": plain_text.hledger_balances, "beancount": plain_text.beancount_balances}


def program(target: str) -> str:
    found = PROGRAMS[target]()
    if reason := plain_text.skipped(found):
        pytest.skip(reason)
    return found


def ours(book: Book, target: str, *, parties: bool = True, reporting: bool = False) -> Balances:
    """Our trial balance under the names the mapping gives: account, sub-account, currency."""
    mapping = export_mapping.active(book, TARGETS[target], clock.utc_now())
    balances: Balances = {}
    for row in selectors.trial_balance(book=book):
        name = mapping.accounts[row.account]
        if row.party and parties:
            name = f"{name}:{TARGETS[target].usual_party(row.party)}"
        currency = book.reporting_currency if reporting else row.currency
        minor = row.reporting_minor if reporting else row.balance_minor
        balances[name, currency] = balances.get((name, currency), 0) + minor
    return {place: minor for place, minor in balances.items() if minor}


def theirs(book: Book, target: str, mode: str, directory: Path) -> Balances:
    batch = made(target, mode, book=book, **RANGE)
    file = directory / f"book.{TARGETS[target].extension}"
    file.write_bytes(file_of(batch))
    return READ[target](program(target), file)


@pytest.mark.parametrize("mode", [DETAILED, SUMMARISED])
@pytest.mark.parametrize("target", ["hledger", "beancount"])
def test_the_textbook_month_agrees_account_by_account(
    target: str, mode: str, tmp_path: Path
) -> None:
    program(target)
    book = month.new_book()
    month.post_month(book)

    balances = theirs(book, target, mode, tmp_path)

    assert balances == ours(book, target, parties=mode == DETAILED)
    for currency, figures in (("EUR", month.EXPECTED_EUR), ("USD", month.EXPECTED_USD)):
        assert by_code(balances, currency) == figures


@pytest.mark.parametrize("target", ["hledger", "beancount"])
def test_the_textbook_month_in_reporting_amounts_is_the_hand_made_trial_balance(
    target: str, tmp_path: Path
) -> None:
    """A revaluation moves the reporting currency alone and is in no other file."""
    program(target)
    book = meridian()
    month.post_month(book)
    granted(target, rules_of(target, settings={"amounts": "reporting"}))

    balances = theirs(book, target, DETAILED, tmp_path)

    assert balances == ours(book, target, reporting=True)
    assert by_code(balances, "EUR") == month.EXPECTED_TRIAL


@pytest.mark.parametrize("target", ["hledger", "beancount"])
def test_a_book_of_five_currencies_agrees_to_the_minor_unit(target: str, tmp_path: Path) -> None:
    """JPY has no decimals, KWD three; both are written as they are."""
    program(target)
    book = make_book()
    for place, currency in enumerate(FIVE):
        posted(book, 2, currency=currency, gross=1_000_003 * (place + 1))

    balances = theirs(book, target, DETAILED, tmp_path)

    assert balances == ours(book, target)
    assert {currency for _, currency in balances} == set(FIVE)
    assert sum(minor for (_, currency), minor in balances.items() if currency == "KWD") == 0
    assert max(minor for (_, each), minor in balances.items() if each == "KWD") == 10_000_030


def by_code(balances: Balances, currency: str) -> dict[str, int]:
    """Per account of ours, whose code stands in the names of both."""
    sums: dict[str, int] = {}
    for (name, each), minor in balances.items():
        if each == currency:
            code = name.split(":")[1].replace("-", " ").split()[0]
            sums[code] = sums.get(code, 0) + minor
    return {code: minor for code, minor in sums.items() if minor}
