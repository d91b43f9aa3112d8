"""Payouts, intents, calls and holds attacked past the services (I7, I8, I13, D7)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from approvals import services as approvals
from compliance.models import GateDecision
from payops.commands.bootstrap import as_owner
from payops.core import clock, state
from payops.core.actors import service
from payops.core.state import DirectWrite
from payops.flows import holds
from payops.flows.payouts import request as payout_flow
from payops.payments.models import Hold, Intent, Payout, ProviderCall
from tests import builders
from tests.builders import approval_of, reload, seller
from tests.flows.provider import approved
from tests.guards.approval_attacks import refused, run
from tests.people import actor, person
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

NOT_APPROVED = "only with its own granted approval"
NOT_GATED = "only with a passed gate decision"
ACTOR = service("attack")


def leave(payout: Payout, **change: Any) -> None:
    """By hand into DISPATCHING, the way an intruder with the app role would."""
    run("UPDATE payments_payout SET state = 'APPROVED' WHERE id = %s", payout.pk)
    sets = ", ".join(f"{name} = %s" for name in change)
    run(
        "UPDATE payments_payout SET state = 'DISPATCHING', initiated_at = now()"
        f"{', ' + sets if sets else ''} WHERE id = %s",
        *change.values(),
        payout.pk,
    )


def forge_gate(payout: Payout, **change: Any) -> GateDecision:
    values = {
        "book": payout.book,
        "payout_id": payout.pk,
        "passed": True,
        "ruleset": "gates-1",
        "results": [],
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "bank_hash": payout.bank_hash,
        "approval_id": payout.approval_id,
        **change,
    }
    return GateDecision.objects.create(**values)


def still(payout: Payout, expected: str) -> None:
    """The refused attempt left nothing behind."""
    assert (reload(payout).state, Intent.objects.count()) == (expected, 0)


def test_a_payout_does_not_leave_without_its_own_granted_approval() -> None:
    payout, other = builders.requested("1200.00"), approved("1200.00")
    forge_gate(payout)
    forge_gate(payout, approval_id=other.approval_id)

    for approval_id in (payout.approval_id, other.approval_id, "", "ap_" + "0" * 32):
        with refused(NOT_APPROVED):
            leave(payout, approval_id=approval_id)

    still(payout, "AWAITING_APPROVAL")


def test_a_payout_does_not_leave_on_an_approval_that_was_taken_back() -> None:
    payout = approved("1200.00")
    forge_gate(payout)
    approvals.undo(
        request_id=payout.approval_id, reason="no", actor=actor("lena"), now=clock.utc_now()
    )

    with refused(NOT_APPROVED):
        leave(payout)

    still(payout, "AWAITING_APPROVAL")


def test_a_payout_does_not_leave_without_a_passed_gate_on_exactly_its_content() -> None:
    payout = approved("1200.00")

    with refused(NOT_GATED):
        leave(payout)
    for change in (
        {"passed": False},
        {"amount_minor": 1},
        {"currency": "USD"},
        {"bank_hash": "0" * 64},
        {"approval_id": ""},
    ):
        forge_gate(payout)
        forge_gate(payout, **change)
        with refused(NOT_GATED):
            leave(payout)

    still(payout, "AWAITING_APPROVAL")


@pytest.mark.parametrize("on", ["payout", "beneficiary"])
def test_a_payout_does_not_leave_under_a_hold_even_with_a_forged_gate(on: str) -> None:
    payout = approved("1200.00")
    target = payout.public_id if on == "payout" else payout.beneficiary.public_id
    holds.place(target_id=target, reason="audit", actor=actor("lena"), now=clock.utc_now())
    forge_gate(payout)

    with refused("a hold covers the payout or its beneficiary"):
        leave(payout)

    still(payout, "AWAITING_APPROVAL")


def test_a_payout_does_not_leave_to_bank_details_that_changed_after_its_approval() -> None:
    """D6, F27: the approved hash against the details in force, in the database itself."""
    payout = approved("1200.00")
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE payments_beneficiary SET bank_hash = repeat('0', 64)")
    approval = approval_of(payout.approval_id)
    assert approval.facts["bank_hash"] != seller().bank_hash
    forge_gate(payout)

    with refused("the bank details are not those that were approved, or cool down"):
        leave(payout)
    with refused("what a payout pays to whom never changes"):
        run("UPDATE payments_payout SET bank_hash = %s", seller().bank_hash)

    still(payout, "AWAITING_APPROVAL")


def test_a_payout_does_not_leave_while_its_bank_details_cool_down() -> None:
    """F27: whatever moment the intruder claims it is."""
    payout = approved("1200.00")
    _payable_from("now() + interval '1 hour'")
    forge_gate(payout)

    with refused("or cool down"):
        leave(payout, created_at="2099-01-01T00:00:00Z")

    still(payout, "AWAITING_APPROVAL")


def test_a_reissue_does_not_leave_before_its_original_is_verified_terminal() -> None:
    """I8"""
    original = paid_payout("1200.00")
    fresh = _reissue_of(original)
    forge_gate(fresh)

    with refused("not verified terminal at the provider"):
        leave(fresh)
    with pytest.raises(IntegrityError, match="reissue_of"):
        _reissue_of(original)


def test_nothing_of_what_a_payout_pays_to_whom_can_be_changed() -> None:
    payout, other = builders.requested("1200.00"), sent_payout("7.00", reference="S-1002")
    for column, value in {
        "amount_minor": 1,
        "currency": "USD",
        "beneficiary_id": other.beneficiary_id,
        "account_id": builders.account("stripe").pk,
        "merchant_ref": "P-other",
        "requested_by_id": other.beneficiary.book_id,
        "reissue_of_id": other.pk,
        "request_key": "another",
        "funding": "bank",
        "bank_hash": "0" * 64,
    }.items():
        with refused("what a payout pays to whom never changes"):
            run(f"UPDATE payments_payout SET {column} = %s WHERE id = %s", value, payout.pk)
    with refused("permission denied"):
        run("DELETE FROM payments_payout")


def test_the_orm_writes_no_payout_past_its_services() -> None:
    payout = builders.requested("1200.00")

    for attack in (
        lambda: Payout.objects.filter(pk=payout.pk).update(state="PAID"),
        lambda: Payout.objects.bulk_update([payout], ["amount_minor"]),
        lambda: Payout.objects.all().delete(),
        payout.save,
        payout.delete,
    ):
        with pytest.raises(DirectWrite):
            attack()
    with pytest.raises(AttributeError):
        payout.state = "PAID"

    still(payout, "AWAITING_APPROVAL")


def test_a_transition_called_by_hand_meets_the_guards_of_the_database() -> None:
    payout = approved("1200.00")
    payout = reload(payout)

    with refused(NOT_GATED):
        payout.approve()
        state.save(payout, actor=ACTOR, now=clock.utc_now(), action="attack")
        payout.dispatch(at=clock.utc_now(), expected_on=None)
        state.save(payout, actor=ACTOR, now=clock.utc_now(), action="attack")

    still(payout, "AWAITING_APPROVAL")


def test_an_intent_needs_the_granted_approval_of_its_own_payout() -> None:
    """I7"""
    pending, other = builders.requested("1200.00"), approved("7.00", reference="S-1002")

    for approval_id in ("", pending.approval_id, other.approval_id):
        with refused("an intent needs the granted approval of its subject"):
            _intent(pending, approval_id)

    still(pending, "AWAITING_APPROVAL")


def test_an_intent_and_its_calls_keep_what_was_asked_and_answered() -> None:
    payout = sent_payout("1200.00")
    intent = Intent.objects.get(subject_id=payout.public_id)
    for column in ("subject_id", "idempotency_key", "request_hash", "approval_id", "kind"):
        with refused("an intent keeps its subject, key and request"):
            run(f"UPDATE payments_intent SET {column} = 'other'")
    with pytest.raises(IntegrityError, match="intent_"):
        _intent(payout, payout.approval_id, key=intent.idempotency_key)
    for change in ("outcome = 'failed'", "provider_ref = 'spo_other'"):
        with refused("the outcome of a provider call is written once"):
            run(f"UPDATE payments_providercall SET {change}")
    assert ProviderCall.objects.get().outcome == "succeeded"


def test_a_hold_is_only_ever_released_once_and_keeps_who_placed_it() -> None:
    """D7, F2"""
    payout = builders.requested("1200.00")
    by = {"actor": actor("lena"), "now": clock.utc_now()}
    one = holds.place(target_id=payout.public_id, reason="first", **by)
    two = holds.place(target_id=payout.beneficiary.public_id, reason="second", **by)
    for change in ("reason = 'x'", "source = 'runbook'", "placed_by_service = 'x'", "key = 'x'"):
        with refused("a hold is only ever released"):
            run(f"UPDATE payments_hold SET {change}, released_at = now() WHERE id = %s", one.pk)

    holds.release(hold_id=one.public_id, reason="done", **by)

    assert Hold.objects.get(pk=two.pk).released_at is None
    for change in ("released_at = NULL", "release_reason = 'other'"):
        with refused("a hold is only ever released"):
            run(f"UPDATE payments_hold SET {change} WHERE id = %s", one.pk)
    with pytest.raises(IntegrityError, match="hold_covers_one"):
        Hold.objects.create(
            book=payout.book,
            payout=payout,
            beneficiary=payout.beneficiary,
            source="manual",
            key="k",
        )


def _payable_from(moment: str) -> None:
    """As the schema's owner, who is above the guards."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE payments_beneficiary SET payable_from = {moment}")


def _intent(payout: Payout, approval_id: str, *, key: str = "stolen") -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_intent (id, created_at, book_id, account_id, kind, subject_id,"
            " approval_id, idempotency_key, request_hash, state, fence, provider_ref, outcome)"
            " VALUES (gen_random_uuid(), now(), %s, %s, 'payout', %s, %s, %s, '', 'APPROVED', 0,"
            " '', '')",
            [payout.book_id, payout.account_id, payout.public_id, approval_id, key],
        )


def _reissue_of(original: Payout) -> Payout:
    """A re-issue written past the flow, then approved like any payout."""
    fresh = Payout(
        book=original.book,
        account=original.account,
        beneficiary=original.beneficiary,
        amount_minor=original.amount_minor,
        currency=original.currency,
        merchant_ref=f"{original.merchant_ref}-R1",
        reissue_of=original,
        requested_by=person("amara"),
        request_key=f"again:{clock.utc_now().isoformat()}",
        bank_hash=original.bank_hash,
    )
    now = clock.utc_now()
    with transaction.atomic():
        state.save(fresh, actor=ACTOR, now=now, action="attack")
        approval = approvals.request_approval(
            book=fresh.book,
            kind=payout_flow.KIND,
            subject_id=fresh.public_id,
            title="again",
            facts={},
            reason="again",
            actor=actor("amara"),
            now=now,
            requested_by=person("amara"),
            amount=fresh.amount,
        )
        fresh.ask_approval(approval_id=approval.public_id)
        state.save(fresh, actor=ACTOR, now=now, action="attack")
    builders.approve_all(approval)
    return fresh
