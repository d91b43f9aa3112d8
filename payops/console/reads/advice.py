"""How advice fares: who gave how much of it, how often people chose what it suggested (AI-9).

A suggestion counts against the first decision that was carried out after it; one about a charge
against the reason of the first refund that was asked for after it. Read to be shown; nothing is
learned from it by any code (D1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from payops.cases.advice import Recommendation, spent_micros
from payops.core.models import Book

COUNTED = timedelta(days=90)
LATEST = 20
RATES = """
SELECT r.engine, r.model, r.version, r.prompt_version, count(*),
  count(*) FILTER (WHERE r.discarded <> ''),
  count(*) FILTER (WHERE r.suggests <> ''),
  count(d.chosen) FILTER (WHERE r.suggests <> ''),
  count(*) FILTER (WHERE r.suggests <> '' AND r.suggests = d.chosen),
  sum(r.cost_micros), percentile_cont(0.5) WITHIN GROUP (ORDER BY r.took_ms)
FROM cases_recommendation r
LEFT JOIN LATERAL (
  SELECT run.plan ->> 'resolution' AS chosen, run.created_at FROM cases_runbookrun run
  WHERE run.case_id = r.case_id AND run.created_at >= r.created_at
  UNION ALL
  SELECT f.reason_code, f.created_at FROM payments_refund f
  WHERE f.created_at >= r.created_at AND f.source = 'console' AND f.payment_id =
    CASE WHEN starts_with(r.subject_id, 'pa_') THEN substr(r.subject_id, 4)::uuid END
  ORDER BY created_at LIMIT 1) d ON true
WHERE r.book_id = %(book)s AND r.created_at >= %(since)s
GROUP BY r.engine, r.model, r.version, r.prompt_version
ORDER BY r.engine DESC, r.model, r.version, r.prompt_version
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """One engine, model and version. `decided` counts suggestions that a decision followed."""

    engine: str
    model: str
    version: str
    prompt_version: str
    written: int
    discarded: int
    suggested: int
    decided: int
    accepted: int
    cost_micros: int
    median_ms: int

    @property
    def overridden(self) -> int:
        return self.decided - self.accepted

    @property
    def rate_text(self) -> str:
        """Whole per cent, or words where no decision followed yet."""
        if not self.decided:
            return "no decision yet"
        return f"{(self.accepted * 200 + self.decided) // (self.decided * 2)} %"

    @property
    def cost_text(self) -> str:
        return units(self.cost_micros)

    @property
    def took_text(self) -> str:
        return f"{self.median_ms:,} ms" if self.model else "at once"


@dataclass(frozen=True, slots=True)
class Mode:
    """How advice is switched; the address of the model is shown by its host alone."""

    name: str
    model: str
    spent_text: str
    cap_text: str


def rates(book: Book, *, now: datetime) -> list[Rate]:
    with connection.cursor() as cursor:
        cursor.execute(RATES, {"book": book.pk, "since": now - COUNTED})
        return [Rate(*row[:9], int(row[9]), round(row[10])) for row in cursor.fetchall()]


def mode(*, now: datetime) -> Mode:
    said: dict[str, Any] = settings.ADVICE_MODEL
    on = settings.PAYOPS_ADVICE == "model" and said["url"] and said["model"]
    name = settings.PAYOPS_ADVICE if settings.PAYOPS_ADVICE in ("rules", "model") else "off"
    cap = said["daily_cost_cap_micros"]
    spent = spent_micros(since=now.replace(hour=0, minute=0, second=0, microsecond=0))
    return Mode(
        name=name,
        model=said["model"] if on else "",
        spent_text=units(spent),
        cap_text=units(cap) if cap else "no cap",
    )


def discarded(book: Book) -> list[Recommendation]:
    rows = Recommendation.objects.filter(book=book).exclude(discarded="").select_related("case")
    return list(rows.order_by("-created_at")[:LATEST])


def units(micros: int) -> str:
    """Micros of the currency the endpoint bills in, with four decimals, rounded up."""
    tenths = -(-micros // 100)
    return f"{tenths // 10_000:,}.{tenths % 10_000:04d}"
