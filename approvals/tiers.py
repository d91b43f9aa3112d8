"""Which seats a request needs: amount, the day's total for the beneficiary, risk, conditions.

Pure over a policy and an exposure. Highest tier where an amount or rate is unknown, never a guess.
A tier once reached at the request or at a decision is kept. Serves D2, AP-1, AP-2, F23.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from approvals.models import ApprovalRequest
from approvals.policies import Policy, Tier
from payops.core.money import Money
from payops.core.roles import LABELS, Role

RISKS = ("normal", "raised")
RULE_TEXT_MAX = 240
COUNTED = (ApprovalRequest.State.PENDING, ApprovalRequest.State.APPROVED)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A request's own amount and the others of its key and day, in the reporting currency.

    `own_minor` None: no amount or no rate. `others_unknown` counts others without a known amount.
    """

    currency: str
    own_minor: int | None
    others_minor: int = 0
    others_count: int = 0
    others_unknown: int = 0

    @property
    def total_minor(self) -> int | None:
        if self.own_minor is None or self.others_unknown:
            return None
        return self.own_minor + self.others_minor


@dataclass(frozen=True, slots=True)
class Needed:
    """The tier, its seats in order, and the rule in words as it is stored and shown."""

    tier: str
    seats: tuple[str, ...]
    rule_fired: str


def tier_for(
    policy: Policy,
    exposure: Exposure,
    *,
    risk: str = "normal",
    channel: str = "",
    currency: str = "",
    requester: str = "",
    facts: dict[str, Any] | None = None,
    at_least: str = "",
) -> Needed:
    """Apply the table: the amount's tier, then raised risk, then conditions; seats only added."""
    facts = facts or {}
    rank, words = _by_amount(policy, exposure, currency)
    if at_least and policy.tier(at_least) > rank:
        rank = policy.tier(at_least)
        words += f"; the tier {at_least} reached before is kept"
    seats = list(policy.tiers[rank].seats)
    if risk != "normal" and rank + 1 < len(policy.tiers):
        following = policy.tiers[rank + 1]
        seats += [seat for seat in following.seats if seat not in seats]
        words += f"; raised risk adds the seats of {following.key}"
    for condition in policy.conditions:
        if condition.fires(
            channel=channel,
            currency=currency,
            counterparty=str(facts.get("beneficiary_id", "")),
            requester=requester,
            facts=facts,
        ):
            seats += [seat for seat in condition.adds if seat not in seats]
            words += f"; {condition.name} adds {', '.join(condition.adds)}"
    text = f"{policy.kind} v{policy.version}: {words}"
    if len(text) > RULE_TEXT_MAX:
        text = text[: RULE_TEXT_MAX - 1] + "…"
    return Needed(policy.tiers[rank].key, tuple(seats), text)


def needed_by(request: ApprovalRequest, policy: Policy, exposure: Exposure) -> Needed:
    """The seats a stored request needs now, never below the tier it was asked or decided at."""
    return tier_for(
        policy,
        exposure,
        risk=request.risk,
        channel=request.requested_channel,
        currency=request.currency,
        requester=str(request.requested_by_id),
        facts=request.facts,
        at_least=request.tier,
    )


def exposures_of(requests: Iterable[ApprovalRequest]) -> dict[UUID, Exposure]:
    """The exposure of each request, with one query for all that share keys and days."""
    asked = list(requests)
    totals: dict[tuple[Any, ...], tuple[int, int, int]] = {}
    keyed = [r for r in asked if r.cumulative_key]
    if keyed:
        rows = (
            ApprovalRequest.objects.filter(
                state__in=COUNTED,
                cumulative_key__in={r.cumulative_key for r in keyed},
                business_day__in={r.business_day for r in keyed},
            )
            .values_list("book_id", "kind", "cumulative_key", "business_day")
            .annotate(
                total=Sum("reporting_minor"),
                rows=Count("id"),
                unknown=Count("id", filter=Q(reporting_minor=None)),
            )
        )
        totals = {tuple(row[:4]): (row[4] or 0, row[5], row[6]) for row in rows}
    return {r.pk: _exposure(r, totals) for r in asked}


def band_words(policy: Policy, tier: Tier, currency: str) -> str:
    """A tier's amounts for people: "5,000.00 EUR to 50,000.00 EUR inclusive"."""
    rank = policy.tiers.index(tier)
    below = policy.tiers[rank - 1] if rank else None
    if len(policy.tiers) == 1:
        return "any amount"
    if below is None or below.top_minor is None:
        assert tier.top_minor is not None
        edge = Money(tier.top_minor, currency)
        return f"up to {edge} inclusive" if tier.top_included else f"below {edge}"
    floor = Money(below.top_minor, currency)
    if tier.top_minor is None:
        return f"above {floor}" if below.top_included else f"{floor} and above"
    start = f"above {floor}" if below.top_included else f"{floor}"
    edge = Money(tier.top_minor, currency)
    return f"{start} to {edge} inclusive" if tier.top_included else f"{start} to below {edge}"


def seat_words(seats: Iterable[str]) -> str:
    return " and ".join(LABELS[Role(seat)] for seat in seats)


def _by_amount(policy: Policy, exposure: Exposure, currency: str) -> tuple[int, str]:
    if not policy.by_amount:
        return 0, f"any amount, decided by {seat_words(policy.tiers[0].seats)}"
    top = len(policy.tiers) - 1
    total = exposure.total_minor
    if exposure.own_minor is None:
        why = f"no rate from {currency} to {exposure.currency}" if currency else "no amount"
        return top, f"{why} is known, so the highest tier {policy.tiers[top].key} applies"
    if total is None:
        others = f"{_other_requests(exposure.others_unknown)} of the day without a known amount"
        return top, f"{others}, so the highest tier {policy.tiers[top].key} applies"
    rank = next(rank for rank, tier in enumerate(policy.tiers) if tier.covers(total))
    tier = policy.tiers[rank]
    band = band_words(policy, tier, exposure.currency)
    words = f"{tier.key}, {Money(total, exposure.currency)} is {band}"
    if exposure.others_count:
        here = Money(exposure.own_minor, exposure.currency)
        rest = Money(exposure.others_minor, exposure.currency)
        count = _other_requests(exposure.others_count)
        words += f" ({here} here + {rest} in {count} of the day)"
    return rank, words


def _other_requests(count: int) -> str:
    return "1 other request" if count == 1 else f"{count} other requests"


def _exposure(
    request: ApprovalRequest, totals: dict[tuple[Any, ...], tuple[int, int, int]]
) -> Exposure:
    currency = request.book.reporting_currency
    own = request.reporting_minor
    key = (request.book_id, request.kind, request.cumulative_key, request.business_day)
    if key not in totals:
        return Exposure(currency, own)
    total, count, unknown = totals[key]
    if not request._state.adding and request.state in COUNTED:
        total, count, unknown = total - (own or 0), count - 1, unknown - (own is None)
    return Exposure(currency, own, total, count, unknown)
