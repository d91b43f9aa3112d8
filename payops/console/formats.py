"""What templates show in small: a labelled fact, the address of any record, who acted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PAGES = {
    "po": "/payouts/{}/",
    "pa": "/payments/{}/",
    "rf": "/refunds/{}/",
    "dp": "/disputes/{}/",
    "be": "/beneficiaries/{}/",
    "ev": "/inbox/{}/",
    "je": "/ledger/journal/{}/",
    "mj": "/ledger/manual/{}/",
    "cs": "/cases/{}/",
    "ap": "/approvals/{}/",
    "jb": "/jobs/{}/",
    "al": "/monitoring/alerts/{}/",
    "pe": "/ledger/periods/{}/",
    "rk": "/ledger/parity/{}/",
    "xp": "/ledger/exports/{}/",
}
TRACED = frozenset({"ho", "it", "pc", "wd", "ad", "rd", "jl", "gd", "ae", "tl"})
HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of `parts/kv.html`; kinds: text money id when state link mono."""

    label: str
    value: Any
    kind: str = "text"
    href: str = ""
    currency: str = ""


def address_of(public_id: object) -> str:
    """The page of a record by its public id, the trace for kinds without one, "" for other text."""
    text = str(public_id or "")
    prefix, mark, digits = text.partition("_")
    if not mark or len(digits) != 32 or not HEX_DIGITS.issuperset(digits):
        return ""
    if prefix in PAGES:
        return PAGES[prefix].format(text)
    return f"/trace/?q={text}" if prefix in TRACED else ""


def id_fact(label: str, value: object) -> Fact:
    """An id of ours is linked to its page; a provider's reference is only copied."""
    return Fact(label, value or "", "id" if value else "text", address_of(value))


def facts_of(*facts: Fact) -> list[Fact]:
    """The facts that have a value."""
    return [fact for fact in facts if fact.value not in (None, "")]


def who(person: Any, service: str = "", login: str = "") -> str:
    """A person's name, or the service that acted; never nobody."""
    if person is not None:
        return f"{person.name} ({login})" if login else str(person.name)
    return service or "the system"
