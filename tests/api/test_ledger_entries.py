"""POST /api/ledger/entries/: one entry per movement, however often it is told (LJ-13 to LJ-18).

Refusals name the field or the figures, final ones are told again, and nothing is ever written
beside them (D17, D17a, AU-11).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger.matrix import MATRIX
from ledger.models import JournalEntry, JournalLine, PostingKey
from payops.commands.bootstrap import as_owner
from payops.core.models import AuditEvent, Book, IdempotencyKey
from payops.flows import ledger_entry
from payops.payments.models import Payment
from tests import builders
from tests.api.calling import SYSTEM, get, other_key, problem
from tests.api.entries import BOTH, ENTRIES, fee, fields_of, nothing_posted, send
from tests.console.work import browser
from tests.people import person
from tests.races import race

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_three_identical_sends_post_one_entry_and_get_one_answer() -> None:
    """LJ-15: one journal id; the stored answer byte for byte."""
    body = fee()
    answers = [send(body, key="F-1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.content for answer in answers}) == 1
    assert [a.headers.get("Idempotent-Replayed") for a in answers] == [None, "true", "true"]
    entry = JournalEntry.objects.get()
    assert answers[0].headers["Location"] == f"{ENTRIES}{entry.public_id}/"
    rows = JournalLine.objects.filter(entry=entry).select_related("account").order_by("position")
    assert [(r.account.code, r.party, r.amount_minor) for r in rows] == [
        ("5000", "", 100),
        ("1450", "", 20),
        ("1100", "stripe/demo", -120),
    ]
    assert PostingKey.objects.get().entry_id == entry.pk


@pytest.mark.django_db(transaction=True)
def test_sixteen_sends_at_once_post_one_entry() -> None:
    body = fee()

    answers = race(16, lambda _: send(body, key="F-1"))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (JournalEntry.objects.count(), IdempotencyKey.objects.count()) == (1, 1)


def test_a_changed_amount_under_the_same_key_is_refused_with_both_fingerprints() -> None:
    """LJ-14, LJ-15."""
    first = fee()
    send(first, key="F-1")
    answer = send(first | {"amounts": {"fee": "2.00", "total": "2.00"}}, key="F-1")

    assert (answer.status_code, problem(answer)) == (409, "idempotency-key-reused")
    told = answer.json()
    assert told["stored_fingerprint"] == IdempotencyKey.objects.get().fingerprint
    assert told["given_fingerprint"] != told["stored_fingerprint"]
    assert JournalEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_another_system_telling_of_the_same_movement_gets_the_same_entry() -> None:
    """LJ-14: the posting key is book, class, subject and movement, whoever tells of it."""
    first = send(fee(), key="F-1")
    other = other_key("billing", acts=BOTH)

    again = send(fee(description="The same fee"), key="B-7", api_key=other)

    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    assert first.json()["id"] == again.json()["id"]
    assert JournalEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_another_system_telling_other_facts_of_the_movement_is_refused_for_good() -> None:
    send(fee(), key="F-1")
    other = other_key("billing", acts=BOTH)
    dearer = fee(amounts={"fee": "2.00", "total": "2.00"})

    answer = send(dearer, key="B-7", api_key=other)
    again = send(dearer, key="B-7", api_key=other)

    assert (answer.status_code, problem(answer)) == (409, "posting-key-reused")
    entry = JournalEntry.objects.get()
    assert answer.json()["stored_fingerprint"] == entry.fingerprint
    assert answer.json()["given_fingerprint"] != entry.fingerprint
    assert again.content == answer.content
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_entry_carries_every_trace_key_of_its_request() -> None:
    """LJ-16, AU-11: request id, key, trace, and who answers for it."""
    sent = fee()
    answer = send(sent, key="F-1", **{"X-Request-Id": "req-42"})

    entry = JournalEntry.objects.get()
    assert (entry.api_request_id, entry.request_idempotency_key) == ("req-42", "F-1")
    assert (entry.provider_transaction_id, entry.merchant_reference) == ("txn_1", "M-1")
    assert len(entry.trace_id) == 32
    assert entry.posted_by == SYSTEM
    assert answer.headers["X-Request-Id"] == "req-42"
    calls = AuditEvent.objects.filter(action="api.post_entry")
    assert calls.get().subject_id == entry.public_id
    assert calls.get().evidence["on_behalf_of"] == str(person("priya").pk)
    told = AuditEvent.objects.get(action="ledger.posted")
    assert (told.channel, told.service, told.trace_id) == ("api", SYSTEM, entry.trace_id)


@pytest.mark.django_db(transaction=True)
def test_a_posted_entry_is_read_by_keys_of_its_book_alone() -> None:
    made = send(fee(), key="F-1").json()

    read = get(f"{ENTRIES}{made['id']}/")
    poster = other_key("poster", acts=["post_entry"])
    with as_owner():
        Book.objects.create(code="other", name="Other book")
    stranger = other_key("stranger", acts=BOTH, book="other")

    same = {name: value for name, value in made.items() if name in read.json()}
    assert read.json() == same
    assert (read.json()["late"], len(read.json()["lines"])) == (False, 3)
    listed = [
        made["id"] in browser("priya").get(f"/ledger/journal/?made={source}").content.decode()
        for source in ("api", "product", "hand")
    ]
    assert listed == [True, False, False]
    assert get(f"{ENTRIES}{made['id']}/", api_key=poster).status_code == 403
    assert get(f"{ENTRIES}{made['id']}/", api_key=stranger).status_code == 404
    assert get(f"{ENTRIES}je_{'0' * 32}/").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("acts", [["view_books"], ["request_payout", "view_books"]])
def test_a_key_without_the_act_posts_nothing(acts: list[str]) -> None:
    answer = send(fee(), api_key=other_key("reader", acts=acts))
    assert (answer.status_code, problem(answer)) == (403, "act-not-allowed")
    assert nothing_posted()


@pytest.mark.parametrize("key", [None, "\xe9", "k" * 256])
def test_without_an_acceptable_key_nothing_is_posted(key: str | None) -> None:
    """LJ-13."""
    assert send(fee(), key=key).status_code == 400
    assert nothing_posted()


@pytest.mark.parametrize("named", ["amara", "audrey", "nobody"])
def test_somebody_in_finance_answers_for_it(named: str) -> None:
    answer = send(fee(on_behalf_of=named), key="F-1")
    assert (answer.status_code, fields_of(answer)) == (422, {"on_behalf_of"})
    assert nothing_posted()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amounts": {"fee": "-1.00", "total": "1.00"}}, "amounts.fee"),
        ({"amounts": {"fee": 100, "total": "1.00"}}, "amounts.fee"),
        ({"amounts": {"fee": "1e3", "total": "1.00"}}, "amounts.fee"),
        ({"amounts": {"fee": "1.001", "total": "1.00"}}, "amounts.fee"),
        ({"amounts": {"fee": "9223372036854775808", "total": "1"}}, "amounts.fee"),
        ({"amounts": {"fee": "10000000000000.01", "total": "1"}}, "amounts.fee"),
        ({"amounts": {"gross": "1.00"}}, "amounts.gross"),
        ({"amounts": {"fee": "0", "total": "0.00"}}, "amounts"),
        ({"amounts": {}}, "amounts"),
        ({"amounts": [1, 2]}, "amounts"),
        ({"amounts": {f"m{i}": "1" for i in range(13)}}, "amounts"),
        ({"amounts": None}, "amounts"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "JPY"}, "amounts.input_tax"),
        ({"event_class": "Fee Charged"}, "event_class"),
        ({"event_class": "no.such_class"}, "event_class"),
        ({"event_class": "adjustment.manual"}, "event_class"),
        ({"event_class": "payout.paid"}, "event_class"),
        ({"event_class": "entry.reversed"}, "event_class"),
        ({"variant": "nope"}, "variant"),
        ({"subject_id": "x" * 65}, "subject_id"),
        ({"subject_id": "a\tb"}, "subject_id"),
        ({"subject_id": 7}, "subject_id"),
        ({"movement_ref": ""}, "movement_ref"),
        ({"movement_ref": "x" * 121}, "movement_ref"),
        ({"movement_ref": None}, "movement_ref"),
        ({"parties": {}}, "parties.provider_account"),
        ({"parties": {"provider_account": "stripe/demo", "seller": "S-1001"}}, "parties.seller"),
        ({"parties": "stripe/demo"}, "parties"),
        ({"occurred_at": "2026-03-18T10:00:00"}, "occurred_at"),
        ({"occurred_at": "2026-02-30T10:00:00Z"}, "occurred_at"),
        ({"occurred_at": 1767225600}, "occurred_at"),
        ({"description": "x" * 241}, "description"),
        ({"description": " x"}, "description"),
        ({"refs": {"approval_id": "ap_1"}}, "refs.approval_id"),
        ({"refs": {"payment_id": "not ours"}}, "refs.payment_id"),
        ({"refs": [1]}, "refs"),
        ({"lines": []}, "lines"),
        ({"fingerprint": "0"}, "fingerprint"),
    ],
)
def test_what_is_not_acceptable_is_refused_with_its_field_for_good(
    changes: dict[str, Any], field: str
) -> None:
    """D17: no float, no sign, no half cent; the refusal is told again under its key."""
    body = fee(**changes)
    answer = send(body, key="F-1")
    again = send(body, key="F-1")

    assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
    assert field in fields_of(answer), answer.json()
    assert again.content == answer.content
    assert nothing_posted()


@pytest.mark.parametrize(
    "raw",
    [
        '{"amounts": {"fee": 1.5}}',
        '{"amounts": {"fee": NaN}}',
        '{"event_class": "fee.charged", "event_class": "fee.charged"}',
        "[1]",
        "{" * 3000,
        json.dumps({"amounts": {f"m{i}": "1" for i in range(5000)}}),
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused_whole(raw: str) -> None:
    assert send(raw, key="F-1").status_code in (400, 413)
    assert nothing_posted()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parties": {"provider_account": "stripe/none"}}, "parties.provider_account"),
        ({"subject_id": "pa_" + "0" * 32}, "subject_id"),
        ({"refs": {"payout_id": "po_" + "0" * 32}}, "refs.payout_id"),
        ({"occurred_at": "2199-01-01T00:00:00Z"}, "occurred_at"),
    ],
)
def test_what_time_may_change_is_refused_and_leaves_the_key_free(
    changes: dict[str, Any], field: str
) -> None:
    """D17a."""
    answer = send(fee(**changes), key="F-1")

    assert (answer.status_code, fields_of(answer)) == (422, {field})
    assert nothing_posted()
    assert not IdempotencyKey.objects.exists()


def test_an_entry_out_of_balance_is_refused_with_the_difference_for_good() -> None:
    """LJ-2: the matrix makes the lines, their sum is checked all the same."""
    body = fee(amounts={"fee": "1.00", "total": "1.20"})
    answer = send(body, key="F-1")

    assert (answer.status_code, problem(answer)) == (422, "entry-refused")
    assert "out of balance by -0.20 EUR" in answer.json()["detail"]
    assert send(body, key="F-1").headers["Idempotent-Replayed"] == "true"
    assert nothing_posted()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [
        ("EUR", "9999999999999.99", 999_999_999_999_999),
        ("JPY", "999999999999999", 999_999_999_999_999),
        ("KWD", "0.001", 1),
    ],
)
def test_amounts_at_the_edges_are_posted_to_the_minor_unit(
    currency: str, text: str, minor: int
) -> None:
    """F19: JPY has no decimals, KWD has three."""
    with as_owner():
        Book.objects.filter(code="meridian").update(reporting_currency=currency)
    answer = send(fee(currency=currency, amounts={"fee": text, "total": text}), key="F-1")

    assert answer.status_code == 201, answer.json()
    assert set(JournalLine.objects.values_list("amount_minor", flat=True)) == {minor, -minor}
    assert answer.json()["lines"][0]["debit"] == text


@pytest.mark.django_db(transaction=True)
def test_a_payment_held_here_is_captured_by_its_provider_alone() -> None:
    """LJ-17: no second way to the same movement; an acquirer of one's own may tell of it."""
    own = fee(
        event_class="payment.captured",
        subject_id="ACQ-1",
        amounts={"gross": "100.00", "seller_share": "90.00", "platform_fee": "10.00"},
        parties={"provider_account": "stripe/demo", "seller": "S-1001"},
    )
    assert send(own, key="C-1").status_code == 201
    builders.capture(10_000)
    payment = Payment.objects.get()

    answer = send(own | {"subject_id": payment.public_id}, key="C-2")

    assert (answer.status_code, fields_of(answer)) == (422, {"subject_id"})
    assert "held here" in answer.json()["detail"]


def test_every_class_of_the_matrix_is_either_open_to_systems_or_says_why_not() -> None:
    """A closed table: a new row is closed until somebody decides."""
    decided = {name: ledger_entry.why_not(name) for name in MATRIX}

    assert {name for name, words in decided.items() if not words} == set(ledger_entry.SYSTEMS_MAY)
    assert "the journal matrix has no such class" not in decided.values()
    assert not [name for name in ledger_entry.SYSTEMS_MAY if MATRIX[name].template]
    assert not [name for name in ledger_entry.SYSTEMS_MAY if MATRIX[name].free_lines]
