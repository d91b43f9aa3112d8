"""The inbox: events and their receipts, dead letters, redrive, the raw body behind a password."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payops.core.models import AuditEvent
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.audit.sealing import seal_everything
from tests.conftest import PASSWORD, _owner

pytestmark = pytest.mark.django_db(transaction=True)

STRANGER = "S-NOBODY <b>"


@pytest.fixture
def dead() -> ProviderEvent:
    """A signed payment for a seller nobody knows: it can never be posted."""
    builders_capture_for(STRANGER)
    return ProviderEvent.objects.get(state="DEAD")


def builders_capture_for(seller: str, number: int = 1) -> None:
    body = builders.standard_event(
        "payment.captured",
        {
            "id": f"spm_dead_{number}",
            "object": "payment",
            "reference": f"ORDER-{number}",
            "amount": 500,
            "currency": "EUR",
            "status": "captured",
            "fee": 0,
            "platform_fee": 0,
            "seller": seller,
            "customer": {"email": "jo@example.com"},
            "method": "card",
            "created": 1,
        },
    )
    for _ in range(2):
        assert builders.post_standard(body) == 200
    builders.drain()


def test_list_counts_states_lanes_and_receipts(as_, dead):
    page = as_("eli").get("/inbox/?state=DEAD").content.decode()

    assert "payment.captured" in page
    assert "S-NOBODY &lt;b&gt;" in page and STRANGER not in page
    assert 'data-label="Receipts">2<' in page


def test_list_costs_the_same_with_one_event_and_with_ten(as_, dead):
    client = as_("eli")

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            client.get("/inbox/")
        return len(caught)

    one = queries()
    for number in range(2, 11):
        builders_capture_for(STRANGER, number)

    assert queries() == one


def test_page_shows_every_receipt_the_failures_and_a_masked_body(as_, dead):
    page = as_("eli").get(f"/inbox/{dead.public_id}/").content.decode()

    assert page.count("wd_") >= 2
    assert "Given up: dead letter" in page
    assert "jo@example.com" not in page
    assert "spm_dead_1" in page


def test_parked_event_says_what_it_waits_for(as_):
    said = {
        "id": "spo_unknown",
        "object": "payout",
        "reference": "po_" + "0" * 32,
        "amount": 100,
        "currency": "EUR",
        "status": "paid",
        "failure_code": None,
        "failure_message": None,
        "created": 1,
        "arrival_on": None,
    }
    builders.post_standard(builders.standard_event("payout.paid", said))
    builders.drain()

    page = as_("eli").get("/inbox/?state=PARKED").content.decode()

    assert "waits for" in page and "spo_unknown" in page


def test_dead_letters_show_every_field(as_, dead):
    """WH-18: source event id, provider reference, times, error, receive count, operator note."""
    page = as_("eli").get("/inbox/dead/").content.decode()

    for text in (dead.provider_event_id, dead.object_id, "is not a beneficiary of this book"):
        assert text in page
    assert "Structural" in page
    assert 'data-label="Received">2<' in page
    assert "By cause" in page
    assert dead.cause == "the event names seller …, which is not a beneficiary of this book"
    assert dead.cause in page


def test_redrive_goes_through_the_same_gates_with_its_note(as_, dead):
    """WH-19: same gates, original id, note kept; nothing by hand."""
    answer = as_("eli").post(
        "/inbox/redrive/", {"event": dead.public_id, "note": "seller added"}, follow=True
    )

    after = ProviderEvent.objects.get(pk=dead.pk)
    assert "1 event redriven" in answer.content.decode()
    assert after.state == "RECEIVED"
    assert after.operator_note.endswith("eli: seller added")
    assert after.provider_event_id == dead.provider_event_id
    row = AuditEvent.objects.get(action="event.redriven")
    assert (row.login, row.reason, row.from_state) == ("eli", "seller added", "DEAD")


def test_redrive_without_a_note_changes_nothing_and_says_so(as_, dead):
    answer = as_("eli").post("/inbox/redrive/", {"event": dead.public_id, "note": " "}, follow=True)

    assert "a redrive needs an operator note" in answer.content.decode()
    assert ProviderEvent.objects.get(pk=dead.pk).state == "DEAD"


@pytest.mark.parametrize("username", ["amara", "priya", "marco", "chen", "audrey", "ada", "root"])
def test_redrive_needs_its_permission(as_, dead, username):
    answer = as_(username).post("/inbox/redrive/", {"event": dead.public_id, "note": "x"})

    assert answer.status_code == 403
    assert "redrive_event" in answer.content.decode()
    assert ProviderEvent.objects.get(pk=dead.pk).state == "DEAD"


def test_raw_body_needs_permission_reason_and_password_each_time(as_, dead):
    """SE-4: the bytes are shown once per password, and each view is in the audit."""
    path = f"/inbox/{dead.public_id}/raw/"
    engineer = as_("eli")

    assert as_("lena").get(path).status_code == 403
    form = engineer.get(path)
    wrong = engineer.post(path, {"reason": "ticket 7", "password": "guess"})
    silent = engineer.post(path, {"reason": "", "password": PASSWORD})
    shown = engineer.post(path, {"reason": "ticket 7", "password": PASSWORD})

    assert form.status_code == 200 and "jo@example.com" not in form.content.decode()
    assert wrong.status_code == 403 and "jo@example.com" not in wrong.content.decode()
    assert silent.status_code == 403 and "Say why" in silent.content.decode()
    assert shown.status_code == 200 and "jo@example.com" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    row = AuditEvent.objects.get(action="raw_body.viewed")
    assert (row.login, row.reason, row.subject_id) == ("eli", "ticket 7", dead.public_id)
    assert AuditEvent.objects.filter(action="step_up.failed").count() == 1


def test_verification_names_the_row_the_owner_changed(as_, dead):
    """I11: the explorer's button walks the chain and says which row was edited."""
    seal_everything()
    client = as_("audrey")
    assert "No break was found" in client.get("/audit/verify/").content.decode()
    victim = AuditEvent.objects.filter(seal__isnull=False).order_by("-pk").first()
    with _owner() as owner:
        owner.execute("ALTER TABLE core_auditevent DISABLE TRIGGER USER")
        owner.execute("UPDATE core_auditevent SET reason = 'forged' WHERE id = %s", [victim.pk])
        owner.execute("ALTER TABLE core_auditevent ENABLE TRIGGER USER")

    page = client.get("/audit/verify/").content.decode()

    assert "The chain is broken" in page
    assert str(victim.pk) in page


def test_explorer_filters_and_shows_seals(as_, dead):
    seal_everything()
    client = as_("audrey")
    by_subject = client.get(f"/audit/?subject={dead.public_id}").content.decode()
    by_action = client.get("/audit/?action=event.dead").content.decode()
    by_nobody = client.get("/audit/?actor=nobody-of-that-name").content.decode()
    tomorrow = client.get("/audit/?from=2199-01-01").content.decode()

    assert "event.dead" in by_subject and "Seal hash" in by_subject
    assert dead.public_id in by_action and "person.bootstrapped" not in by_action
    assert "No audit row fits these filters" in by_nobody
    assert "No audit row fits these filters" in tomorrow
    file = b"".join(client.get("/audit/?format=csv").streaming_content).decode()
    assert "previous_hash" in file and dead.public_id in file
