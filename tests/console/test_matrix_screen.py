"""The matrix screen: every class of the table in words, found by text, leading to its entries."""

from __future__ import annotations

import pytest
from django.test import Client

from ledger.matrix import MATRIX, NOUNS
from tests.books import with_settings

pytestmark = pytest.mark.django_db(transaction=True)


def _page(client: Client, query: str = "") -> str:
    answer = client.get(f"/ledger/matrix/?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def _shown(client: Client, query: str) -> set[str]:
    page = _page(client, query)
    return {name for name in MATRIX if f'<tbody id="{name}">' in page}


def test_every_class_stands_under_its_noun_and_names_the_version(as_) -> None:
    """LJ-4: nothing of the table is left out on screen."""
    client = as_("priya")
    page = _page(client)

    assert "version 2" in page
    assert "59 of 59 event classes" in page
    assert _shown(client, "") == set(MATRIX)
    for noun, rows in NOUNS:
        assert f"<h2>{noun}</h2>" in page
        assert all(row.title in page or "'" in row.title for row in rows)


def test_each_class_leads_to_its_entries_and_each_account_to_its_page(as_) -> None:
    page = _page(as_("priya"), "q=payout.returned")

    assert 'href="/ledger/journal/?event_class=payout.returned"' in page
    assert 'href="/ledger/accounts/1200/"' in page
    assert "Returned payouts receivable" in page


@pytest.mark.parametrize(
    ("query", "classes"),
    [
        ("q=5950", {"settlement.received", "write_off", "adjustment.manual"}),
        ("q=FX+clearing+markup", {"fx.converted", "fee.charged", "fee.refunded"}),
        ("q=second+round", {"dispute.funds_withdrawn"}),
        ("q=dispute.lost", {"dispute.lost"}),
        ("noun=reserves-on-sellers", {"reserve.held", "reserve.released", "reserve.applied"}),
        ("noun=corrections&q=5950", set()),
    ],
)
def test_the_filter_finds_accounts_words_and_classes(as_, query: str, classes: set[str]) -> None:
    """Every word must be there, in any column, in any case."""
    assert _shown(as_("audrey"), query) == classes


def test_nothing_found_says_what_to_try(as_) -> None:
    assert "No event class says that" in _page(as_("audrey"), "q=zebra")


def test_the_book_s_own_policies_are_marked(as_) -> None:
    """LJ-7: which variant this book posts is said, not guessed."""
    client = as_("priya")
    plain = _page(client, "noun=payments")
    assert "only our fee is revenue" in plain
    assert [_marked(plain, name) for name in ("payment.captured", "payment.voided")] == ["", ""]

    with_settings(presentation="gross", authorization_policy="pending")

    page = _page(client, "noun=payments")
    assert "gross: the whole sale is revenue" in page
    assert _marked(page, "payment.captured") == "Gross"
    assert _marked(page, "payment.voided") == "Pending"
    assert _marked(_page(client, "q=refund.accepted"), "refund.accepted") == "Gross"


def _marked(page: str, event_class: str) -> str:
    """The name of the one variant of the class that is marked as this book's."""
    rows = page.partition(f'<tbody id="{event_class}">')[2].partition("</tbody>")[0].split("<tr")
    (marked,) = (row for row in rows if "This book" in row)
    return marked.partition("<b>")[2].partition("</b>:")[0] if "</b>:" in marked else ""
