"""Every invariant is recomputed, holds for a whole story, and names a break made on purpose."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection

from payops.commands.invariants.base import Finding, Moment, Movement
from payops.commands.invariants.table import KEYS, as_json, check_all
from payops.core import clock, ids, verification
from payops.core.models import AuditEvent
from tests import periods
from tests.audit import story as stories
from tests.audit.story import AMOUNT_MINOR, Story, break_rule, receipt, reissue, seal_all, tell

pytestmark = pytest.mark.usefixtures("owners_world")


@pytest.fixture
def story(owners_world: None) -> Story:
    return tell()


def check(key: str, **moment: object) -> Finding:
    seal_all()
    return check_all(Moment(now=clock.utc_now(), **moment), only=[key])[key]  # type: ignore[arg-type]


def movement(story: Story, **changed: object) -> Movement:
    told = {
        "provider": "stripe",
        "kind": "payout",
        "object_id": story.payout.provider_ref,
        "reference": story.payout.public_id,
        "amount_minor": AMOUNT_MINOR,
        "currency": "EUR",
        "idempotency_key": story.intent.idempotency_key,
        "at": story.at,
    }
    return Movement(**{**told, **changed})  # type: ignore[arg-type]


def moved(*movements: Movement) -> dict[str, object]:
    return {"movements": movements, "movements_at": clock.utc_now()}


def test_every_invariant_holds_for_a_whole_story(story: Story) -> None:
    reissue(story)
    seal_all()

    moment = Moment(now=clock.utc_now(), **moved(movement(story)))  # type: ignore[arg-type]
    told = as_json(check_all(moment))

    assert {key: row["breaks"] for key, row in told["invariants"].items() if row["breaks"]} == {}
    assert told["ok"] is True
    assert list(told["invariants"]) == [f"I{n}" for n in range(1, 19)]
    assert told["invariants"]["I1"]["checked"] == 12
    assert told["invariants"]["I14"]["absent"] == ["settlement batches", "bank statements"]
    assert json.loads(json.dumps(told)) == told


def test_i1_names_a_body_that_was_changed(story: Story) -> None:
    changed = story.receipts[4]
    break_rule(
        "webhooks_payload",
        "UPDATE webhooks_payload SET ciphertext = set_byte(ciphertext, 20, 1) WHERE id = %s",
        [changed.payload_id],
    )

    assert check("I1").breaks == [
        f"the body of receipt {changed.pk} cannot be decrypted: it was changed"
    ]


def test_i1_names_a_receipt_without_body_and_one_with_another_hash(story: Story) -> None:
    first, second = story.receipts[:2]
    break_rule(
        "webhooks_delivery",
        "UPDATE webhooks_delivery SET payload_id = CASE id WHEN %s THEN NULL ELSE payload_id END,"
        " sha256 = repeat('0', 64) WHERE id IN (%s, %s)",
        [first.pk, first.pk, second.pk],
    )

    assert check("I1").breaks == [
        f"receipt {first.pk} was answered 2xx and has no body",
        f"the body of receipt {second.pk} is not what its hash and length say was received",
    ]


def test_i2_names_an_accepted_receipt_without_event_and_work_that_waits_too_long(
    story: Story,
) -> None:
    lost = receipt(story, key="evt_lost", body=b"{}")
    break_rule(
        "webhooks_providerevent",
        "UPDATE webhooks_providerevent SET state = 'RECEIVED', due_at = %s, leased_until = NULL"
        " WHERE id = %s",
        [clock.utc_now() - timedelta(seconds=90), story.event.pk],
    )

    breaks = check("I2").breaks

    assert breaks[0] == f"receipt {lost.public_id} was answered 2xx and has no event"
    assert breaks[1].startswith(f"event {story.event.public_id} has been ready since ")
    assert len(breaks) == 2
    assert len(check("I2", bound=timedelta(minutes=5)).breaks) == 1


def test_i3_names_another_content_without_a_case(story: Story) -> None:
    key = story.event.dedupe_key
    other = receipt(story, key=key, body=b'{"forged": 1}', fingerprint="e" * 64)

    assert check("I3").breaks == [
        f"receipt {other.public_id} has another content than event {story.event.public_id}"
        " and no case says so"
    ]


def test_i3_names_an_event_stored_twice(story: Story) -> None:
    break_rule(
        "webhooks_providerevent",
        "INSERT INTO webhooks_providerevent SELECT (jsonb_populate_record(e,"
        " jsonb_build_object('id', %s::text))).* FROM webhooks_providerevent e WHERE e.id = %s",
        [str(ids.uuid7()), story.event.pk],
        drop="event_once",
    )

    assert check("I3").breaks == [
        f"event {story.event.dedupe_key} exists 2 times in account {story.account.pk}"
    ]


def test_i4_names_a_movement_posted_twice(story: Story) -> None:
    entry = story.entries[1]
    break_rule(
        "ledger_journalentry",
        "UPDATE ledger_journalentry SET event_class = 'payout.paid', movement_ref = %s"
        " WHERE id = %s",
        [entry.movement_ref, story.entries[2].pk],
    )

    assert check("I4").breaks == [
        f"payout.paid {story.payout.public_id} {entry.movement_ref} was posted 2 times"
    ]


def test_i4_names_an_entry_the_key_registry_does_not_know(story: Story) -> None:
    entry = story.entries[0]
    break_rule(
        "ledger_postingkey",
        "UPDATE ledger_postingkey SET fingerprint = repeat('0', 64) WHERE entry_id = %s",
        [entry.pk],
    )

    assert check("I4").breaks == [
        f"entry {entry.public_id} is not what the key registry answers under"
        f" {entry.idempotency_key}"
    ]


def test_i5_and_i17_name_an_entry_out_of_balance(story: Story) -> None:
    entry = story.entries[0]
    break_rule(
        "ledger_journalline",
        "UPDATE ledger_journalline SET amount_minor = amount_minor + 7 WHERE id = %s",
        [entry.first_line_id],
    )

    assert check("I5").breaks == [f"entry {entry.public_id} is out of balance by 7 EUR"]
    assert check("I17").breaks == [
        f"book meridian: the lines of {entry.posting_on} are off by 7 EUR"
    ]


def test_i5_names_an_entry_with_a_line_too_few(story: Story) -> None:
    entry = story.entries[0]
    break_rule(
        "ledger_journalline", "DELETE FROM ledger_journalline WHERE entry_id = %s", [entry.pk]
    )

    assert check("I5").breaks == [f"entry {entry.public_id} has 0 lines"]


def test_i7_holds_intents_against_the_providers_own_log(story: Story) -> None:
    other = "po_" + "0" * 32

    assert check("I7", **moved(movement(story))).breaks == []
    assert check("I7", **moved()).breaks == [
        f"{story.intent.public_id} succeeded, yet the provider moved nothing for"
        f" {story.payout.public_id}"
    ]
    assert check("I7", **moved(movement(story), movement(story))).breaks == [
        f"the provider moved money 2 times for {story.intent.public_id} ({story.payout.public_id})"
    ]
    assert check("I7", **moved(movement(story, amount_minor=AMOUNT_MINOR + 1))).breaks == [
        f"{story.intent.public_id} intended 1240000 EUR, the provider moved 1240001 EUR"
        f" ({story.payout.provider_ref})"
    ]
    assert check("I7", **moved(movement(story, idempotency_key="another"))).breaks == [
        f"{story.payout.provider_ref} moved under another key than {story.intent.public_id}'s"
    ]
    assert check("I7", **moved(movement(story), movement(story, reference=other))).breaks == [
        f"{story.payout.provider_ref} moved money for {other} without an intent"
    ]


def test_i7_without_the_providers_log_says_so_and_still_compares_calls(story: Story) -> None:
    type(story.call).objects.create(
        book=story.book,
        intent=story.intent,
        operation="create_payout",
        attempt=2,
        fence=2,
        deadline_at=story.at,
        provider_ref="po_prov_second",
    )

    finding = check("I7", movements_note="nobody answered")

    assert finding.note == "nobody answered"
    assert finding.breaks == [
        f"intent {story.intent.public_id} named 2 different movements at the provider"
    ]


def test_i7_names_an_intent_without_a_granted_approval(story: Story) -> None:
    break_rule(
        "payments_intent",
        "UPDATE payments_intent SET approval_id = %s WHERE id = %s",
        [story.resolution.public_id, story.intent.pk],
    )

    assert check("I7").breaks == [
        f"intent {story.intent.public_id} for {story.payout.public_id} has no granted approval of"
        " its subject"
    ]


def test_i8_names_a_reissue_that_left_before_its_original_was_verified(story: Story) -> None:
    again = reissue(story)
    break_rule(
        "payments_payout",
        "UPDATE payments_payout SET initiated_at = %s WHERE id = %s",
        [story.payout.verified_terminal_at - timedelta(seconds=1), again.pk],
    )

    assert check("I8").breaks == [
        f"payout {again.public_id} left before its original {story.payout.public_id} (RETURNED)"
        " was verified terminal"
    ]


def test_i8_names_a_second_reissue(story: Story) -> None:
    again = reissue(story)
    break_rule(
        "payments_payout",
        "INSERT INTO payments_payout SELECT (jsonb_populate_record(p, jsonb_build_object("
        "'id', %s::text, 'request_key', 'reissue-2'))).* FROM payments_payout p WHERE p.id = %s",
        [str(ids.uuid7()), again.pk],
        drop="payments_payout_reissue_of_id_key",
    )

    assert check("I8").breaks == [f"payout {story.payout.public_id} was re-issued 2 times"]


def test_i9_names_a_decision_by_the_requester(story: Story) -> None:
    requester = story.release.requested_by_id
    break_rule(
        "approvals_approvaldecision",
        "UPDATE approvals_approvaldecision SET person_id = %s, login = 'amara'"
        " WHERE request_id = %s AND seat = 'compliance'",
        [requester, story.release.pk],
        drop="decision_not_by_requester",
    )

    breaks = check("I9").breaks

    assert breaks[0] == f"{story.release.public_id} was decided by its requester (amara)"
    assert "was given as compliance by amara, who did not hold that role" in breaks[1]
    assert len(breaks) == 2


def test_i9_names_a_seat_nobody_decided_and_a_decision_on_other_content(story: Story) -> None:
    break_rule(
        "approvals_approvaldecision",
        "UPDATE approvals_approvaldecision SET verdict = 'reject', content_hash = repeat('0', 64)"
        " WHERE request_id = %s AND seat = 'compliance'",
        [story.release.pk],
    )
    decision = story.release.decisions.get(seat="compliance")

    assert check("I9").breaks == [
        f"{story.release.public_id} is approved although seat compliance did not approve",
        f"decision {decision.public_id} is on another content than {story.release.public_id}",
    ]


def test_i9_names_a_request_whose_content_was_changed_after_the_approval(story: Story) -> None:
    break_rule(
        "approvals_approvalrequest",
        "UPDATE approvals_approvalrequest SET amount_minor = amount_minor * 10 WHERE id = %s",
        [story.release.pk],
    )

    assert check("I9").breaks == [
        f"the content of {story.release.public_id} is not what its hash was approved for"
    ]


def test_i9_names_an_approver_whose_role_was_granted_by_the_requester(story: Story) -> None:
    decision = story.release.decisions.get(seat="compliance")
    break_rule(
        "core_rolegrant",
        "UPDATE core_rolegrant SET granted_by_id = %s WHERE person_id = %s",
        [story.release.requested_by_id, decision.person_id],
    )

    assert check("I9").breaks == [
        f"decision {decision.public_id} was given as compliance by chen, who did not hold that"
        " role independently"
    ]


def test_i10_and_i18_name_a_state_changed_behind_the_services(story: Story) -> None:
    break_rule(
        "payments_payout",
        "UPDATE payments_payout SET state = 'PAID' WHERE id = %s",
        [story.payout.pk],
    )

    assert check("I10").breaks == []
    assert check("I18").breaks == [
        f"{story.payout.public_id} is PAID, but its history ends in EXCEPTION"
    ]


def test_i10_names_a_change_with_no_audit_row_and_one_with_two(story: Story) -> None:
    gone = AuditEvent.objects.get(subject_id=story.payout.public_id, to_state="PAID")
    twice = AuditEvent.objects.get(subject_id=story.case.public_id, to_state="OPEN")
    break_rule("core_auditevent", "DELETE FROM core_auditevent WHERE id = %s", [gone.pk])
    break_rule(
        "core_auditevent",
        "INSERT INTO core_auditevent SELECT (jsonb_populate_record(a,"
        " jsonb_build_object('id', %s::text))).* FROM core_auditevent a WHERE a.id = %s",
        [str(ids.uuid7()), twice.pk],
    )

    assert sorted(check("I10").breaks) == [
        f"{story.case.public_id} went from nothing to OPEN: 1 changes, 2 audit rows",
        f"{story.payout.public_id} went from IN_TRANSIT to PAID: 1 changes, 0 audit rows",
    ]


def test_i11_names_an_edited_row_and_rows_left_unsealed(story: Story) -> None:
    seal_all()
    edited = AuditEvent.objects.get(subject_id=story.payout.public_id, to_state="PAID")
    break_rule(
        "core_auditevent",
        "UPDATE core_auditevent SET reason = 'nothing happened' WHERE id = %s",
        [edited.pk],
    )

    finding = check("I11")

    assert finding.breaks == [
        f"audit row {edited.pk} (seal {edited.seal.seq}) was changed after it was sealed"
    ]


def test_i11_names_rows_older_than_its_bound_that_nobody_sealed(story: Story) -> None:
    unsealed = AuditEvent.objects.filter(seal=None).order_by("created_at", "pk")
    old = unsealed.filter(created_at__lt=clock.utc_now() - verification.SEALED_WITHIN)
    first, count = old[0].pk, old.count()

    finding = check_all(Moment(now=clock.utc_now()), only=["I11"])["I11"]

    assert finding.breaks == [
        f"{count} audit rows older than 60 s are not sealed, the first is {first}"
    ]


def test_i12_names_an_entry_posted_into_a_locked_period(story: Story) -> None:
    period = story.entries[0].period
    periods.lock(period.book, period.code, now=story.tick())
    entry = story.entries[0]
    break_rule(
        "ledger_journalentry",
        "UPDATE ledger_journalentry SET created_at = %s WHERE id = %s",
        [story.at + timedelta(seconds=30), entry.pk],
    )

    breaks = check("I12").breaks

    assert len(breaks) == 1
    assert breaks[0].startswith(f"entry {entry.public_id} of {entry.posting_on} was posted at ")


def test_i13_names_a_payout_that_left_without_a_passed_gate(story: Story) -> None:
    break_rule(
        "compliance_gatedecision",
        "UPDATE compliance_gatedecision SET passed = false WHERE id = %s",
        [story.gate.pk],
    )

    breaks = check("I13").breaks

    assert len(breaks) == 1
    assert breaks[0].startswith(f"payout {story.payout.public_id} left at ")


def test_i13_names_a_gate_that_passed_on_an_unknown(story: Story) -> None:
    break_rule(
        "compliance_gatedecision",
        'UPDATE compliance_gatedecision SET results = \'[{"outcome": "unknown"}]\' WHERE id = %s',
        [story.gate.pk],
    )

    assert check("I13").breaks == [
        f"gate decision {story.gate.public_id} passed although a gate was unknown"
    ]


def test_a_noun_that_appears_without_its_check_is_a_break() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE reconciliation_settlementbatch (id int)")

    assert check("I14").breaks == [
        "the table reconciliation_settlementbatch exists, and nothing recomputes I14 from it"
    ]


def test_i16_names_a_reference_to_advice_and_advice_that_acted(story: Story) -> None:
    break_rule(
        "approvals_approvalrequest",
        "UPDATE approvals_approvalrequest SET consequences ="
        ' \'[{"recommendation_id": "77"}]\' WHERE id = %s',
        [story.resolution.pk],
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE follows_advice (id int, r uuid REFERENCES cases_recommendation (id))"
        )
    story.payout.confirm_failed()
    stories.state.save(
        story.payout, actor=stories.service("advice"), now=story.tick(), action="payout.failed"
    )
    row = AuditEvent.objects.get(service="advice")

    assert check("I16").breaks == [
        "table follows_advice refers to recommendations",
        f"{story.resolution.public_id}: approvals_approvalrequest.consequences names advice as a"
        " cause",
        f"audit row {row.public_id}: advice changed the state of {story.payout.public_id}",
    ]


def test_i18_names_a_transition_the_table_does_not_have(story: Story) -> None:
    history = type(story.payout).history.model._meta.db_table
    break_rule(
        history,
        f"UPDATE {history} SET state = 'DRAFT' WHERE id = %s AND state = 'IN_TRANSIT'",
        [story.payout.pk],
    )

    assert check("I18").breaks == [
        f"{story.payout.public_id} went from DISPATCHING to DRAFT, which is not in the table",
        f"{story.payout.public_id} went from DRAFT to PAID, which is not in the table",
    ]


def test_the_list_of_breaks_is_bounded() -> None:
    finding = Finding()
    for n in range(50):
        finding.add(f"break {n}")

    assert len(finding.breaks) == 21
    assert finding.breaks[-1] == "further breaks are not listed"


def test_keys_are_the_eighteen_of_the_house() -> None:
    assert tuple(f"I{n}" for n in range(1, 19)) == KEYS
