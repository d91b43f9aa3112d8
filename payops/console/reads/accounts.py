"""What the provider-account screens show: endpoints, noise, secrets, allowlists, listings, calls.

Reads only; a fixed number of queries per account. Serves WH-3, WH-15, WH-22, WH-27, WH-30, WH-31.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils.safestring import SafeString

from approvals.models import ApprovalRequest
from payops.console import svg
from payops.console.changes import Change
from payops.console.reads.account_history import history_of
from payops.console.svg import Bar
from payops.core import clock
from payops.core.models import Book, ProviderAccount
from payops.flows import account_changes, webhook_secrets
from payops.payments.models import CallGate
from payops.psp import registry
from payops.webhooks import allowlist, noise, rotation
from payops.webhooks.models import (
    WEBHOOK,
    AllowlistEntry,
    AllowlistName,
    Delivery,
    Listing,
    RefusalCount,
    Secret,
)

ACCOUNTS_MAX = 200
LISTINGS_SHOWN = 20
ENTRIES_SHOWN = 500
DAYS = 30
SILENT_AFTER = timedelta(hours=24)
NOISE_HOURS = 24
MODE_WORDS = {
    "off": "Off: no receipt is held against the list",
    "observe": "Observe: the verdict is kept, nothing is refused",
    "enforce": "Enforce: other senders are refused with 403",
}
FAMILIES = ("payout", "settlement", "payment", "refund", "dispute", "invoice")
POLICY_WORDS = {
    "never": "Never: a signed event is acted on",
    "when_money_moves": "When money moves: asked at the provider first",
    "always": "Always: asked at the provider first",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Refusals of one kind or reason: `kept` left a receipt, `dropped` left none."""

    name: str
    words: str
    kept: int
    dropped: int

    @property
    def total(self) -> int:
        return self.kept + self.dropped


@dataclass(frozen=True, slots=True)
class AccountRow:
    account: ProviderAccount
    last_verified_at: datetime | None
    silent: bool
    refused: list[Refused]
    entries: int
    secrets: int
    oldest_secret_at: datetime | None
    gate: CallGate | None
    listing: Listing | None

    @property
    def refused_total(self) -> int:
        return sum(each.total for each in self.refused)


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret with its picture; `refusal` says why it cannot be retired yet."""

    state: rotation.SecretState
    live: bool
    waits: bool
    refusal: str
    picture: SafeString
    bars: list[Bar]
    total: int


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Everything the page of one account shows."""

    account: ProviderAccount
    url: str
    row: AccountRow
    reasons: list[Refused]
    secrets: list[SecretRow]
    overlap_days: str
    format_words: str
    at_provider: str
    mode_words: str
    policy_words: str
    askable: str
    unaskable: str
    names: list[AllowlistName]
    entries: list[AllowlistEntry]
    labels: list[str]
    values: list[tuple[str, str]]
    listings: list[Listing]
    pending: list[ApprovalRequest]
    changes: list[Change]


def all_accounts(book: Book, now: datetime) -> list[AccountRow]:
    rows = ProviderAccount.objects.filter(book=book).select_related("book")
    found = list(rows.order_by("provider", "slug")[:ACCOUNTS_MAX])
    return _rows(found, now)


def stray(now: datetime) -> list[Refused]:
    """Requests of the last hour that named no account."""
    return refusals(None, now, hours=1)


def page(account: ProviderAccount, now: datetime) -> AccountPage:
    entries = allowlist.live_entries(account).order_by("source", "origin", "network")
    shape = rotation.FORMATS.get(account.provider)
    text_entries = entries.filter(source=AllowlistEntry.Source.TEXT)
    listings = Listing.objects.filter(account=account).order_by("-created_at")
    kinds = (account_changes.ALLOWLIST, account_changes.SETTINGS, webhook_secrets.KIND)
    pending = ApprovalRequest.objects.filter(
        book=account.book,
        kind__in=kinds,
        subject_id=account.address[:64],
        state=ApprovalRequest.State.PENDING,
        expires_at__gt=now,
    )
    return AccountPage(
        account=account,
        url=f"{settings.PUBLIC_URL}/webhooks/{account.address}/",
        row=_rows([account], now)[0],
        reasons=refusals(account, now, hours=NOISE_HOURS),
        secrets=_secrets(account, now),
        overlap_days=overlap_words(account),
        format_words=shape.words if shape else "",
        at_provider=shape.at_provider if shape else "",
        mode_words=MODE_WORDS[account.allowlist_mode],
        policy_words=POLICY_WORDS[account.verify_policy],
        askable=_families(account, True),
        unaskable=_families(account, False),
        names=list(allowlist.live_names(account).order_by("name")),
        entries=list(entries[:ENTRIES_SHOWN]),
        labels=list(text_entries.order_by("origin").values_list("origin", flat=True).distinct()),
        values=sorted((str(key), str(value)) for key, value in account.settings.items()),
        listings=list(listings[:LISTINGS_SHOWN]),
        pending=list(pending.select_related("requested_by").order_by("-created_at")),
        changes=history_of(account),
    )


def refusals(account: ProviderAccount | None, now: datetime, *, hours: int) -> list[Refused]:
    """By reason, the most first."""
    rows = RefusalCount.objects.filter(account=account, minute__gt=now - timedelta(hours=hours))
    counts = rows.order_by().values_list("reason").annotate(k=Sum("kept"), d=Sum("dropped"))
    found = [
        Refused(reason, noise.KINDS.get(reason, noise.FORGED), kept, dropped)
        for reason, kept, dropped in counts
    ]
    return sorted(found, key=lambda each: (-each.total, each.name))


def _families(account: ProviderAccount, shown: bool) -> str:
    """What the provider shows when it is asked, or does not show, in the plural."""
    if not registry.has_calls(account.provider):
        return ""
    kinds = registry.calls(account.provider).askable
    known = {kind.partition(".")[0] for kind in kinds}
    return ", ".join(f"{family}s" for family in FAMILIES if (family in known) is shown)


def secret_row(account: ProviderAccount, key: UUID, now: datetime) -> SecretRow | None:
    return next((row for row in _secrets(account, now) if row.state.secret.pk == key), None)


def _rows(found: list[ProviderAccount], now: datetime) -> list[AccountRow]:
    keys = [account.pk for account in found]
    gates = {gate.account_id: gate for gate in CallGate.objects.filter(account__in=keys)}
    refused = _by_kind(keys, now)
    secrets = _live_secrets(keys, now)
    answer = []
    for account in found:
        last = _last_verified_at(account)
        receipts = Delivery.objects.filter(account=account)
        listing = Listing.objects.filter(account=account).order_by("-created_at").first()
        answer.append(
            AccountRow(
                account=account,
                last_verified_at=last,
                silent=receipts.exists() and (last is None or now - last > SILENT_AFTER),
                refused=refused.get(account.pk, []),
                entries=allowlist.live_entries(account).count(),
                secrets=len(secrets[account.pk]),
                oldest_secret_at=min(secrets[account.pk], default=None),
                gate=gates.get(account.pk),
                listing=listing,
            )
        )
    return answer


def _last_verified_at(account: ProviderAccount) -> datetime | None:
    rows = Delivery.objects.filter(account=account, signature_ok=True, channel=WEBHOOK)
    return rows.order_by("-created_at").values_list("created_at", flat=True).first()


def _by_kind(keys: Iterable[UUID], now: datetime) -> dict[UUID, list[Refused]]:
    """Refusals of the last hour by account and kind of sender."""
    rows = RefusalCount.objects.filter(account__in=keys, minute__gt=now - timedelta(hours=1))
    summed: dict[UUID, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    counts = rows.order_by().values_list("account_id", "reason")
    for account_id, reason, kept, dropped in counts.annotate(k=Sum("kept"), d=Sum("dropped")):
        held = summed[account_id][noise.KINDS.get(reason, noise.FORGED)]
        held[0] += kept
        held[1] += dropped
    return {
        account_id: [
            Refused(kind, noise.KIND_WORDS[kind], *kinds[kind])
            for kind in noise.KIND_WORDS
            if kind in kinds
        ]
        for account_id, kinds in summed.items()
    }


def _live_secrets(keys: Iterable[UUID], now: datetime) -> dict[UUID, list[datetime]]:
    found: dict[UUID, list[datetime]] = defaultdict(list)
    for secret in Secret.objects.filter(account__in=keys):
        if secret.active_from is not None and rotation.is_live(secret, now):
            found[secret.account_id].append(secret.active_from)
    return found


def _secrets(account: ProviderAccount, now: datetime) -> list[SecretRow]:
    today = clock.business_day(now, time_zone=account.book.time_zone)
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    rows = []
    for number, state in enumerate(rotation.states(account=account, now=now)):
        live = rotation.is_live(state.secret, now)
        counts: dict[date, int] = dict(state.use.by_day)
        bars = [
            Bar(f"{day:%m-%d}", counts.get(day, 0), f"{counts.get(day, 0):,}", "info")
            for day in days
        ]
        title = f"Receipts verified by …{state.secret.hint}, by day"
        rows.append(
            SecretRow(
                state=state,
                live=live,
                waits=rotation.is_waiting(state.secret),
                refusal=state.refusal(now) if live else "",
                picture=svg.histogram(bars=bars, title=title, name=f"use-{number}"),
                bars=[bar for bar in bars if bar.value],
                total=sum(counts.values()),
            )
        )
    return rows


def overlap_words(account: ProviderAccount) -> str:
    hours = int(rotation.overlap(account).total_seconds()) // 3600
    days, rest = divmod(hours, 24)
    return f"{days} days" if not rest else f"{days} days {rest} h"
