"""The refund policy of a book: seeded, versioned, tried on the last month before it changes.

Owns which version applies now and what another table would have decided. A version that is not
the one that was approved grants nothing by rule. A decided request keeps the version it was decided
under. Serves AP-7, AP-8, AP-9, RF-14, F23.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from approvals import policies, policy_changes
from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from approvals.policies import PolicyError
from payops.core import ids
from payops.core.models import Book
from payops.core.money import Money
from payops.payments import refund_table
from payops.payments.models import Refund, RefundDecision
from payops.payments.refund_rules import Facts, checks_of, verdict_of, words_of
from payops.payments.refund_table import NAME, Rules, TableError

log = logging.getLogger(__name__)

LOOKED_BACK = timedelta(days=30)
DECISIONS_MAX = 20_000
CHANGED_SHOWN_MAX = 100
KEPT_MAX = 64
VERDICTS = tuple(str(verdict) for verdict in RefundDecision.Verdict)
# A version never changes, so what was read of it once holds.
_kept: dict[UUID, Active] = {}


@dataclass(frozen=True, slots=True)
class Active:
    """The rules that decide now and the stored version they are; None: none is, nothing is auto."""

    rules: Rules
    version: PolicyVersion | None


@dataclass(frozen=True, slots=True)
class Changed:
    """One stored request that the other table would have decided otherwise."""

    refund_id: str
    amount: Money
    reason_code: str
    decided_at: datetime
    before: str
    after: str
    words: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What another table would have decided about the last days' requests.

    `counts` holds (verdict, by the active rules, by the other). `is_cut`: older ones were not
    looked at. `changed` shows the first of them, `changed_count` all.
    """

    since: datetime
    requests: int
    is_cut: bool
    counts: tuple[tuple[str, int, int], ...]
    changed_count: int
    changed: tuple[Changed, ...]


def seed(book: Book, now: datetime) -> None:
    """Version 1 of a book's table; run by the schema's owner, again without effect."""
    if PolicyVersion.objects.filter(book=book, name=NAME).exists():
        return
    rules = refund_table.seeded(currency=book.reporting_currency)
    refund_table.parse(rules, currency=book.reporting_currency, version=1)
    PolicyVersion.objects.create(
        book=book,
        name=NAME,
        version=1,
        rules=rules,
        content_hash=hash_of(rules),
        active_from=now,
        created_at=now,
    )


def active_as(version_id: UUID | None, book: Book, now: datetime) -> Active:
    """The version that the caller found to be active, mostly without asking the database again."""
    kept = _kept.get(version_id) if version_id is not None else None
    return kept or active(book, now)


def active(book: Book, now: datetime) -> Active:
    """The version that decides a request asked now; one statement."""
    version = policies.active_version(book=book, name=NAME, now=now)
    currency = book.reporting_currency
    if version is not None:
        try:
            if hash_of(version.rules) != version.content_hash:
                raise TableError("it is not the table that was approved")
            rules = refund_table.parse(version.rules, currency=currency, version=version.version)
        except TableError as error:
            log.error("%s v%d of %s: %s", NAME, version.version, book.code, error)
        else:
            if len(_kept) >= KEPT_MAX:
                _kept.clear()
            _kept[version.pk] = Active(rules, version)
            return _kept[version.pk]
    seeded = refund_table.seeded(currency=currency)
    parsed = refund_table.parse(seeded, currency=currency, version=0)
    return Active(replace(parsed, auto_max_minor=0), None)


def rules_of(book: Book, now: datetime) -> Rules:
    return active(book, now).rules


def active_table(book: Book, now: datetime) -> tuple[PolicyVersion | None, dict[str, Any]]:
    """The stored table as people change it; without a version, the one in the code."""
    version = policies.active_version(book=book, name=NAME, now=now)
    seeded = refund_table.seeded(currency=book.reporting_currency)
    return version, version.rules if version else seeded


def check(rules: Mapping[str, Any], book: Book) -> None:
    """Raises PolicyError before anybody is asked about a table that cannot be applied."""
    try:
        refund_table.parse(rules, currency=book.reporting_currency, version=0)
    except TableError as error:
        raise PolicyError(str(error)) from error


def outlook(*, rules: Mapping[str, Any], book: Book, now: datetime) -> Outlook:
    """What that table would have decided last month; at most DECISIONS_MAX requests are looked at.

    Both tables are tried on the stored facts, so that the difference is the tables' alone. Raises
    PolicyError.
    """
    check(rules, book)
    before = rules_of(book, now)
    after = refund_table.parse(rules, currency=book.reporting_currency, version=before.version + 1)
    floor = now - LOOKED_BACK
    newest = RefundDecision.objects.filter(book=book, stage="request", created_at__gte=floor)
    found = list(
        newest.order_by("-created_at").values_list("refund_id", "created_at", "facts")[
            : DECISIONS_MAX + 1
        ]
    )
    is_cut, found = len(found) > DECISIONS_MAX, found[:DECISIONS_MAX]
    counted: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    changed: list[Changed] = []
    changed_count = 0
    for refund_id, decided_at, stored in found:
        facts = Facts.from_plain(stored)
        was = verdict_of(checks_of(facts, before))
        checks = checks_of(facts, after)
        would = verdict_of(checks)
        counted["before"][was] += 1
        counted["after"][would] += 1
        if was == would:
            continue
        changed_count += 1
        if len(changed) < CHANGED_SHOWN_MAX:
            changed.append(
                Changed(
                    refund_id=ids.render(Refund.PREFIX, refund_id),
                    amount=Money(facts.amount_minor, facts.currency),
                    reason_code=facts.reason_code,
                    decided_at=decided_at,
                    before=was,
                    after=would,
                    words=words_of(checks, after),
                )
            )
    return Outlook(
        since=found[-1][1] if is_cut else floor,
        requests=len(found),
        is_cut=is_cut,
        counts=tuple(
            (verdict, counted["before"][verdict], counted["after"][verdict]) for verdict in VERDICTS
        ),
        changed_count=changed_count,
        changed=tuple(changed),
    )


TABLE = policy_changes.Table(
    name=NAME,
    title="New refund policy",
    check=check,
    applies_to="refunds asked for from then on",
    leaves_alone="refunds that were decided keep the version they were decided under",
)
