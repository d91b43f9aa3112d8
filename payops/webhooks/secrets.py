"""Webhook secrets of provider accounts: kept encrypted, several live at once (SE-2, WH-30).

Owns adding, activating, retiring and reading them. A value is shown to nobody again: people see
its hint. One that waits for its approval verifies nothing (SE-1, D5).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from payops.core import actors, audit, crypto
from payops.core.actors import Actor
from payops.core.models import ProviderAccount
from payops.psp.base import SecretValue
from payops.webhooks.models import Secret

VALUE_CHARS_MIN = 16
VALUE_CHARS_MAX = 512
HINT_CHARS = 4


class SecretRefused(ValueError):
    """The value cannot serve as a secret, or the secret cannot be retired at that time."""


@dataclass(frozen=True, slots=True)
class LiveSecret:
    """A decrypted secret with the time it is good for; `secret.value` never leaves the process."""

    secret: SecretValue = field(repr=False)
    active_from: datetime
    retired_at: datetime | None

    def good_at(self, now: datetime) -> bool:
        return self.active_from <= now and (self.retired_at is None or now < self.retired_at)


def add_secret(
    *,
    account: ProviderAccount,
    value: str,
    now: datetime,
    actor: Actor | None = None,
    active_from: datetime | None = None,
    reason: str = "",
) -> Secret:
    """Add a secret beside the ones already live; the same value twice is one secret.

    The database lets the schema's owner alone do this. Raises SecretRefused.
    """
    assert connection.in_atomic_block, "a secret is written with its audit row"
    known = _known(account, value, now)
    if known is not None:
        return known
    secret = _sealed(account, value, now)
    secret.active_from = active_from or now
    secret.save()
    _record(secret, "webhook_secret.added", actor, now, reason)
    return secret


def add_pending(
    *,
    account: ProviderAccount,
    key: UUID,
    value: str,
    approval_id: str,
    actor: Actor,
    now: datetime,
    reason: str,
) -> Secret:
    """Keep a secret that verifies nothing until `activate`; one known already is answered as it is.

    Raises SecretRefused.
    """
    assert connection.in_atomic_block, "a secret is written with its request and its audit row"
    known = _known(account, value, now)
    if known is not None:
        return known
    secret = _sealed(account, value, now)
    secret.pk, secret.approval_id = key, approval_id
    secret.save(force_insert=True)
    _record(secret, "webhook_secret.added", actor, now, reason)
    return secret


def activate(
    *,
    key: UUID,
    account: ProviderAccount,
    value_hash: str,
    now: datetime,
    actor: Actor,
    reason: str,
) -> Secret:
    """Accept a pending secret from now on, when it is still the value asked for.

    Raises SecretRefused.
    """
    assert connection.in_atomic_block, "a secret is activated with its approval's execution"
    found = _held(key)
    if found.account_id != account.pk or found.active_from or found.retired_at:
        raise SecretRefused(f"…{found.hint} does not wait for an approval at {account.address}")
    if not hmac.compare_digest(crypto.keyed_hash(_open(found).decode()), value_hash):
        raise SecretRefused(f"…{found.hint} is not the value that was approved")
    found.active_from = now
    found.save(update_fields=["active_from"])
    _record(found, "webhook_secret.approved", actor, now, reason)
    return found


def retire_secret(
    *,
    secret: Secret,
    now: datetime,
    actor: Actor,
    retired_at: datetime | None = None,
    reason: str = "",
) -> Secret:
    """Stop accepting a secret, at once or at a later moment. Raises SecretRefused."""
    assert connection.in_atomic_block, "a secret is written with its audit row"
    found = _held(secret.pk)
    at = retired_at or now
    if at < now:
        raise SecretRefused(f"a secret cannot be retired in the past ({at:%Y-%m-%d %H:%M:%S})")
    if found.retired_at is not None and found.retired_at <= now:
        raise SecretRefused(f"the secret was retired at {found.retired_at:%Y-%m-%d %H:%M:%S}")
    found.retired_at = at
    found.save(update_fields=["retired_at"])
    _record(found, "webhook_secret.retired", actor, now, reason)
    return found


def active_secrets(*, account: ProviderAccount, now: datetime) -> tuple[SecretValue, ...]:
    """The secrets that verify a body at `now`, newest first."""
    rows = _not_retired(account, now).exclude(active_from=None)
    secrets = [_live(row) for row in rows]
    return tuple(each.secret for each in secrets if each.good_at(now))


def usable_secrets(*, now: datetime) -> dict[object, tuple[LiveSecret, ...]]:
    """Secrets of every account that are live or will be, by account key, newest first.

    One that waits for its approval is none of them.
    """
    found: dict[object, list[LiveSecret]] = {}
    rows = Secret.objects.filter(Q(retired_at=None) | Q(retired_at__gt=now))
    rows = rows.exclude(active_from=None)
    for row in rows.select_related("data_key").order_by("-active_from", "-pk"):
        if row.data_key.erased_at is None:
            found.setdefault(row.account_id, []).append(_live(row))
    return {account: tuple(secrets) for account, secrets in found.items()}


def _known(account: ProviderAccount, value: str, now: datetime) -> Secret | None:
    """The secret of this value that is live, will be, or waits. Raises SecretRefused."""
    if not VALUE_CHARS_MIN <= len(value) <= VALUE_CHARS_MAX or not value.isascii():
        raise SecretRefused(
            f"a webhook secret has {VALUE_CHARS_MIN} to {VALUE_CHARS_MAX} ASCII characters"
        )
    for known in _not_retired(account, now):
        if hmac.compare_digest(_open(known), value.encode()):
            return known
    return None


def _sealed(account: ProviderAccount, value: str, now: datetime) -> Secret:
    key = crypto.data_key(book=account.book, scope=f"secret:{account.pk.hex}")
    return Secret(
        book=account.book,
        account=account,
        data_key=key,
        ciphertext=crypto.seal(key, value.encode()),
        hint=value[-HINT_CHARS:],
        created_at=now,
    )


def _held(key: UUID) -> Secret:
    rows = Secret.objects.select_for_update(of=("self",))
    return rows.select_related("account", "book", "data_key").get(pk=key)


def _not_retired(account: ProviderAccount, now: datetime) -> QuerySet[Secret]:
    rows = Secret.objects.filter(account=account).filter(Q(retired_at=None) | Q(retired_at__gt=now))
    return rows.select_related("data_key").order_by("-active_from", "-pk")


def _live(row: Secret) -> LiveSecret:
    assert row.active_from is not None, "a secret that waits for its approval verifies nothing"
    value = SecretValue(id=str(row.pk), value=_open(row).decode())
    return LiveSecret(value, row.active_from, row.retired_at)


def _open(row: Secret) -> bytes:
    return crypto.open_sealed(row.data_key, row.ciphertext)


def _record(secret: Secret, action: str, actor: Actor | None, now: datetime, reason: str) -> None:
    audit.record(
        [
            audit.event(
                book=secret.book,
                actor=actor or actors.service("bootstrap", channel="command"),
                action=action,
                subject_id=secret.account.address[:64],
                now=now,
                reason=reason,
                evidence={
                    "secret": str(secret.pk),
                    "hint": secret.hint,
                    "active_from": secret.active_from.isoformat() if secret.active_from else None,
                    "retired_at": secret.retired_at.isoformat() if secret.retired_at else None,
                    **({"approval_id": secret.approval_id} if secret.approval_id else {}),
                },
            )
        ]
    )
