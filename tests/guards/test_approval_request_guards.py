"""Approval requests attacked as the app role: content, quorum, states, execution (D6, I9, I18)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals import services
from approvals.models import ApprovalRequest, PolicyVersion
from payops.core import ids, state
from payops.core.state import DirectWrite
from tests.approvals.asking import NOW, ask, fresh, meridian, vote
from tests.approvals.conftest import approval_topic  # noqa: F401
from tests.guards.approval_attacks import AT, REQUESTS, refused, run, set_state
from tests.people import actor, person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "payout_release"),
        ("subject_id", "po_other"),
        ("content_hash", "0" * 64),
        ("facts", "{}"),
        ("barred", '["x"]'),
        ("amount_minor", 1),
        ("amount_minor", None),
        ("currency", "USD"),
        ("risk", "raised"),
        ("reporting_minor", 1),
        ("cumulative_key", "be_other"),
        ("business_day", "2020-01-01"),
        ("expires_at", "2099-01-01"),
        ("consequences", '["none"]'),
    ],
)
def test_the_content_of_a_request_never_changes(column: str, value: Any) -> None:
    """D6"""
    request = ask("12400.00")

    with refused("content of an approval request never changes"):
        run(f"UPDATE {REQUESTS} SET {column} = %s WHERE id = %s", value, request.pk)

    assert fresh(request).history.count() == 1


@pytest.mark.parametrize("column", ["requested_by_id", "policy_version_id", "book_id"])
def test_requester_policy_and_book_of_a_request_never_change(column: str) -> None:
    request = ask("12400.00")
    other = {
        "requested_by_id": person("lena").pk,
        "policy_version_id": PolicyVersion.objects.exclude(pk=request.policy_version_id)[0].pk,
        "book_id": PolicyVersion.objects.exclude(book=meridian())[0].book_id,
    }[column]

    with refused("content of an approval request never changes"):
        run(f"UPDATE {REQUESTS} SET {column} = %s WHERE id = %s", other, request.pk)


def test_a_request_is_not_approved_without_all_its_seats() -> None:
    """I9: quorum."""
    request = ask("12400.00")
    with refused("the seat finance_manager has not approved"):
        set_state(request, "APPROVED")
    vote(request, "marco")
    with refused("the seat compliance has not approved"):
        set_state(request, "APPROVED")

    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET seats = '[\"finance_manager\"]', state = 'APPROVED'")
    with refused("a request without seats"):
        run(f"UPDATE {REQUESTS} SET seats = '[]', state = 'APPROVED'")
    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET tier = 'lower', seats = '[\"ops_lead\"]', state = 'APPROVED'")
    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET tier = 'no such', state = 'APPROVED'")

    assert fresh(request).state == "PENDING"


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ("REJECTED", "APPROVED"),
        ("REJECTED", "PENDING"),
        ("REJECTED", "VOID"),
        ("APPROVED", "PENDING"),
        ("APPROVED", "REJECTED"),
        ("VOID", "APPROVED"),
        ("VOID", "PENDING"),
        ("WITHDRAWN", "PENDING"),
        ("EXPIRED", "PENDING"),
        ("EXPIRED", "APPROVED"),
        ("PENDING", "SOMETHING"),
    ],
)
def test_no_transition_outside_the_table(end: str, becomes: str) -> None:
    """I18"""
    request = ended_in(end)

    with refused(f"may not go from {end} to {becomes}"):
        set_state(request, becomes)

    assert fresh(request).state == end


def ended_in(end: str) -> ApprovalRequest:
    request = ask("10.00")
    by = {"reason": "test", "actor": actor("amara"), "now": AT}
    if end in ("APPROVED", "REJECTED"):
        vote(request, "lena", "approve" if end == "APPROVED" else "reject")
    elif end == "VOID":
        services.undo(request_id=request.public_id, **by)  # type: ignore[arg-type]
    elif end == "WITHDRAWN":
        services.withdraw(request_id=request.public_id, **by)  # type: ignore[arg-type]
    elif end == "EXPIRED":
        services.expire_due(NOW + timedelta(hours=72))
    return request


@pytest.mark.parametrize("born", ["APPROVED", "VOID", "EXPIRED"])
def test_a_request_is_born_pending(born: str) -> None:
    ask("10.00")
    columns = [str(f.column) for f in ApprovalRequest._meta.concrete_fields]
    copied = ", ".join(c for c in columns if c not in ("id", "state", "subject_id"))

    with refused(f"may not go from nothing to {born}"):
        run(
            f"INSERT INTO {REQUESTS} (id, state, subject_id, {copied})"
            f" SELECT %s, %s, 'po_other', {copied} FROM {REQUESTS}",
            ids.uuid7(),
            born,
        )


def test_one_pending_request_per_subject() -> None:
    request = ask("10.00")
    columns = [str(f.column) for f in ApprovalRequest._meta.concrete_fields]
    copied = ", ".join(c for c in columns if c != "id")

    with refused("approval_pending_once"):
        run(
            f"INSERT INTO {REQUESTS} (id, {copied}) SELECT %s, {copied} FROM {REQUESTS}",
            ids.uuid7(),
        )

    assert ApprovalRequest.objects.get().pk == request.pk


def test_what_is_executed_is_neither_voided_nor_executed_again() -> None:
    """F9, D6"""
    request = ask("10.00")
    with refused("only a granted approval is executed"):
        run(f"UPDATE {REQUESTS} SET executed_at = now()")
    vote(request, "lena")
    with transaction.atomic():
        services.begin_execution(
            request_id=request.pk, content_hash=request.content_hash, now=AT, actor=actor("lena")
        )

    with refused("neither undone nor executed again"):
        set_state(request, "VOID")
    with refused("neither undone nor executed again"):
        run(f"UPDATE {REQUESTS} SET executed_at = now() + interval '1 day'")
    with refused("neither undone nor executed again"):
        run(f"UPDATE {REQUESTS} SET executed_at = NULL")
    with refused("seats of a decided request never change"):
        run(f"UPDATE {REQUESTS} SET seats = '[\"treasury\"]'")


def test_requests_are_never_deleted() -> None:
    ask("10.00")

    with refused("permission denied"):
        run(f"DELETE FROM {REQUESTS}")
    with refused("permission denied"):
        run(f"TRUNCATE {REQUESTS} CASCADE")

    assert ApprovalRequest.objects.count() == 1


def test_requests_are_written_by_the_services_alone() -> None:
    """I10: the ORM's own ways of writing are closed."""
    request = ask("12400.00")

    attacks: tuple[Callable[[], Any], ...] = (
        request.save,
        request.delete,
        lambda: ApprovalRequest.objects.update(state="APPROVED"),
        lambda: ApprovalRequest.objects.filter(pk=request.pk).delete(),
        lambda: ApprovalRequest.objects.bulk_update([request], ["seats"]),
    )
    for attack in attacks:
        with pytest.raises(DirectWrite):
            attack()
    with pytest.raises(AttributeError):
        request.state = "APPROVED"

    assert fresh(request).state == "PENDING"


def test_a_transition_called_by_hand_meets_the_quorum_of_the_database() -> None:
    request = ask("12400.00")
    request.approve(at=AT)

    with refused("the seat finance_manager has not approved"):
        state.save(request, actor=actor("lena"), now=AT, action="approval.approved")

    assert fresh(request).state == "PENDING"
    assert fresh(request).history.count() == 1
