"""Provider accounts: asking for other allowlists and settings, changing webhook secrets.

Allowlists and settings are policies: `propose_*` asks, others decide, `account_changes` puts them
in force. A new secret is asked for in the same way (`webhook_secrets`); one is retired at once,
with a fresh password, a reason and the audit. `keep_up` is the housekeeping of all of it. Serves
WH-3, WH-30, WH-31, D5.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from approvals.models import ApprovalRequest
from payops.core import crypto, ids, schedule
from payops.core.actors import Actor
from payops.core.models import ProviderAccount
from payops.flows import account_changes, governance, webhook_secrets
from payops.webhooks import allowlist, noise, rotation, secret_use
from payops.webhooks.allowlist import Allowlist
from payops.webhooks.models import AllowlistName, Secret
from payops.webhooks.rotation import RotationRefused
from payops.webhooks.secrets import HINT_CHARS, add_pending, add_secret, retire_secret

log = logging.getLogger(__name__)

EXPOSURE_DAYS, EXPOSURE_RECEIPTS_MAX = 7, 200_000
ADDRESSES_TOLD_MAX = 20
RESOLVE_EVERY_S, FOLD_EVERY_S, PRUNE_EVERY_S = 3600, 300, 86_400
RESOLVE_TIMEOUT_S, RESOLVE_BUDGET_S = 10.0, 40.0
SENDERS = """
SELECT host(remote_ip), count(*) FROM (
  SELECT remote_ip FROM webhooks_delivery
  WHERE account_id = %s AND created_at > %s AND signature_ok AND channel = 'webhook'
  ORDER BY created_at DESC LIMIT %s) d
GROUP BY 1
"""
Resolve = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Verified receipts of the latest days against a list: who would have been refused."""

    total: int
    unlisted: int
    addresses: tuple[tuple[str, int], ...]

    @property
    def words(self) -> str:
        if not self.unlisted:
            return ""
        named = ", ".join(f"{ip} ({n})" for ip, n in self.addresses[:ADDRESSES_TOLD_MAX])
        count = len(self.addresses)
        looked = f"of the last {EXPOSURE_DAYS} days"
        if self.total >= EXPOSURE_RECEIPTS_MAX:
            looked = "that came last"
        return (
            f"{self.unlisted} of {self.total} verified receipts {looked} "
            f"came from {count} address{'' if count == 1 else 'es'} not on the list: {named}"
        )


# ---- allowlists and settings ---------------------------------------------------------------


def exposure(*, account: ProviderAccount, listed: Allowlist, now: datetime) -> Exposure:
    with connection.cursor() as cursor:
        since = now - timedelta(days=EXPOSURE_DAYS)
        cursor.execute(SENDERS, [account.pk, since, EXPOSURE_RECEIPTS_MAX])
        found = {ip or "unknown": count for ip, count in cursor.fetchall()}
    strange = {
        ip: n for ip, n in found.items() if not listed.holds(None if ip == "unknown" else ip)
    }
    ranked = tuple(sorted(strange.items(), key=lambda each: (-each[1], each[0])))
    return Exposure(sum(found.values()), sum(strange.values()), ranked)


def allowlist_facts(
    *,
    account: ProviderAccount,
    now: datetime,
    label: str = "",
    networks: Sequence[str] | None = None,
    names: Sequence[str] = (),
    drops: Sequence[str] = (),
    mode: str = "",
) -> dict[str, Any]:
    """What would be asked for, with its warning. `networks` is the whole list of that label.

    Raises AccountChangeRefused.
    """
    adds: Sequence[str] = ()
    removes: Sequence[str] = ()
    if networks is not None:
        planned = allowlist.plan(account=account, label=label, networks=networks)
        adds, removes = planned.added, planned.removed
    followed = set(allowlist.live_names(account).values_list("name", flat=True))
    facts = account_changes.check_allowlist(
        {
            "provider_account": account.address,
            "label": label,
            "adds": adds,
            "removes": removes,
            "names": sorted(set(names) - followed),
            "drops": sorted(set(drops) & followed),
            "allowlist_mode": mode,
        }
    )
    if facts.get("allowlist_mode", account.allowlist_mode) == allowlist.ENFORCE:
        after = Allowlist.of(account_changes.networks_after(account, facts))
        facts["warning"] = exposure(account=account, listed=after, now=now).words[:400]
    return facts


def propose_allowlist(
    *, account: ProviderAccount, facts: dict[str, Any], reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """Ask for the change that `allowlist_facts` told.

    Raises AccountChangeRefused, ChangeRefused.
    """
    parts = [f"{len(facts[name])} {word}" for name, word in _PARTS if facts[name]]
    if "allowlist_mode" in facts:
        parts.append(f"{facts['mode_before']} → {facts['allowlist_mode']}")
    return governance.propose(
        kind=account_changes.ALLOWLIST,
        facts=facts,
        title=f"Allowlist of {account.address}: {', '.join(parts)}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=account.address[:64],
        book=account.book,
    )


_PARTS = (
    ("adds", "added"),
    ("removes", "removed"),
    ("names", "names followed"),
    ("drops", "names dropped"),
)


def propose_settings(
    *, account: ProviderAccount, values: dict[str, Any], reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """Ask for other settings of an account. Raises AccountChangeRefused, ChangeRefused."""
    facts = {"provider_account": account.address, **values}
    changed = account_changes.check_settings(facts)
    named = [name for name in changed if f"{name}_before" in changed]
    words = ", ".join(name.removesuffix("_s").replace("_", " ") for name in named)
    return governance.propose(
        kind=account_changes.SETTINGS,
        facts=facts,
        title=f"Settings of {account.address}: {words}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=account.address[:64],
        book=account.book,
    )


# ---- secrets -------------------------------------------------------------------------------


def rotate_secret(
    *, account: ProviderAccount, value: str, reason: str, actor: Actor, now: datetime
) -> Secret:
    """Add a secret beside the live ones, as the schema's owner: nobody else is asked.

    The edge finds it at the first body it signs. Raises RotationRefused, SecretRefused.
    """
    _needs_reason(reason)
    found = rotation.checked(account, value)
    with transaction.atomic(durable=True):
        secret = add_secret(account=account, value=found, now=now, actor=actor, reason=reason)
        if secret.created_at != now:
            raise RotationRefused(_known_words(secret))
    return secret


def propose_secret(
    *, account: ProviderAccount, value: str, reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """Keep a further secret and ask for it; it verifies nothing until others granted it.

    Raises RotationRefused, SecretRefused, ChangeRefused.
    """
    _needs_reason(reason)
    found, key = rotation.checked(account, value), ids.uuid7()

    def keep(request: ApprovalRequest) -> None:
        secret = add_pending(
            account=account,
            key=key,
            value=found,
            approval_id=request.public_id,
            actor=actor,
            now=now,
            reason=reason,
        )
        if secret.pk != key:
            raise RotationRefused(_known_words(secret))

    return governance.propose(
        kind=webhook_secrets.KIND,
        facts={
            "provider_account": account.address,
            "hint": found[-HINT_CHARS:],
            "value_hash": crypto.keyed_hash(found),
            "secret": str(key),
        },
        title=f"New webhook secret of {account.address}: …{found[-HINT_CHARS:]}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=account.address[:64],
        book=account.book,
        also=keep,
    )


def _known_words(secret: Secret) -> str:
    if secret.active_from is None:
        return f"this value waits for {secret.approval_id} (…{secret.hint}); nothing was changed"
    return (
        f"this value is live already (…{secret.hint}, since "
        f"{secret.active_from:%Y-%m-%d %H:%M} UTC); nothing was changed"
    )


def retire(
    *,
    account: ProviderAccount,
    secret_id: UUID,
    reason: str,
    actor: Actor,
    now: datetime,
    force: bool = False,
) -> Secret:
    """Stop accepting a secret. Raises RotationRefused while it is needed, unless forced."""
    _needs_reason(reason)
    with transaction.atomic(durable=True):
        ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        known = {each.secret.pk: each for each in rotation.states(account=account, now=now)}
        if secret_id not in known:
            raise RotationRefused(f"{account.address} has no secret {secret_id}")
        if rotation.is_waiting(known[secret_id].secret):
            raise RotationRefused(
                f"…{known[secret_id].secret.hint} waits for "
                f"{known[secret_id].secret.approval_id}: withdraw or reject that request instead"
            )
        refusal = known[secret_id].refusal(now)
        if refusal and not force:
            raise RotationRefused(refusal)
        words = f"{reason} (forced: {refusal})" if refusal else reason
        return retire_secret(
            secret=known[secret_id].secret, now=now, actor=actor, reason=words[:2000]
        )


def _needs_reason(reason: str) -> None:
    if not reason.strip():
        raise RotationRefused("say why; the reason is kept in the audit")


# ---- housekeeping --------------------------------------------------------------------------


def keep_up(now: datetime) -> None:
    """Resolve the followed names, count what secrets verified, forget old counts of noise."""
    with schedule.slot("resolve-allowlist", now, every_s=RESOLVE_EVERY_S) as mine:
        resolves = mine
    if resolves:
        resolve_names(now=now)
    for account in ProviderAccount.objects.select_related("book").order_by("created_at"):
        name = f"fold-secrets:{account.pk.hex}"
        with schedule.slot(name, now, every_s=FOLD_EVERY_S) as mine:
            if mine:
                secret_use.fold(account=account, now=now)
    with schedule.slot("prune-refusals", now, every_s=PRUNE_EVERY_S) as mine:
        if mine:
            noise.prune(now=now)


def addresses_of(name: str) -> Sequence[str]:
    """What DNS answers now, public addresses alone. Raises OSError, TimeoutError."""
    pool = ThreadPoolExecutor(max_workers=1)
    asked = pool.submit(socket.getaddrinfo, name, 443, type=socket.SOCK_STREAM)
    # A resolver that hangs is left to end by itself.
    pool.shutdown(wait=False)
    try:
        answers = asked.result(timeout=RESOLVE_TIMEOUT_S)
    except TookTooLong as error:
        raise TimeoutError(f"no answer within {RESOLVE_TIMEOUT_S:.0f} s") from error
    found = {str(answer[4][0]).partition("%")[0] for answer in answers}
    return sorted(each for each in found if _is_public(each))


def _is_public(address: str) -> bool:
    parsed = ip_address(address)
    return parsed.is_global and not parsed.is_multicast


def resolve_names(
    *, now: datetime, account: ProviderAccount | None = None, resolve: Resolve = addresses_of
) -> list[tuple[AllowlistName, list[str], list[str], str]]:
    """Every followed name: (name, added, removed, error). An error or no answer removes nothing.

    Those asked longest ago come first; when the time is used up the others wait for the next round.
    """
    rows = AllowlistName.objects.filter(removed_at=None).select_related("account", "book")
    if account is not None:
        rows = rows.filter(account=account)
    told = []
    until = time.monotonic() + RESOLVE_BUDGET_S
    for name in rows.order_by(F("tried_at").asc(nulls_first=True), "name"):
        if time.monotonic() > until:
            break
        added: list[str] = []
        removed: list[str] = []
        error = ""
        try:
            answers = resolve(name.name)
            if not answers:
                error = "DNS answered with no public address"
        except (OSError, UnicodeError) as failure:
            answers, error = (), f"{type(failure).__name__}: {failure}"[:240]
        with transaction.atomic(durable=True):
            if error:
                allowlist.keep_failure(name=name, error=error, now=now)
            else:
                added, removed = allowlist.keep_answer(name=name, addresses=answers, now=now)
        if error:
            log.warning("allowlist of %s: %s: %s", name.account.address, name.name, error)
        told.append((name, added, removed, error))
    return told
