"""Provider accounts in the state a test needs, set by the schema's owner."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import ProviderAccount
from payops.webhooks.directory import directory
from payops.webhooks.models import AllowlistEntry, AllowlistName, Secret
from payops.webhooks.secrets import add_secret


def account_of(provider: str, slug: str = "demo") -> ProviderAccount:
    return ProviderAccount.objects.select_related("book").get(provider=provider, slug=slug)


def with_settings(provider: str, slug: str = "demo", **columns: Any) -> ProviderAccount:
    """What a granted approval would do, at once; the running product may not (D5)."""
    with as_owner():
        ProviderAccount.objects.filter(provider=provider, slug=slug).update(**columns)
    directory.forget()
    return account_of(provider, slug)


def with_networks(provider: str, *networks: str, label: str = "tests") -> ProviderAccount:
    """An allowlist of these networks, as a granted list would leave it."""
    account = account_of(provider)
    with as_owner():
        for network in networks:
            AllowlistEntry.objects.create(
                book=account.book, account=account, network=network, source="text", origin=label
            )
    directory.forget()
    return account


def with_secret(provider: str, value: str, slug: str = "demo") -> Secret:
    """A live secret beside the others, as a granted one would be."""
    account = account_of(provider, slug)
    with as_owner(), transaction.atomic():
        secret = add_secret(account=account, value=value, now=clock.utc_now())
    directory.forget()
    return secret


def with_name(provider: str, name: str) -> AllowlistName:
    """A followed DNS name without an answer so far."""
    account = account_of(provider)
    with as_owner():
        return AllowlistName.objects.create(
            book=account.book,
            account=account,
            name=name,
            approval_id="ap_" + "0" * 32,
            created_at=clock.utc_now(),
        )
