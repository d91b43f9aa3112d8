"""The invariants of the product, one row each: words, and what recomputes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import connection, transaction

from payops.commands.invariants import (
    absent,
    exports,
    inbox,
    journal,
    money,
    people,
    refunds,
    trail,
)
from payops.commands.invariants.base import Finding, Moment


@dataclass(frozen=True, slots=True)
class Invariant:
    key: str
    words: str
    check: Callable[[Moment], Finding]


INVARIANTS = (
    Invariant("I1", "every body answered 2xx exists byte for byte", inbox.bodies_kept),
    Invariant("I2", "every accepted event ends within its bound", inbox.events_end),
    Invariant("I3", "events are unique; other content is a case", inbox.events_once),
    Invariant("I4", "one journal outcome per movement", journal.outcome_once),
    Invariant("I5", "entries balance and are sealed", journal.entries_balance),
    Invariant("I6", "refunds never exceed what was captured", refunds.refunds_capped),
    Invariant("I7", "money moved = executed, approved intents", money.movements_match),
    Invariant("I8", "re-issued once, after verified terminal", money.reissued_once),
    Invariant("I9", "four eyes on exactly what was executed", people.four_eyes),
    Invariant("I10", "each state change has one audit row", trail.audited_once),
    Invariant("I11", "the audit is sealed without gap or fork", trail.sealed),
    Invariant("I12", "nothing dated into a locked period", journal.locked_stays),
    Invariant("I13", "a passed gate precedes every release", money.gated),
    Invariant("I14", "an imported file yields its lines once", absent.files_once),
    Invariant("I15", "the export total is the ledger total", exports.exported_once),
    Invariant("I16", "advice never causes an execution", people.advice_apart),
    Invariant("I17", "the trial balance is nil; totals are their lines", journal.trial_balance),
    Invariant("I18", "no transition outside the table", trail.transitions_published),
)
KEYS = tuple(invariant.key for invariant in INVARIANTS)


def check_all(moment: Moment, *, only: Iterable[str] = ()) -> dict[str, Finding]:
    """Run the checks on one snapshot, so that traffic meanwhile breaks nothing."""
    wanted = set(only) or set(KEYS)
    with transaction.atomic():
        if len(connection.atomic_blocks) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return {
            invariant.key: invariant.check(moment)
            for invariant in INVARIANTS
            if invariant.key in wanted
        }


def as_json(findings: dict[str, Finding]) -> dict[str, object]:
    """{"ok", "invariants": {"I1": {"ok", "words", "checked", "breaks", …}}}"""
    words = {invariant.key: invariant.words for invariant in INVARIANTS}
    shown: dict[str, dict[str, object]] = {}
    for key, finding in findings.items():
        shown[key] = {
            "ok": not finding.breaks,
            "words": words[key],
            "checked": finding.checked,
            "breaks": finding.breaks,
        }
        if finding.note:
            shown[key]["note"] = finding.note
        if finding.absent:
            shown[key]["absent"] = finding.absent
    return {"ok": all(not f.breaks for f in findings.values()), "invariants": shown}
