"""Where a provider account's webhooks may come from: read, planned, kept, looked up (WH-3, SE-1).

Owns AllowlistEntry and AllowlistName. A change comes with the id of its granted approval; the
database holds the same rule. Only the resolver adds and drops addresses by itself, and only of
names that were approved. `Allowlist` is the compiled form that the edge asks once per receipt.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connection
from django.db.models import QuerySet

from payops.core import actors, audit
from payops.core.actors import Actor
from payops.core.models import ProviderAccount
from payops.webhooks.models import AllowlistEntry, AllowlistName

OFF, OBSERVE, ENFORCE = "off", "observe", "enforce"
MODES = (OFF, OBSERVE, ENFORCE)
LINES_MAX = 2000
PREFIX_MIN = {4: 16, 6: 32}
MAPPED_BITS = 96
ADDRESSES_REMEMBERED_MAX = 4096
ANSWERS_MAX = 64
UNSEEN = timedelta(days=7)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
NAME = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}")
RESOLVER = actors.service("allowlist")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NetworkRefused(ValueError):
    """A line that cannot stand on an allowlist; the text says why and what to write."""


@dataclass(frozen=True, slots=True)
class Allowlist:
    """Networks by address family and length, so that a look-up is a few shifts and set tests."""

    networks: frozenset[str]
    by_length: tuple[tuple[int, int, frozenset[int]], ...]

    @classmethod
    def of(cls, networks: Iterable[str]) -> Allowlist:
        named = frozenset(networks)
        found: dict[tuple[int, int], set[int]] = {}
        for text in named:
            network = ipaddress.ip_network(text)
            shift = network.max_prefixlen - network.prefixlen
            starts = found.setdefault((network.version, shift), set())
            starts.add(int(network.network_address) >> shift)
        compiled = ((family, shift, frozenset(each)) for (family, shift), each in found.items())
        return cls(named, tuple(sorted(compiled, key=lambda each: each[:2])))

    def holds(self, address: str | None) -> bool:
        """An unknown address is on no list."""
        if address is None:
            return False
        family, number = _number(address)
        return any(
            family == known and number >> shift in starts for known, shift, starts in self.by_length
        )

    def verdict(self, *, mode: str, address: str | None) -> bool | None:
        """What a receipt keeps; None: there is nothing to hold the address against."""
        return None if mode == OFF or not self.networks else self.holds(address)


NOBODY = Allowlist(frozenset(), ())


@dataclass(frozen=True, slots=True)
class Reading:
    """A text list as read; nothing of it counts while there are problems."""

    networks: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What bringing one text list in would change. Entries of other lists and names stay."""

    added: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]


# ---- reading -------------------------------------------------------------------------------


def read_text(text: str) -> Reading:
    """One network or address per line; "#" starts a comment. Every bad line is named."""
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        return Reading((), (f"{len(lines)} lines; a list has at most {LINES_MAX}",))
    networks: dict[str, None] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        word = line.partition("#")[0].strip().rstrip(",;")
        if not word:
            continue
        try:
            networks[read_network(word)] = None
        except NetworkRefused as refusal:
            problems.append(f"Line {number}: {refusal}")
    return Reading(tuple(networks), tuple(problems))


def read_network(word: str) -> str:
    """The network as it is kept: shortest form, IPv4 behind IPv6 as IPv4. Raises NetworkRefused."""
    shown = word[:60]
    try:
        if "%" in word:
            raise ValueError("a zone means something on one machine only")
        loose = ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise NetworkRefused(
            f"{shown!r} is not a network; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48"
        ) from None
    if "/" in word and ipaddress.ip_address(word.partition("/")[0]) != loose.network_address:
        raise NetworkRefused(f"{shown} starts inside its network; write {loose}")
    network = _unmapped(loose)
    least = PREFIX_MIN[network.version]
    if network.prefixlen < least:
        raise NetworkRefused(
            f"{network} holds {network.num_addresses} addresses; a network of IPv{network.version} "
            f"is /{least} or smaller, so that the list says who sends"
        )
    if network.is_multicast or network.is_unspecified or _is_reserved(network):
        raise NetworkRefused(f"{network} is no address that a request can come from")
    return str(network)


def read_name(word: str) -> str:
    """A DNS name as it is kept: lower case, without the last dot. Raises NetworkRefused."""
    name = word.strip().rstrip(".").lower()
    if not NAME.fullmatch(name):
        raise NetworkRefused(
            f"{word.strip()[:60]!r} is not a DNS name; write a full name such as out.example.com"
        )
    return name


def plan(*, account: ProviderAccount, label: str, networks: Iterable[str]) -> Plan:
    """What would change if the text list of this label became these networks."""
    live = set(
        live_entries(account)
        .filter(source=AllowlistEntry.Source.TEXT, origin=label)
        .values_list("network", flat=True)
    )
    wanted = set(networks)
    return Plan(*(tuple(sorted(each)) for each in (wanted - live, wanted & live, live - wanted)))


def live_entries(account: ProviderAccount) -> QuerySet[AllowlistEntry]:
    return AllowlistEntry.objects.filter(account=account, removed_at=None)


def live_names(account: ProviderAccount) -> QuerySet[AllowlistName]:
    return AllowlistName.objects.filter(account=account, removed_at=None)


def of_account(account: ProviderAccount) -> Allowlist:
    return Allowlist.of(live_entries(account).values_list("network", flat=True))


def compiled() -> dict[object, Allowlist]:
    """Every account's list by account key, in one statement."""
    found: dict[object, set[str]] = {}
    rows = AllowlistEntry.objects.filter(removed_at=None)
    for account_id, network in rows.values_list("account_id", "network"):
        found.setdefault(account_id, set()).add(network)
    return {account_id: Allowlist.of(networks) for account_id, networks in found.items()}


# ---- changing ------------------------------------------------------------------------------


def add_networks(
    *,
    account: ProviderAccount,
    label: str,
    networks: Sequence[str],
    approval_id: str,
    now: datetime,
) -> int:
    """Add what is not there yet; answers how many."""
    assert connection.in_atomic_block, "an allowlist changes with its audit row"
    missing = plan(account=account, label=label, networks=networks).added
    for network in missing:
        _entry(account, network, AllowlistEntry.Source.TEXT, label, approval_id, now).save()
    return len(missing)


def remove_networks(
    *,
    account: ProviderAccount,
    label: str,
    networks: Sequence[str],
    approval_id: str,
    now: datetime,
) -> int:
    """Take away what is still there; answers how many."""
    assert connection.in_atomic_block, "an allowlist changes with its audit row"
    rows = live_entries(account).filter(
        source=AllowlistEntry.Source.TEXT, origin=label, network__in=networks
    )
    return _remove(rows.select_for_update(), approval_id, now)


def follow_name(*, account: ProviderAccount, name: str, approval_id: str, now: datetime) -> None:
    """Keep the addresses of a DNS name on the list; they come with the next resolution."""
    assert connection.in_atomic_block, "an allowlist changes with its audit row"
    if not live_names(account).filter(name=name).exists():
        AllowlistName.objects.create(
            book=account.book, account=account, name=name, approval_id=approval_id, created_at=now
        )


def unfollow_name(*, account: ProviderAccount, name: str, approval_id: str, now: datetime) -> int:
    """Follow a name no longer and take its addresses away; answers how many."""
    assert connection.in_atomic_block, "an allowlist changes with its audit row"
    for row in live_names(account).select_for_update().filter(name=name):
        row.removed_at, row.removal_approval_id = now, approval_id
        row.save(update_fields=["removed_at", "removal_approval_id"])
    rows = live_entries(account).filter(source=AllowlistEntry.Source.DNS, origin=name)
    return _remove(rows.select_for_update(), approval_id, now)


def keep_answer(
    *, name: AllowlistName, addresses: Sequence[str], now: datetime, actor: Actor = RESOLVER
) -> tuple[list[str], list[str]]:
    """Bring a name's entries to what DNS answered; answers (added, removed).

    An address is dropped when it was not answered for UNSEEN; no answer drops nothing.
    """
    assert connection.in_atomic_block, "an allowlist changes with its audit row"
    held = AllowlistName.objects.select_for_update(of=("self",)).select_related("account", "book")
    row = held.get(pk=name.pk)
    if row.removed_at is not None or not addresses:
        return [], []
    entries = {
        entry.network: entry
        for entry in live_entries(row.account)
        .select_for_update()
        .filter(source=AllowlistEntry.Source.DNS, origin=row.name)
    }
    answered = {read_network(each) for each in addresses[:ANSWERS_MAX]}
    added = sorted(answered - entries.keys())
    for network in added:
        source = AllowlistEntry.Source.DNS
        entry = _entry(row.account, network, source, row.name, row.approval_id, now)
        entry.seen_at = now
        entry.save()
    again = [entry.pk for network, entry in entries.items() if network in answered]
    AllowlistEntry.objects.filter(pk__in=again).update(seen_at=now)
    removed = []
    for network, entry in sorted(entries.items()):
        if network not in answered and now - (entry.seen_at or entry.created_at) >= UNSEEN:
            entry.removed_at = now
            entry.save(update_fields=["removed_at"])
            removed.append(network)
    row.tried_at = row.resolved_at = now
    row.error = ""
    row.save(update_fields=["tried_at", "resolved_at", "error"])
    if added or removed:
        told = {"name": row.name, "added": added, "removed": removed}
        audit.record(
            [
                audit.event(
                    book=row.book,
                    actor=actor,
                    action="allowlist.resolved",
                    subject_id=row.account.address[:64],
                    now=now,
                    evidence={**told, "approval_id": row.approval_id},
                )
            ]
        )
    return added, removed


def keep_failure(*, name: AllowlistName, error: str, now: datetime) -> None:
    """Nothing is removed because DNS did not answer; the screen shows since when."""
    AllowlistName.objects.filter(pk=name.pk).update(tried_at=now, error=error[:240])


def _entry(
    account: ProviderAccount,
    network: str,
    source: str,
    origin: str,
    approval_id: str,
    now: datetime,
) -> AllowlistEntry:
    return AllowlistEntry(
        book=account.book,
        account=account,
        network=network,
        source=source,
        origin=origin,
        approval_id=approval_id,
        created_at=now,
    )


def _remove(rows: Iterable[AllowlistEntry], approval_id: str, now: datetime) -> int:
    count = 0
    for entry in rows:
        entry.removed_at, entry.removal_approval_id = now, approval_id
        entry.save(update_fields=["removed_at", "removal_approval_id"])
        count += 1
    return count


def _is_reserved(network: Network) -> bool:
    return network.is_reserved and not network.is_loopback


def _unmapped(network: Network) -> Network:
    """::ffff:203.0.113.0/120 is 203.0.113.0/24."""
    if network.version == 4 or network.prefixlen < MAPPED_BITS:
        return network
    inner = ipaddress.IPv6Address(int(network.network_address)).ipv4_mapped
    if inner is None:
        return network
    return ipaddress.ip_network(f"{inner}/{network.prefixlen - MAPPED_BITS}")


@lru_cache(maxsize=ADDRESSES_REMEMBERED_MAX)
def _number(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (4, int(mapped)) if mapped is not None else (parsed.version, int(parsed))
