"""The mapping sets of the ERPs as policies of the book: seeded, versioned, approved (ERP-2, LJ-19).

Owns which set applies and the check of a proposed one: a set that has no row for an account of the
chart is refused before anybody is asked. A set that is not the one that was approved exports
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from approvals import policies, policy_changes
from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from approvals.policies import PolicyError
from ledger.models import Account
from payops.core.models import Book
from payops.formats.journals import mapping
from payops.formats.journals.base import MappingSet, Target
from payops.formats.journals.mapping import MappingError
from payops.formats.journals.registry import TARGETS

ACCOUNTS_SHOWN_MAX = 8


def name_of(target: Target) -> str:
    return mapping.PREFIX + target.key


def target_of(name: str) -> Target | None:
    """The target a policy table is about, if it is a mapping set."""
    return (
        TARGETS.get(name.removeprefix(mapping.PREFIX)) if name.startswith(mapping.PREFIX) else None
    )


def chart_of(book: Book) -> list[tuple[str, str, str]]:
    rows = Account.objects.filter(book=book).order_by("code")
    return list(rows.values_list("code", "name", "kind"))


def seeded(book: Book, target: Target) -> dict[str, Any]:
    """What applies until people approve a set of their own: our own codes and names."""
    return mapping.seeded(target, prefix=book.code, accounts=chart_of(book))


def active_rules(
    book: Book, target: Target, now: datetime
) -> tuple[PolicyVersion | None, dict[str, Any]]:
    """The set as people change it, with its version; None: the seeded one."""
    version = policies.active_version(book=book, name=name_of(target), now=now)
    return version, version.rules if version else seeded(book, target)


def active(book: Book, target: Target, now: datetime) -> MappingSet:
    """Raises MappingError when the stored set is not the one that was approved."""
    version, rules = active_rules(book, target, now)
    return _parsed(target, version, rules)


def at_version(book: Book, target: Target, number: int) -> MappingSet:
    """The set that a file was made with; 0 is the seeded one."""
    version = None
    if number:
        version = PolicyVersion.objects.get(book=book, name=name_of(target), version=number)
    return _parsed(target, version, version.rules if version else seeded(book, target))


def versions(book: Book, target: Target) -> list[PolicyVersion]:
    return list(
        PolicyVersion.objects.filter(book=book, name=name_of(target)).order_by("-version")[:50]
    )


def check(target: Target, rules: Mapping[str, Any], book: Book) -> None:
    """Raises PolicyError before anybody is asked about a set that cannot be applied."""
    try:
        parsed = mapping.parse(target, rules)
    except MappingError as error:
        raise PolicyError(str(error)) from error
    chart = chart_of(book)
    if unknown := sorted(set(parsed.accounts) - {code for code, _, _ in chart}):
        raise PolicyError(f"the book has no account {', '.join(unknown[:ACCOUNTS_SHOWN_MAX])}")
    if missing := mapping.missing_accounts(parsed, chart):
        named = ", ".join(f"{code} {name}" for code, name in missing[:ACCOUNTS_SHOWN_MAX])
        more = (
            f" and {len(missing) - ACCOUNTS_SHOWN_MAX} more" if missing[ACCOUNTS_SHOWN_MAX:] else ""
        )
        raise PolicyError(
            f"{len(missing)} of {len(chart)} accounts have no account at {target.name}: "
            f"{named}{more}; a partial mapping is not taken"
        )


def _parsed(target: Target, version: PolicyVersion | None, rules: dict[str, Any]) -> MappingSet:
    if version is not None and hash_of(version.rules) != version.content_hash:
        raise MappingError(
            f"{version.name} v{version.version} is not the table that was approved; "
            "nothing is exported with it. Ask for a new version and tell the auditor."
        )
    return mapping.parse(target, rules, version=version.version if version else 0)


TABLES = {
    name_of(target): policy_changes.Table(
        name=name_of(target),
        title=f"New mapping for {target.name}",
        check=partial(check, target),
        applies_to=f"exports to {target.name} made from then on, and to rejected ones made anew",
        leaves_alone="files that were made keep the version they were made with",
    )
    for target in TARGETS.values()
}
