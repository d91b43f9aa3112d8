"""What a granted change of a provider account does: its allowlist, its settings (D5, WH-3, WH-15).

Owns the checks before such a change is asked for and its execution. Asking is in
`payops/flows/accounts.py`. The database lets the running product change these columns and entries
only with the granted request named beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Book, ProviderAccount
from payops.webhooks import allowlist
from payops.webhooks.models import AllowlistEntry

ALLOWLIST = "allowlist_change"
SETTINGS = "account_settings"
SETTING_VALUE_MAX = 500
# Column, smallest and largest value, unit for people.
NUMBERS = (
    ("calls_per_s", 1, 1000, "calls a second"),
    ("listing_every_s", 0, 86_400, "seconds"),
    ("park_deadline_s", 60, 7 * 86_400, "seconds"),
)
# Listing more often than this asks for the same pages again and again; 0 is no listing at all.
LISTING_EVERY_MIN_S = 60
VERIFY_POLICIES = ("never", "when_money_moves", "always")


class AccountChangeRefused(ValueError):
    """The change of an account cannot be asked for or made; the text has the numbers."""


def account_at(address: str) -> ProviderAccount:
    """The account behind "provider/slug". Raises AccountChangeRefused."""
    provider, _, slug = address.partition("/")
    rows = ProviderAccount.objects.select_related("book")
    found = rows.filter(provider=provider, slug=slug).first()
    if found is None:
        raise AccountChangeRefused(f"there is no provider account {address[:100]}")
    return found


def networks_after(account: ProviderAccount, facts: Mapping[str, Any]) -> set[str]:
    """The networks of the list once the change is made; new names bring theirs later."""
    text, label = AllowlistEntry.Source.TEXT, facts["label"]
    after = set(facts["adds"])
    for entry in allowlist.live_entries(account):
        is_text = entry.source == text
        goes = is_text and entry.origin == label and entry.network in facts["removes"]
        goes = goes or (not is_text and entry.origin in facts["drops"])
        if not goes:
            after.add(entry.network)
    return after


def check_allowlist(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises AccountChangeRefused."""
    account = account_at(str(facts.get("provider_account", "")))
    label = str(facts.get("label", ""))
    lists = {name: sorted(set(facts.get(name, []))) for name in ("adds", "removes")}
    names = {name: sorted(set(facts.get(name, []))) for name in ("names", "drops")}
    try:
        for word in lists["adds"]:
            if allowlist.read_network(word) != word:
                raise AccountChangeRefused(f"{word[:60]} is not written in its shortest form")
        for word in names["names"]:
            if allowlist.read_name(word) != word:
                raise AccountChangeRefused(f"{word[:60]} is not written in lower case")
    except allowlist.NetworkRefused as refusal:
        raise AccountChangeRefused(str(refusal)) from refusal
    if (lists["adds"] or lists["removes"]) and not allowlist.LABEL.fullmatch(label):
        raise AccountChangeRefused(
            "a text list has a name of 1 to 60 letters, digits, blanks, points, dashes"
        )
    mode = str(facts.get("allowlist_mode", ""))
    if mode and mode not in allowlist.MODES:
        raise AccountChangeRefused(f"{mode[:20]!r} is not one of {', '.join(allowlist.MODES)}")
    if mode == account.allowlist_mode:
        mode = ""
    checked = {
        "provider_account": account.address,
        "label": label if lists["adds"] or lists["removes"] else "",
        **lists,
        **names,
        **({"mode_before": account.allowlist_mode, "allowlist_mode": mode} if mode else {}),
        "warning": str(facts.get("warning", ""))[:400],
    }
    if not (mode or any(lists.values()) or any(names.values())):
        raise AccountChangeRefused(f"nothing would change for {account.address}")
    _refuse_empty(account, checked)
    return checked


def check_settings(facts: dict[str, Any]) -> dict[str, Any]:
    """The columns that change, each with what it was. Raises AccountChangeRefused."""
    account = account_at(str(facts.get("provider_account", "")))
    becomes: dict[str, Any] = {}
    policy = facts.get("verify_policy", account.verify_policy)
    if policy not in VERIFY_POLICIES:
        raise AccountChangeRefused(f"{policy!r} is not one of {', '.join(VERIFY_POLICIES)}")
    if policy != account.verify_policy:
        becomes["verify_policy"] = policy
    for column, least, most, unit in NUMBERS:
        value = facts.get(column, getattr(account, column))
        if type(value) is not int or not least <= value <= most:
            words = column.replace("_", " ")
            raise AccountChangeRefused(f"{words} {value}: {least} to {most} {unit} fit")
        if value != getattr(account, column):
            becomes[column] = value
    every_s = becomes.get("listing_every_s", 0)
    if 0 < every_s < LISTING_EVERY_MIN_S:
        raise AccountChangeRefused(
            f"listing every {every_s} s is too often: at least {LISTING_EVERY_MIN_S} s apart, "
            "or 0 to list never"
        )
    values = facts.get("settings", account.settings)
    fits = isinstance(values, dict) and all(
        isinstance(each, str) and len(each) <= SETTING_VALUE_MAX
        for pair in values.items()
        for each in pair
    )
    if not fits:
        raise AccountChangeRefused(
            f"provider values are names and texts of at most {SETTING_VALUE_MAX} characters"
        )
    if values != account.settings:
        becomes["settings"] = values
    if not becomes:
        raise AccountChangeRefused(f"nothing would change for {account.address}")
    before = {f"{column}_before": getattr(account, column) for column in becomes}
    return {"provider_account": account.address, **becomes, **before}


def apply_allowlist(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    account = _locked(approval)
    _refuse_empty(account, facts)
    by: dict[str, Any] = {"account": account, "approval_id": approval.public_id, "now": now}
    label = facts["label"]
    counts = {
        "added": allowlist.add_networks(label=label, networks=facts["adds"], **by),
        "removed": allowlist.remove_networks(label=label, networks=facts["removes"], **by),
    }
    for name in facts["names"]:
        allowlist.follow_name(name=name, **by)
    for name in facts["drops"]:
        counts["removed"] += allowlist.unfollow_name(name=name, **by)
    if "allowlist_mode" in facts:
        account.allowlist_mode = facts["allowlist_mode"]
        account.approval_id = approval.public_id
        account.save(update_fields=["allowlist_mode", "approval_id"])
    _record(account, "allowlist.changed", approval, {**facts, **counts}, actor, now)


def apply_settings(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    account = _locked(approval)
    columns = [
        column
        for column in ("verify_policy", *(row[0] for row in NUMBERS), "settings")
        if column in approval.facts
    ]
    for column in columns:
        setattr(account, column, approval.facts[column])
    account.approval_id = approval.public_id
    account.save(update_fields=[*columns, "approval_id"])
    _record(account, "account.settings_changed", approval, dict(approval.facts), actor, now)


def _refuse_empty(account: ProviderAccount, facts: Mapping[str, Any]) -> None:
    """An enforced list without a network would refuse every event of the provider."""
    mode = facts.get("allowlist_mode") or account.allowlist_mode
    if mode == allowlist.ENFORCE and not networks_after(account, facts):
        raise AccountChangeRefused(
            f"the allowlist of {account.address} would be enforced with 0 networks and refuse "
            "every event; bring in the provider's networks first"
        )


def _locked(approval: ApprovalRequest) -> ProviderAccount:
    """Without hindering receipts, whose foreign keys point at the row."""
    provider, _, slug = approval.facts["provider_account"].partition("/")
    rows = ProviderAccount.objects.select_for_update(of=("self",), no_key=True)
    account = rows.select_related("book").get(provider=provider, slug=slug)
    if account.book_id != approval.book_id:
        raise AccountChangeRefused(f"{account.address} belongs to another book")
    return account


def _record(
    account: ProviderAccount,
    action: str,
    approval: ApprovalRequest,
    evidence: dict[str, Any],
    actor: Actor,
    now: datetime,
) -> None:
    book: Book = account.book
    audit.record(
        [
            audit.event(
                book=book,
                actor=actor,
                action=action,
                subject_id=account.address[:64],
                now=now,
                reason=approval.reason,
                evidence={**evidence, "approval_id": approval.public_id},
            )
        ]
    )
