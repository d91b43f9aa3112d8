"""Dead letters as a working queue: filters, causes, advice, owners, the alert (WH-17 to WH-21)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import transaction

from payops.cases.models import LocalMessage
from payops.console import dead_letter_advice, paging
from payops.core import causes, clock, dead
from payops.core.models import AuditEvent, Message
from payops.webhooks import services
from payops.webhooks.models import ProviderEvent
from payops.webhooks.services import DiscardRefused, RedriveRefused
from tests import builders
from tests.console.work import browser, shows, text_of
from tests.flows.test_jobs import letters
from tests.people import actor, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("StructuralMismatch: payout po_01ab has 5 lines", "payout … has … lines"),
        ("RuntimeError: no verdict on ev_12, ev_13, ev_14", "no verdict on …"),
        ("KeyError: 'x'", "KeyError: …"),
        ("amount_malformed at data.items[0].amount", "amount_malformed at data.items[0].amount"),
        ("", "no error kept"),
    ],
)
def test_cause_is_what_alike_failures_have_in_common(error, cause):
    assert causes.signature(error) == cause
    assert len(causes.signature(error * 400)) <= causes.CAUSE_CHARS_MAX


def test_letters_of_one_fault_are_one_group_with_counts_and_times():
    dead_now = letters(3)

    (group,) = dead.groups(ProviderEvent, builders.account().book)

    assert (group.count, group.more, group.kind) == (3, False, "structural")
    assert group.first_at == min(event.first_failed_at for event in dead_now)
    assert group.last_at == max(event.last_failed_at for event in dead_now)
    assert group.sample_key == max(dead_now, key=lambda e: (e.last_failed_at, e.pk)).pk


def test_counting_stops_at_its_limit_and_says_so(monkeypatch):
    letters(3)
    monkeypatch.setattr(dead, "COUNT_MAX", 2)

    (group,) = dead.groups(ProviderEvent, builders.account().book)

    assert (group.count, group.more) == (2, True)


def test_every_filter_narrows_to_exactly_its_rows():
    """WH-20: account, type, cause, kind, lane, age, receipts, owner."""
    events = letters(3)
    lane = events[0].lane
    with transaction.atomic():
        services.assign(
            event_ids=[events[0].public_id],
            owner=person("noor"),
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    noor = person("noor").pk
    expected = {
        "kind=structural": 3,
        "kind=transient": 0,
        "provider=standard%2Fdemo": 3,
        "provider=stripe%2Fdemo": 0,
        "type=payment.captured": 3,
        f"lane={lane}": 3,
        "age=1h": 3,
        "age=old": 0,
        "again=1": 0,
        "owner=none": 2,
        f"owner={noor}": 1,
        "owner=me": 0,
        f"cause={events[0].cause}": 3,
        "cause=another": 0,
    }
    client = browser("eli")

    found = {
        query: len(re.findall(r'name="row"', text_of(client.get(f"/inbox/dead/?{query}"))))
        for query in expected
    }

    assert found == expected


def test_rows_that_failed_in_one_instant_are_neither_skipped_nor_repeated(monkeypatch):
    """Pages are ordered by last failure and key: ties do not fall between two pages."""
    events = letters(7)
    instant = clock.utc_now()
    ProviderEvent.objects.filter(state="DEAD").update(last_failed_at=instant)
    sized = {**paging.keyset.__kwdefaults__, "size": 3}
    monkeypatch.setattr(paging.keyset, "__kwdefaults__", sized)
    client, seen, path = browser("eli"), [], "/inbox/dead/"

    for _ in range(3):
        page = text_of(client.get(path))
        seen += re.findall(r'name="row" value="(ev_[0-9a-f]{32})"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = "/inbox/dead/" + (following.group(1).replace("&amp;", "&") if following else "")

    assert seen == [event.public_id for event in reversed(events)]


def test_structural_mismatch_alerts_engineering_once_per_cause_and_day():
    """WH-21: one notice for three letters, with the queue of its cause."""
    letters(3)

    notice = LocalMessage.objects.get(audience="engineering")

    assert notice.subject == (
        "Structural mismatch: the event names seller …, which is not a beneficiary of this book"
    )
    assert "/inbox/dead/" in notice.link or "/inbox/ev_" in notice.link
    assert "No retry helps" in notice.body
    assert Message.objects.filter(topic="dead_letter.structural").count() == 1
    assert shows(browser("amara").get("/messages/"), "Open what it is about")


def test_alert_names_the_path_that_did_not_fit():
    """WH-21: the notice, the letter and its attempts name the member of the body."""
    said = {
        "id": "spo_1",
        "object": "payout",
        "reference": "po_" + "0" * 32,
        "amount": "12.5",
        "currency": "EUR",
        "status": "paid",
        "failure_code": None,
        "failure_message": None,
        "created": 1,
        "arrival_on": None,
    }
    builders.post_standard(builders.standard_event("payout.paid", said))
    builders.drain()

    event = ProviderEvent.objects.get(state="DEAD")
    assert event.failures[-1]["path"] == "data.amount"
    assert "What did not fit: data.amount." in LocalMessage.objects.get().body
    client = browser("eli")
    assert "<code>data.amount</code>" in text_of(client.get(f"/inbox/{event.public_id}/"))
    assert "amount_malformed at data.amount" in text_of(client.get("/inbox/dead/"))


@pytest.mark.parametrize(
    ("error", "kind", "nature", "rule"),
    [
        ("OperationalError: server closed the connection", "transient", "transient", "database"),
        ("KeyError: 'amount'", "transient", "structural", "fault"),
        ("Interrupted: interrupted 3 times", "interrupted", "interrupted", "interrupted"),
        (
            "StructuralMismatch: the event names seller 'S-9', which is not a beneficiary of this "
            "book",
            "structural",
            "structural",
            "mapping: beneficiary",
        ),
        (
            "StructuralMismatch: the event contradicts itself: amount_malformed at data.amount",
            *("structural", "structural", "mapping: shape"),
        ),
        (
            "StructuralMismatch: the event is signed but cannot be read: duplicate_key at id",
            *("structural", "structural", "mapping: repeated_member"),
        ),
        ("KeyConflict: je:po_1 stands with others", "transient", "structural", "conflict"),
        ("PeriodLocked: 2026-03-04 is locked", "transient", "transient", "timing: period"),
        (
            "StructuralMismatch: payout.paid is not possible for payout po_01 in CANCELED",
            *("structural", "structural", "mapping: sequence"),
        ),
        # Words of a provider or of an id decide nothing.
        (
            "StructuralMismatch: the event names seller 'gate 503 Timeout duplicate', which is not "
            "a beneficiary of this book",
            *("structural", "structural", "mapping: beneficiary"),
        ),
        ("OutsideMatrix: 503 circuit gate duplicate", "structural", "structural", "by kind"),
        ("a gate answered 503 on a duplicate", "transient", "transient", "by kind"),
        ("something nobody foresaw", "structural", "structural", "by kind"),
    ],
)
def test_advice_classes_the_failure_and_says_why(error, kind, nature, rule):
    """AI-8, RB-7: the table is read in triage order; text only."""
    advice = dead_letter_advice.advice_on(error, kind)

    assert advice.nature == nature
    assert rule in advice.rule and advice.why and advice.likely and advice.suggestion
    order = [each.triage for each in dead_letter_advice.RULES]
    triage = ["duplicate risk", "timing", "mapping", "compliance placement"]
    assert sorted(triage, key=order.index) == triage


def test_owner_is_somebody_who_may_redrive_and_the_letter_is_dead():
    (event,) = letters(1)
    now = clock.utc_now()

    with pytest.raises(RedriveRefused, match="may not redrive"), transaction.atomic():
        services.assign(
            event_ids=[event.public_id], owner=person("amara"), actor=actor("eli"), now=now
        )
    with pytest.raises(RedriveRefused, match="may not redrive_event"), transaction.atomic():
        services.assign(
            event_ids=[event.public_id], owner=person("noor"), actor=actor("amara"), now=now
        )
    with transaction.atomic():
        services.redrive(event_ids=[event.public_id], note="fixed", actor=actor("eli"), now=now)
    with pytest.raises(RedriveRefused, match="is RECEIVED"), transaction.atomic():
        services.assign(
            event_ids=[event.public_id], owner=person("noor"), actor=actor("eli"), now=now
        )

    assert ProviderEvent.objects.get().owner_id is None
    assert AuditEvent.objects.filter(action="event.assigned").count() == 0


def test_discard_goes_by_no_other_way_than_its_approval():
    """By service without approval, by page, by a second login of the asker, by the ORM."""
    (event,) = letters(1)
    now = clock.utc_now()
    with pytest.raises(DiscardRefused), transaction.atomic():
        services.discard(
            event_id=event.public_id, approval_id="", note="x", actor=actor("eli"), now=now
        )
    said = {"event_ids": event.public_id, "note": "test traffic"}
    asked = browser("eli").post("/inbox/dead/discard/", said)
    approval = asked.headers["Location"].strip("/").split("/")[-1]
    decided = browser("eli").post(
        f"/approvals/{approval}/decide/", {"verdict": "approve", "reason": "x"}
    )

    assert decided.status_code in (403, 422)
    assert browser("amara").post("/inbox/dead/discard/", said).status_code == 403
    assert ProviderEvent.objects.get().state == "DEAD"


def dead_message() -> Message:
    """News nobody handles: it dies at its first attempt."""
    book, now = builders.account().book, clock.utc_now()
    Message.objects.create(book=book, topic="nobody.listens", key="k-1", lane="bulk", due_at=now)
    builders.drain()
    return Message.objects.get(topic="nobody.listens")


def test_dead_message_has_the_same_fields_and_filters():
    """WH-18 for messages: topic, key, times, error, attempts, owner, every attempt (F21)."""
    message = dead_message()
    client = browser("eli")

    page = text_of(client.get(f"/messages/outbox/?cause={message.cause}&topic=nobody.listens"))
    other = client.get("/messages/outbox/?kind=transient")

    assert (message.state, message.failure_kind) == ("DEAD", "structural")
    assert message.cause == "no handler for topic …"
    for words in ("nobody.listens", "k-1", "Structural", "Every attempt", "Redrive all…"):
        assert words in page
    assert shows(other, "No message fits these filters")
    assert LocalMessage.objects.get().audience == "engineering"


def test_age_is_measured_at_the_last_failure():
    now = clock.utc_now()
    events = letters(2)
    ProviderEvent.objects.filter(pk=events[0].pk).update(last_failed_at=now - timedelta(days=9))

    page = text_of(browser("eli").get("/inbox/dead/?age=old"))

    assert events[0].public_id in page
    assert f'value="{events[1].public_id}"' not in page
