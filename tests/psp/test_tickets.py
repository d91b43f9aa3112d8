"""Refunds asked for in tickets of Jira and ServiceNow (RF-1, RF-2, RF-14, WH-2, WH-4, D5, D17)."""

import json
from datetime import UTC, datetime

import pytest

from payops.core.money import Money
from payops.psp.base import EventRefused, RefundWish
from payops.psp.registry import adapter
from tests.psp.ticket_bodies import (
    ISSUE,
    OTHER_SECRET,
    RECORD,
    SECRET,
    facts,
    issue,
    mac,
    parse,
    read,
    record,
)

BODY = {"jira": ISSUE, "servicenow": RECORD}
MADE = {"jira": issue, "servicenow": record}
NUMBER = {"jira": "REF-12", "servicenow": "RITM0010007"}
BOTH = pytest.mark.parametrize("provider", ["jira", "servicenow"])


def refused(provider: str, raw: bytes) -> tuple[str, str]:
    with pytest.raises(EventRefused) as caught:
        parse(provider, raw)
    return caught.value.reason, caught.value.path


def test_issue_is_a_wish_in_the_words_of_the_ticket():
    told = parse("jira", ISSUE)

    assert (told.kind, told.provider_event_id) == ("refund.requested", "REF-12:rq-7781-1")
    assert told.wish == RefundWish(
        request_id="rq-7781-1",
        ticket="REF-12",
        payment_ref="ch_3QkCharge0001",
        reason_code="item_not_received",
        note="Refund for order 7781",
        requester="priya@meridian.example",
        amount=Money(3050, "EUR"),
        evidence={"tracking_number": "1Z999AA10123456784"},
    )
    assert (told.original_provider_ref, told.amount) == ("ch_3QkCharge0001", Money(3050, "EUR"))
    assert told.occurred_at == datetime.fromtimestamp(1767000000, tz=UTC)
    assert (told.live, told.status, told.merchant_ref) == (None, "To Do", "REF-12")


def test_record_is_a_wish_in_the_words_of_the_ticket():
    told = parse("servicenow", RECORD)

    assert (told.kind, told.provider_event_id) == ("refund.requested", "RITM0010007:rq-7781-1")
    assert told.wish == RefundWish(
        request_id="rq-7781-1",
        ticket="RITM0010007",
        payment_ref="ch_3QkCharge0001",
        reason_code="item_not_received",
        note="The parcel never came.",
        requester="priya@meridian.example",
        amount=Money(3050, "EUR"),
        evidence={"tracking_number": "1Z999AA10123456784"},
    )


@BOTH
def test_signed_ticket_is_one_item_known_by_ticket_and_request(provider):
    verdict = read(provider, BODY[provider])

    assert (verdict.ok, verdict.secret_id, verdict.parse_error) == (True, "s1", None)
    [item] = verdict.items
    assert item.dedupe_key == item.provider_event_id == f"{NUMBER[provider]}:rq-7781-1"
    assert (item.event_type, item.object_id) == ("refund.requested", NUMBER[provider])
    assert (item.amount_minor, item.currency, item.lane) == (3050, "EUR", "standard")


def test_issue_that_changed_in_other_fields_is_the_same_event():
    first = read("jira", ISSUE).items[0]
    again = read("jira", issue(event="jira:issue_updated", status={"name": "Done"})).items[0]
    more = read("jira", issue(amount=31.5)).items[0]

    assert (again.dedupe_key, again.fingerprint) == (first.dedupe_key, first.fingerprint)
    assert more.dedupe_key == first.dedupe_key
    assert more.fingerprint != first.fingerprint


@BOTH
def test_second_request_of_one_ticket_is_another_event(provider):
    name = "request" if provider == "jira" else "request_id"
    other = read(provider, MADE[provider](**{name: "rq-7781-2"})).items[0]

    assert other.dedupe_key == f"{NUMBER[provider]}:rq-7781-2"


def test_without_a_request_id_the_record_itself_is_the_request():
    assert parse("jira", ISSUE, field_request="").provider_event_id == "REF-12:10204"
    told = parse("servicenow", record(request_id=None))
    assert told.provider_event_id == "RITM0010007:9d385017c611228701d22104cc95c371"


@BOTH
@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("30.50", "EUR", Money(3050, "EUR")),
        ("30", "EUR", Money(3000, "EUR")),
        (30, "EUR", Money(3000, "EUR")),
        ("500", "JPY", Money(500, "JPY")),
        ("1.234", "BHD", Money(1234, "BHD")),
        (None, "EUR", None),
        ("", "EUR", None),
    ],
)
def test_amount_is_major_units_and_its_absence_asks_for_all_that_is_left(
    provider, amount, currency, expected
):
    wish = parse(provider, MADE[provider](amount=amount, currency=currency)).wish

    assert wish is not None
    assert wish.amount == expected


HOSTILE = [
    ("amount", "-5.00", "amount_malformed"),
    ("amount", "+5", "amount_malformed"),
    ("amount", "5,00", "amount_malformed"),
    ("amount", "1e9", "amount_malformed"),
    ("amount", "NaN", "amount_malformed"),
    ("amount", "0x10", "amount_malformed"),
    ("amount", " 5", "amount_malformed"),
    ("amount", "٣", "amount_malformed"),
    ("amount", "30.505", "amount_malformed"),
    ("amount", "0.00", "amount_not_positive"),
    ("amount", "99999999999999", "amount_malformed"),
    ("amount", "9" * 30, "amount_malformed"),
    ("amount", True, "amount_malformed"),
    ("amount", ["5"], "amount_malformed"),
    ("currency", "eur", "currency_malformed"),
    ("currency", "EURO", "currency_malformed"),
    ("currency", 978, "currency_malformed"),
    ("currency", None, "currency_missing"),
    ("charge", None, "charge_missing"),
    ("charge", "", "charge_missing"),
    ("charge", "ch 1", "charge_malformed"),
    ("charge", "x" * 300, "charge_malformed"),
    ("charge", {"a": 1}, "charge_malformed"),
    ("reason", "!!", "reason_malformed"),
    ("reason", "x" * 65, "reason_malformed"),
    ("reason", 5, "reason_malformed"),
]


@pytest.mark.parametrize(("name", "value", "reason"), HOSTILE)
def test_hostile_value_of_a_record_is_refused_with_its_path(name, value, reason):
    assert refused("servicenow", record(**{name: value})) == (reason, name)


@pytest.mark.parametrize(("name", "value", "reason"), HOSTILE)
def test_hostile_value_of_an_issue_is_refused_with_its_path(name, value, reason):
    path = f"issue.fields.{facts('jira').settings[f'field_{name}']}"

    assert refused("jira", issue(**{name: value})) == (reason, path)


@pytest.mark.parametrize(
    ("requester", "reason"),
    [
        (None, "requester_missing"),
        ("", "requester_missing"),
        ("Priya", "requester_malformed"),
        ("priya@meridian", "requester_malformed"),
        ("priya@meridian.example\nBcc: x@y.z", "requester_malformed"),
        (["priya@meridian.example"], "requester_malformed"),
    ],
)
def test_ticket_names_the_person_who_asks(requester, reason):
    """D5: nobody may be asked to approve their own wish, so there must be somebody."""
    assert refused("servicenow", record(opened_by=requester)) == (reason, "opened_by")
    told = issue(reporter={"emailAddress": requester})
    assert refused("jira", told) == (reason, "issue.fields.reporter.emailAddress")


@pytest.mark.parametrize(
    ("evidence", "reason", "path"),
    [
        ("a photo", "evidence_malformed", "evidence"),
        ({"photo": {"id": 1}}, "evidence_malformed", "evidence.photo"),
        ({"Photo": "x"}, "evidence_malformed", "evidence.Photo"),
        ({"photo": "x" * 501}, "evidence_malformed", "evidence.photo"),
        ({f"e{n}": "x" for n in range(21)}, "evidence_too_long", "evidence"),
    ],
)
def test_evidence_is_named_text(evidence, reason, path):
    assert refused("servicenow", record(evidence=evidence)) == (reason, path)


def test_ticket_that_cannot_be_read_does_not_stand_in_the_way_of_its_correction():
    wrong = read("servicenow", record(amount="-5")).items[0]
    right = read("servicenow", RECORD).items[0]

    assert wrong.verified
    assert wrong.dedupe_key.startswith("RITM0010007:")
    assert wrong.dedupe_key != right.dedupe_key


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (issue(event="jira:issue_deleted"), "no_meaning_here"),
        (issue(event="comment_created"), "no_meaning_here"),
        (issue(issuetype={"name": "Bug"}), "another_issue_type"),
    ],
)
def test_issue_that_asks_for_no_refund_is_ignored(raw, reason):
    told = parse("jira", raw)

    assert (told.kind, told.reason, told.wish) == ("ignored", reason, None)
    assert read("jira", raw).items[0].lane == "bulk"


def test_issue_counts_once_it_has_the_status_the_account_waits_for():
    assert parse("jira", ISSUE, status="Approved").reason == "another_status"
    ready = issue(status={"name": "Approved"})
    assert parse("jira", ready, status="Approved").kind == "refund.requested"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "header_missing"),
        ({"x-hub-signature": mac(ISSUE)}, "header_malformed"),
        ({"x-hub-signature": f"sha1={mac(ISSUE)}"}, "header_malformed"),
        ({"x-hub-signature": f"sha256={mac(ISSUE).upper()}"}, "header_malformed"),
        ({"x-hub-signature": f"sha256={mac(ISSUE)[:-1]}"}, "header_malformed"),
        ({"x-hub-signature": f"sha256={mac(ISSUE)},sha256={mac(ISSUE)}"}, "header_malformed"),
        ({"x-hub-signature": f"sha256={mac(ISSUE, OTHER_SECRET)}"}, "signature_mismatch"),
        ({"x-hub-signature": f"sha256={mac(ISSUE + b' ')}"}, "signature_mismatch"),
    ],
)
def test_issue_is_believed_by_its_exact_signature_alone(headers, reason):
    verdict = read("jira", ISSUE, headers)

    assert (verdict.ok, verdict.reason, verdict.items) == (False, reason, ())
    assert adapter("jira").refusal_status(verdict) == 401


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "header_missing"),
        ({"x-servicenow-token": SECRET + "x"}, "signature_mismatch"),
        ({"x-servicenow-token": SECRET[:-1]}, "signature_mismatch"),
        ({"x-servicenow-token": SECRET.upper()}, "signature_mismatch"),
        ({"x-servicenow-token": "gehe\xedm"}, "header_malformed"),
        ({"x-servicenow-signature": mac(RECORD)}, "header_missing"),
    ],
)
def test_record_is_believed_by_its_token_alone(headers, reason):
    verdict = read("servicenow", RECORD, headers)

    assert (verdict.ok, verdict.reason) == (False, reason)


def test_record_may_be_signed_instead():
    good = {"x-servicenow-signature": f"sha256={mac(RECORD)}"}
    bare = {"x-servicenow-signature": mac(RECORD)}

    assert read("servicenow", RECORD, good, auth="hmac").ok
    assert read("servicenow", RECORD, bare, auth="hmac").ok
    token = read("servicenow", RECORD, {"x-servicenow-token": SECRET}, auth="hmac")
    assert (token.ok, token.reason) == (False, "header_missing")
    changed = read("servicenow", RECORD + b" ", good, auth="hmac")
    assert (changed.ok, changed.reason) == (False, "signature_mismatch")


def test_header_of_the_token_is_the_accounts_to_name():
    headers = {"x-desk-key": SECRET}

    assert read("servicenow", RECORD, headers, auth_header="X-Desk-Key").ok
    odd = read("servicenow", RECORD, {"x-servicenow-token": SECRET}, auth_header="a b\r\n")
    assert odd.ok


@BOTH
def test_each_live_secret_is_tried_during_a_rotation(provider):
    assert read(provider, BODY[provider], secrets=(OTHER_SECRET, SECRET)).secret_id == "s2"
    none = read(provider, BODY[provider], secrets=("",))
    assert (none.ok, none.reason) == (False, "secret_missing")


@BOTH
@pytest.mark.parametrize(
    ("raw", "parse_error"),
    [
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "number_missing"),
        (b'{"number":"a b","issue":{"key":"a b"}}', "number_malformed"),
        (b'{"number":"X","number":"Y"}', "duplicate_key"),
    ],
)
def test_signed_but_unreadable_body_is_kept_for_people(provider, raw, parse_error):
    headers = {"x-hub-signature": f"sha256={mac(raw)}", "x-servicenow-token": SECRET}

    verdict = read(provider, raw, headers)

    assert (verdict.ok, verdict.parse_error, verdict.items) == (True, parse_error, ())


@BOTH
def test_body_beyond_the_limit_is_refused_unread(provider):
    verdict = read(provider, b" " * (256 * 1024 + 1), {})

    assert (verdict.ok, verdict.reason) == (False, "body_too_large")
    assert adapter(provider).refusal_status(verdict) == 413


@BOTH
def test_listed_body_reads_like_a_posted_one(provider):
    listed = adapter(provider).itemize(raw=BODY[provider], account=facts(provider))

    assert listed.items == read(provider, BODY[provider]).items


@BOTH
def test_any_member_replaced_is_read_or_refused(provider):
    """Never another exception, whatever a member becomes."""
    odd = [None, "", 5, -1, True, [], {}, {"value": []}, "\x00", "x" * 5000, [[]]]
    tops = list(json.loads(BODY[provider]))
    fields = list(json.loads(ISSUE)["issue"]["fields"]) if provider == "jira" else []
    for value in odd:
        bodies = [json.dumps(json.loads(BODY[provider]) | {name: value}) for name in tops]
        bodies += [issue(**{name: value}).decode() for name in fields]
        for text in bodies:
            raw = text.encode()
            read(provider, raw)
            try:
                told = parse(provider, raw)
            except EventRefused:
                continue
            assert told.kind in ("refund.requested", "ignored")
