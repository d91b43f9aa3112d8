"""The tables: seeded for every book, shown in words, changed only through approval (D2, AP-9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals import policies, refusals, selectors
from approvals.models import PolicyVersion
from approvals.policies import PolicyError, parse, rules_for
from approvals.policy_changes import activate_policy, propose_policy
from payops.core.actors import service
from payops.core.models import AuditEvent, Book
from tests.approvals.asking import NOW, ask, fresh, meridian, vote
from tests.people import actor, person

AT = NOW + timedelta(hours=2)


@pytest.mark.django_db
def test_every_book_has_every_table_once() -> None:
    """AP-9"""
    for book in Book.objects.all():
        held = PolicyVersion.objects.filter(book=book)
        others = [] if book.is_system else [("lanes", 1), ("refund.policy", 1)]
        assert sorted(held.values_list("name", "version")) == sorted(
            [(f"approval.{kind}", 1) for kind in policies.KIND_LABELS] + others
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "seats"),
    [
        ("bank_detail_change", ["finance_manager", "compliance"]),
        ("beneficiary_create", ["compliance"]),
        ("role_grant", ["compliance"]),
        ("person_create", ["compliance"]),
        ("login_link", ["compliance"]),
        ("api_key", ["compliance", "finance_manager"]),
        ("policy_change", ["finance_manager", "treasury"]),
        ("dead_letter_discard", ["finance_manager"]),
        ("payout_not_sent", ["finance_manager", "treasury"]),
        ("allowlist_change", ["ops_lead"]),
        ("account_settings", ["ops_lead", "finance_manager"]),
        ("webhook_secret", ["ops_lead", "finance_manager"]),
        ("manual_journal", ["finance_manager"]),
        ("period_lock", ["finance_manager"]),
        ("period_reopen", ["finance_manager", "treasury"]),
        ("late_posting", ["finance_manager"]),
        ("book_settings", ["finance_manager", "treasury"]),
        ("rate_import", ["treasury"]),
        ("statement_parity", ["finance_manager"]),
        ("refund_offline", ["finance_manager"]),
        ("refund_not_sent", ["finance_manager"]),
        ("refund_obligation", ["finance_manager"]),
    ],
)
def test_changes_of_truth_have_fixed_seats(kind: str, seats: list[str]) -> None:
    """D5"""
    request = ask(None, kind=kind, subject_id="x")

    assert (request.tier, request.seats) == ("fixed", seats)
    assert ask("99999.00", kind=kind, subject_id="y").seats == seats


@pytest.mark.django_db
def test_the_policy_is_shown_as_a_table_in_words() -> None:
    """D2: finance can read it."""
    tables = {t.version.name: t for t in selectors.policy_tables(meridian(), NOW)}
    shown = tables["approval.payout_exception"]

    assert [(row.tier, row.band, row.seats) for row in shown.rows] == [
        ("lower", "below 5,000.00 EUR", "Payments operations lead"),
        (
            "middle",
            "5,000.00 EUR to 50,000.00 EUR inclusive",
            "Finance manager and Compliance",
        ),
        ("top", "above 50,000.00 EUR", "Treasury"),
    ]
    assert shown.conditions[0] == "Bulk upload: asked through is bulk → adds Compliance"
    assert tables["approval.role_grant"].rows[0].band == "any amount"
    assert len(tables) == 26


def test_edges_are_in_minor_units_of_the_reporting_currency() -> None:
    edges = [tier["top_minor"] for tier in rules_for("payout_release", currency="JPY")["tiers"]]

    assert edges == [5_000, 50_000, None]


def _tiers(rules: dict[str, Any], **change: Any) -> None:
    rules["tiers"][0].update(change)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda r: r.pop("tiers"), "incomplete"),
        (lambda r: r["tiers"].clear(), "0 tiers"),
        (lambda r: r["tiers"].pop(), "the last tier needs no upper edge"),
        (lambda r: _tiers(r, seats=[]), "each once, out of"),
        (lambda r: _tiers(r, seats=["auditor"]), "each once, out of"),
        (lambda r: _tiers(r, seats=["access_admin"]), "each once, out of"),
        (lambda r: _tiers(r, seats=["ops_lead", "ops_lead"]), "each once, out of"),
        (lambda r: _tiers(r, top_minor=5_000_001), "do not rise"),
        (lambda r: _tiers(r, top_minor=0), "do not rise"),
        (lambda r: _tiers(r, top_minor=None), "do not rise"),
        (lambda r: _tiers(r, top_minor=4999.5), "not a whole number"),
        (lambda r: _tiers(r, key="top"), "same key"),
        (lambda r: r.update(expires_hours=0), "hours to decide"),
        (lambda r: r["conditions"].append({"name": "x", "adds": ["treasury"]}), "names nothing"),
        (lambda r: r["conditions"][0].update(removes=["ops_lead"]), "unknown parts"),
    ],
)
def test_a_table_that_cannot_be_applied_is_refused(
    spoil: Callable[[dict[str, Any]], Any], words: str
) -> None:
    rules = rules_for("payout_exception", currency="EUR")
    parse(rules, version=1)

    spoil(rules)

    with pytest.raises(PolicyError, match=words):
        parse(rules, version=1)


def proposed(rules: dict[str, Any]) -> Any:
    with transaction.atomic():
        return propose_policy(
            book=meridian(),
            kind="payout_exception",
            rules=rules,
            reason="the board lowered the limit",
            actor=actor("ingrid"),
            now=NOW,
            requested_by=person("ingrid"),
        )


def activated(request: Any) -> PolicyVersion:
    with transaction.atomic():
        return activate_policy(request_id=request.public_id, actor=service("governance"), now=AT)


@pytest.mark.django_db
def test_a_new_version_comes_from_an_approved_change_and_applies_to_new_requests() -> None:
    """D2, D5, F23"""
    before = ask("1500.00")
    rules = rules_for("payout_exception", currency="EUR")
    rules["tiers"][0]["top_minor"] = 100_000
    change = proposed(rules)
    with pytest.raises(refusals.NotApproved):
        activated(change)
    assert vote(change, "marco").kind == "recorded"
    assert vote(change, "sofia").kind == "approved"

    version = activated(change)
    after = ask("1500.00", now=AT)

    assert (version.version, version.approval_id) == (2, change.public_id)
    assert (after.policy_version, after.tier) == (version, "middle")
    assert fresh(before).policy_version.version == 1
    assert vote(before, "lena", now=AT).kind == "approved"
    row = AuditEvent.objects.get(action="policy.activated")
    assert row.evidence["version"] == 2
    with pytest.raises(refusals.AlreadyExecuted):
        activated(change)


@pytest.mark.django_db
def test_a_change_approved_against_an_older_version_is_not_activated() -> None:
    rules = rules_for("payout_exception", currency="EUR")
    rules["tiers"][0]["top_minor"] = 100_000
    first = proposed(rules)
    for username in ("marco", "sofia"):
        vote(first, username)
    rules["tiers"][0]["top_minor"] = 200_000
    second = proposed(rules)
    for username in ("marco", "sofia"):
        vote(second, username)
    activated(second)

    with pytest.raises(refusals.ContentChanged, match="v2 is active by now"):
        activated(first)

    assert _versions("payout_exception") == [1, 2]
    assert fresh(first).executed_at is None


def _versions(kind: str) -> list[int]:
    held = PolicyVersion.objects.filter(book=meridian(), name=f"approval.{kind}")
    return list(held.order_by("version").values_list("version", flat=True))


@pytest.mark.django_db
def test_a_broken_table_is_never_put_to_anybody() -> None:
    with pytest.raises(PolicyError):
        proposed(rules_for("payout_release", currency="EUR"))
