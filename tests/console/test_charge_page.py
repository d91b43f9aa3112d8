"""The charge page: what was captured, refunded, reserved and disputed of one payment, over time."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from payops.console import svg_money
from payops.console.svg_money import Column, Part
from payops.payments.models import Payment
from tests import refunds
from tests.console.work import browser, text_of
from tests.flows import refund_life
from tests.flows.test_refund_offline import failed
from tests.flows.test_refund_request import dispute
from tests.refund_asks import charge

HOSTILE = "</title><script>alert(1)</script>\"' \u202egnp \x00"


def words_of(answer: Any) -> str:
    assert answer.status_code == 200, text_of(answer)
    return unescape(" ".join(strip_tags(text_of(answer).replace("<", " <")).split()))


def page_of(payment: Payment, *, by: str = "amara") -> str:
    return words_of(browser(by).get(f"/payments/{payment.public_id}/"))


@pytest.mark.django_db(transaction=True)
def test_the_money_of_a_charge_is_told_now_and_after_every_change() -> None:
    """RF-4, RF-10, OB-8: captured, refunded, reserved, left, with the same figures as a table."""
    payment = refund_life.charged("standard")
    executed = refund_life.sent(payment)
    refund_life.answer(executed, "srf_1", "refund.accepted", "refund.succeeded")
    waiting = refunds.ask(refunds.fresh(payment), "60.00")

    page = page_of(payment)
    assert "The money now Of 100.00 EUR captured" in page
    assert "Refunded 30.00 EUR Reserved 60.00 EUR Left 10.00 EUR" in page
    assert "Refund, 10.00 EUR left…" in page
    rows = re.search(r"In EUR When What (.*?) Captures", page)
    assert rows is not None
    for words in (
        "Captured 100.00 EUR 100.00 0.00 0.00 0.00 100.00",
        "Refund of 30.00 EUR: approved 100.00 0.00 30.00 0.00 70.00",
        "Refund of 30.00 EUR: succeeded 100.00 30.00 0.00 0.00 70.00",
        "Refund of 60.00 EUR: awaiting approval 100.00 30.00 60.00 0.00 10.00",
    ):
        assert words in rows[1], rows[1]
    assert "dispatching" not in rows[1], "only what moved money is a moment"
    markup = text_of(browser("amara").get(f"/payments/{payment.public_id}/"))
    assert f"/refunds/{executed.public_id}/" in markup
    assert f"/refunds/{waiting.public_id}/" in markup
    assert "refund.accepted" in page and "payment.captured" in page


@pytest.mark.django_db(transaction=True)
def test_what_is_owed_stays_reserved_while_another_attempt_takes_its_place() -> None:
    """RF-16, D8: written together, it is one moment; nothing was free in between."""
    payment = charge(10_000)
    refund = failed(payment)
    retry = {"reason": "a new card"}
    browser("amara").post(f"/refunds/{refund.public_id}/retry/", retry)

    rows = re.search(r"In EUR When What (.*?) Captures", page_of(payment))

    assert rows is not None
    figures = re.findall(r"(\S+) (\S+) (\S+) 0\.00 (\S+)(?= 20\d\d-| </|$)", rows[1])
    assert figures[-1] == ("100.00", "0.00", "60.00", "40.00")
    assert ("100.00", "0.00", "0.00", "100.00") not in figures[1:], rows[1]


@pytest.mark.django_db(transaction=True)
def test_a_dispute_stands_in_the_picture_and_against_the_button() -> None:
    """D9, F1"""
    payment = refunds.charge(10_000)
    dispute(payment)

    page = page_of(payment)

    assert "A dispute stands against this charge" in page
    assert "a refund would pay the customer twice" in page
    assert "Dispute of 100.00 EUR: open 100.00 0.00 0.00 100.00 0.00" in page
    assert "left…" not in page


@pytest.mark.django_db(transaction=True)
def test_why_nothing_can_be_refunded_is_said_in_words() -> None:
    payment = refunds.charge(4_000)
    assert "Nobody has asked for one." in page_of(payment)
    refunds.ask(payment, "40.00")

    page = page_of(payment)

    assert "Nothing is left: all of it is refunded or reserved." in page
    assert "left…" not in page


@pytest.mark.django_db(transaction=True)
def test_the_page_costs_the_same_however_many_refunds_there_are() -> None:
    payment = refunds.charge(1_000_000)
    client, path = browser("lena"), f"/payments/{payment.public_id}/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert client.get(path).status_code == 200
        return len(caught)

    refunds.ask(payment, "1.00")
    refunds.ask(payment, "2.00")
    few = queries()
    for number in range(8):
        refunds.ask(payment, f"{number + 3}.00")

    assert queries() == few


def rects(markup: str) -> list[tuple[str, int, int]]:
    """(kind, where it begins, how long it is) of every drawn part, hatches left out."""
    root = ElementTree.fromstring(markup)
    found = [r for r in root.iter("rect") if r.get("class")]
    return [(r.get("class", ""), int(r.get("x", "")), int(r.get("width", ""))) for r in found]


def test_the_bar_is_exactly_as_long_as_the_charge_and_small_parts_are_seen() -> None:
    bar = svg_money.bar(
        parts=[
            Part("refunded", 1, "0.01 EUR"),
            Part("reserved", 4_999, "49.99 EUR"),
            Part("disputed", 0, "0.00 EUR"),
            Part("left", 5_000, "50.00 EUR"),
        ],
        title="Of 100.00 EUR captured",
    )

    assert rects(bar) == [("m-refunded", 0, 2), ("m-reserved", 2, 499), ("m-left", 501, 499)]
    assert "refunded: 0.01 EUR, reserved: 49.99 EUR" in bar
    assert bar.count('fill="url(#money-hatch)"') == 1


def test_equal_sums_stand_equally_high_whatever_they_are_made_of() -> None:
    columns = svg_money.columns(
        moments=[
            Column("a", [Part("left", 333, "")]),
            Column(
                "b", [Part("refunded", 1, ""), Part("reserved", 111, ""), Part("left", 221, "")]
            ),
        ],
        title="x",
    )

    tops = {}
    for rect in ElementTree.fromstring(columns).iter("rect"):
        if rect.get("class"):
            x, y = int(rect.get("x", "")), int(rect.get("y", ""))
            tops[x] = min(tops.get(x, 999), y)
    assert list(tops.values()) == [0, 0]


@pytest.mark.parametrize("make", [svg_money.bar, svg_money.columns])
def test_hostile_text_stays_text_and_nothing_is_styled_inline(make: Any) -> None:
    parts = [Part(HOSTILE, 3, HOSTILE), Part("reserved", 0, HOSTILE)]
    said = {"parts": parts} if make is svg_money.bar else {"moments": [Column(HOSTILE, parts)]}

    root = ElementTree.fromstring(make(**said, title=HOSTILE))

    assert not {element.tag for element in root.iter()} & {"script", "style", "foreignObject"}
    assert not any("style" in element.attrib for element in root.iter())


def test_a_charge_without_money_is_drawn_without_a_division_by_nothing() -> None:
    assert "<rect" not in svg_money.bar(parts=[Part("left", 0, "0.00 EUR")], title="x")
    assert "0 moments" in svg_money.columns(moments=[], title="x")
