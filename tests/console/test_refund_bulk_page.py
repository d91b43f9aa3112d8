"""The page of a file of refunds: looked at first, begun as it was shown (F8)."""

from __future__ import annotations

import csv
import io
import re
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from payops.core.models import Evidence, Job
from payops.payments.models import Refund
from tests import builders, refunds
from tests.console.work import browser, shows, text_of
from tests.flows.test_refund_bulk import file_of, line

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/refunds/bulk/"


def upload(content: bytes, username: str = "amara", name: str = "march.csv"):
    return browser(username).post(PAGE, {"file": SimpleUploadedFile(name, content)})


def kept(answer) -> dict[str, str]:
    """What the preview sends again, as a browser would."""
    page = text_of(answer)
    text = re.search(r'<textarea name="text" hidden>\n(.*?)</textarea>', page, re.DOTALL)
    filename = re.search(r'name="filename" value="([^"]*)"', page)
    assert text and filename, page
    lines = unescape(text[1]).replace("\n", "\r\n")
    return {"step": "begin", "text": lines, "filename": filename[1]}


def test_a_file_is_shown_with_verdicts_and_totals_and_then_begun() -> None:
    payment = refunds.charge(10_000)
    content = file_of(line(payment, "30.00"), line("ORDER-NOBODY")).encode("utf-8-sig")

    answer = upload(content)

    assert answer.status_code == 200
    for words in ("Ask for 1 refund of 30.00 EUR", "People decide", "ORDER-NOBODY"):
        assert shows(answer, words)
    assert not Job.objects.exists() and not Evidence.objects.exists()
    begun = browser("amara").post(PAGE, kept(answer))
    job = Job.objects.get()
    assert (begun.status_code, begun.headers["Location"]) == (302, f"/jobs/{job.public_id}/")
    builders.drain()
    job.refresh_from_db()
    assert (job.succeeded, job.refused) == (1, 1)
    refund = Refund.objects.get()
    page = browser("amara").get(f"/jobs/{job.public_id}/")
    assert shows(page, refund.public_id) and shows(page, "march.csv")


def test_what_was_shown_and_begun_is_the_same_file_to_the_byte() -> None:
    """The text travels through a form, which ends lines its own way; the keys do not change."""
    payment = refunds.charge(10_000)
    answer = upload(file_of(line(payment)).encode())
    for _ in range(2):
        browser("amara").post(PAGE, kept(answer))
        builders.drain()

    assert Job.objects.count() == 2
    assert Refund.objects.count() == 1


def test_a_cell_that_cannot_be_read_is_shown_with_line_and_column() -> None:
    payment = refunds.charge(10_000)
    content = file_of(line(payment), line(payment, "30EUR")).encode()

    answer = upload(content)

    assert answer.status_code == 422
    for words in ("1 cell cannot be read", "30EUR", "amount", "write 30.00 with a point"):
        assert shows(answer, words)
    assert 'value="begin"' not in text_of(answer)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"payment\xff", "byte 8 is not UTF-8"),
        (b"colour\nred\n", "column 1 is"),
        (b"x" * (600 * 1024), "more than 512 kB"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_none_is_refused_with_words(content: bytes, words: str) -> None:
    answer = upload(content)

    assert answer.status_code == 422
    assert shows(answer, words)


def test_who_may_not_ask_for_refunds_does_not_see_the_page() -> None:
    assert browser("audrey").get(PAGE).status_code == 403
    assert upload(b"x", "marco").status_code == 403


def test_a_formula_in_a_note_is_text_on_the_page_and_in_the_export() -> None:
    """What a spreadsheet would run is never handed on as it came."""
    payment = refunds.charge(10_000)
    evil = '=HYPERLINK("http://x")<script>'
    text = "payment,amount,currency,reason_code,evidence_order_reference\n"
    quoted = evil.replace('"', '""')
    text += (
        f'"{quoted}",30.00,EUR,order_canceled,X\n{payment.merchant_ref},1.00,EUR,order_canceled,X\n'
    )

    answer = upload(text.encode())
    assert "<script>" not in text_of(answer).partition("<main")[2].partition("</main>")[0]
    browser("amara").post(PAGE, kept(answer))
    builders.drain()

    job = Job.objects.get()
    exported = browser("amara").get(f"/jobs/{job.public_id}/?format=csv")
    body = b"".join(exported.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert len(rows) == 2
    for row in rows:
        assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
