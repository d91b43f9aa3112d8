"""Every flow takes its row locks in the one order, read from the SQL it sent (SC-4, WH-24)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals import services as approvals
from payops.core import clock, locks, queues
from payops.flows import beneficiary, holds, tasks
from payops.flows.payouts import dispatch as payout_dispatch
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import request as payout_flow
from payops.payments.models import Beneficiary, Payout
from tests import books, builders
from tests.builders import approval_of, approve_all, drain, seller
from tests.flows.lifecycle import Teller, change_bank_details, decide_case, open_case, propose
from tests.flows.provider import approved
from tests.people import actor
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = {model._meta.label: model._meta.db_table for model in apps.get_models()}
RANK = {TABLES.get(label, label): rank for rank, label in enumerate(locks.ORDER)}
TABLE = re.compile(r'FROM "?([a-z_]+)"?')
KEY = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
LOCKING = ("FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE")
Locks = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def _postings_look_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A posting by memory locks its period in a trigger, where no SQL tells of it."""
    monkeypatch.setattr("ledger.posting.FEW", 0)


def transactions(statements: list[str]) -> Iterator[Locks]:
    """The (table, key) of each first lock of a governed row, per transaction."""
    held: Locks = []
    for statement in statements:
        if statement in ("BEGIN", "COMMIT", "ROLLBACK"):
            yield held
            held = []
        elif any(word in statement for word in LOCKING):
            found = TABLE.search(statement)
            table = found[1] if found else ""
            if table in RANK:
                keys = KEY.findall(statement.partition("WHERE")[2])
                held += [(table, key) for key in keys if (table, key) not in held]
    yield held


@contextmanager
def in_order(*, at_least: set[str]) -> Iterator[None]:
    """Fails when a lock is taken after one that comes later, or when a table is never locked."""
    with CaptureQueriesContext(connection) as captured:
        yield
    taken = list(transactions([query["sql"] for query in captured.captured_queries]))
    for one in taken:
        ranks = [RANK[table] for table, _ in one]
        assert ranks == sorted(ranks), one
    assert {table for one in taken for table, _ in one} >= at_least


def test_the_reader_of_the_sql_sees_a_wrong_order() -> None:
    """A check that cannot fail proves nothing."""
    payout = builders.requested("10.00")

    with pytest.raises(AssertionError), in_order(at_least=set()), transaction.atomic():
        locks.row(Payout, payout.pk)
        locks.row(Beneficiary, payout.beneficiary_id)


def test_request_release_and_dispatch_lock_in_order() -> None:
    with in_order(
        at_least={"payments_beneficiary", "payments_payout", "approvals_approvalrequest"}
    ):
        sent_payout("1200.00")
        payout = approved("10.00")
        payout_flow.cancel(payout_id=payout.pk, reason="not needed", **_by("lena"))
        drain()


def test_events_in_one_batch_with_a_void_and_a_late_learning_lock_in_order() -> None:
    first, second = sent_payout("1200.00"), approved("1300.00")
    Teller(first).tell("failed")
    queues.drain_once(tasks.INBOX, lane="high")
    propose(open_case(first))  # type: ignore[arg-type]
    payout_flow.on_release_decided(approval_of(second.approval_id), clock.utc_now())
    assert payout_dispatch._begin(second.pk, clock.utc_now()) is not None
    Teller(first).tell("paid")
    Teller(second).tell("created")

    with in_order(
        at_least={
            "payments_beneficiary",
            "payments_payout",
            "payments_intent",
            "approvals_approvalrequest",
        }
    ):
        drain()


@pytest.mark.parametrize("resolution", ["release", "hold", "escalate", "request_details"])
def test_proposal_and_runbook_lock_in_order(resolution: str) -> None:
    payout = paid_payout("1200.00")

    with in_order(
        at_least={
            "payments_beneficiary",
            "payments_payout",
            "cases_case",
            "approvals_approvalrequest",
            "ledger_accountingperiod",
        }
    ):
        Teller(payout).tell("failed")
        drain()
        decide_case(payout, resolution)


def test_an_approval_that_is_void_by_then_locks_in_order() -> None:
    payout = paid_payout("1200.00")
    Teller(payout).tell("failed")
    drain()
    approval = propose(open_case(payout))  # type: ignore[arg-type]
    change_bank_details(payout.beneficiary)

    with in_order(at_least={"cases_case", "approvals_approvalrequest"}):
        approve_all(approval)
        drain()


def test_bank_changes_holds_and_verification_lock_in_order() -> None:
    """A change takes its beneficiary before its approval, like the request for one."""
    with in_order(at_least={"payments_beneficiary", "approvals_approvalrequest"}):
        change_bank_details(seller())
        hold = holds.place(target_id=seller().public_id, reason="audit", **_by("lena"))
        holds.release(hold_id=hold.public_id, reason="done", **_by("lena"))
        beneficiary.verify(
            beneficiary_id=seller().pk, evidence="called back on the number", **_by("tomas")
        )


def test_undo_withdraw_and_expiry_lock_in_order() -> None:
    taken_back, withdrawn = approved("10.00"), builders.requested("11.00")

    with in_order(at_least={"approvals_approvalrequest", "payments_payout"}):
        approvals.undo(request_id=taken_back.approval_id, reason="no", **_by("lena"))
        approvals.withdraw(request_id=withdrawn.approval_id, reason="no", **_by("amara"))
        approvals.expire_due(clock.utc_now())
        drain()


def test_a_storm_and_its_opening_lock_in_order() -> None:
    books.with_settings(case_storm_cap=1)
    payouts = [sent_payout("12.00"), sent_payout("13.00")]

    with in_order(at_least={"payments_beneficiary", "payments_payout", "cases_case"}):
        for payout in payouts:
            Teller(payout).tell("failed")
        drain()
        systemic = payout_exception.Case.objects.get(rule="systemic")
        payout_exception.open_members(case_id=systemic.pk, **_by("lena"))


def _by(username: str) -> dict[str, Any]:
    return {"actor": actor(username), "now": clock.utc_now()}
