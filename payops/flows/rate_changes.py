"""What a granted import of exchange rates does: it makes each named rate known, once (D5, LJ-10).

Owns how an approval names a rate, the checks before it is asked for, and its execution. Asking is
in `payops/flows/rates.py`. The database takes a rate only where a granted import names exactly
that row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from approvals.models import ApprovalRequest
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Rate
from payops.flows.governed import ChangeRefused
from payops.formats.rates.currencies import CURRENCIES

KIND = "rate_import"
RATES_MAX = 500
WARNING_MAX = 400
# Further than this from the last known rate is flagged, never refused.
FAR_PERCENT = 10
MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
NAMED = re.compile(
    r"([A-Z]{3})/([A-Z]{3}) ([0-9]{1,10}\.[0-9]{10})"
    r" ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z) (\S.{0,63})"
)


class RatesRefused(ChangeRefused):
    """Rates cannot be asked for; the text has the line, the pair or the limit."""


@dataclass(frozen=True, slots=True)
class NamedRate:
    """One rate as the approval names it: units of `quote` per one `base` from `as_of` on."""

    base: str
    quote: str
    rate: Decimal
    as_of: datetime
    source: str

    @property
    def pair(self) -> str:
        return f"{self.base}/{self.quote}"

    @property
    def text(self) -> str:
        """Letter by letter what the guard in the database makes of the row."""
        moment = self.as_of.astimezone(UTC).strftime(MOMENT)
        return f"{self.pair} {self.rate:.10f} {moment} {self.source}"


def named(text: str) -> NamedRate:
    """The rate behind its text. Raises RatesRefused."""
    found = NAMED.fullmatch(text)
    if found is None:
        raise RatesRefused(f"{text[:120]!r} does not name an exchange rate")
    base, quote, rate, moment, source = found.groups()
    for code in (base, quote):
        if code not in CURRENCIES:
            raise RatesRefused(f"{code} is not a currency of ISO 4217")
    if base == quote or Decimal(rate) <= 0:
        raise RatesRefused(f"{text[:120]!r} is no rate between two currencies")
    try:
        as_of = datetime.strptime(moment, MOMENT).replace(tzinfo=UTC)
    except ValueError as error:
        raise RatesRefused(f"{moment} is no moment") from error
    return NamedRate(base, quote, Decimal(rate), as_of, source)


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises RatesRefused."""
    texts = facts.get("rates", [])
    if not isinstance(texts, list) or not 1 <= len(texts) <= RATES_MAX:
        raise RatesRefused(f"1 to {RATES_MAX} rates are asked for at a time")
    rates = [named(str(text)) for text in texts]
    if len({(rate.pair, rate.as_of, rate.source) for rate in rates}) != len(rates):
        raise RatesRefused("a pair is named twice for one moment and source")
    return {
        "warning": str(facts.get("warning", ""))[:WARNING_MAX],
        "filename": str(facts.get("filename", ""))[:200],
        "layout": str(facts.get("layout", ""))[:40],
        "rates": [rate.text for rate in rates],
    }


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """All of them, or none."""
    rates = [named(text) for text in approval.facts["rates"]]
    Rate.objects.bulk_create(
        Rate(
            base=rate.base,
            quote=rate.quote,
            rate=rate.rate,
            source=rate.source,
            as_of=rate.as_of,
            approval_id=approval.public_id,
            created_at=now,
        )
        for rate in rates
    )
    audit.record(
        [
            audit.event(
                book=approval.book,
                actor=actor,
                action="rates.brought",
                subject_id=approval.public_id,
                now=now,
                reason=approval.reason,
                evidence={
                    "rates": len(rates),
                    "pairs": sorted({rate.pair for rate in rates}),
                    "from": min(rate.as_of for rate in rates).isoformat(),
                    "to": max(rate.as_of for rate in rates).isoformat(),
                },
            )
        ]
    )
