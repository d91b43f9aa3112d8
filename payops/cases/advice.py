"""Recommendations: advice beside a decision, never a cause of one (D1, AI-2, AI-9, I16).

Imported by the console and by triage only; the import contract forbids it everywhere else. No
reverse relation leads here from a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import models

from payops.cases.models import Case
from payops.core.models import Book
from payops.core.records import Record


class Recommendation(Record):
    """What an engine (rules or a model) would do, from which input, with which version."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, models.PROTECT, related_name="+")
    case = models.ForeignKey(Case, models.PROTECT, related_name="+")
    engine = models.CharField(max_length=48)
    version = models.CharField(max_length=24)
    input_hash = models.CharField(max_length=64)
    input_facts = models.JSONField()
    summary = models.TextField()
    likely_cause = models.TextField()
    next_step = models.TextField()
    # The resolution it would choose, as a word of the resolutions table; "" when none.
    suggests = models.CharField(max_length=48, blank=True, default="")
    model = models.CharField(max_length=120, blank=True, default="")
    prompt_version = models.CharField(max_length=24, blank=True, default="")
    answer = models.TextField(blank=True, default="")
    took_ms = models.PositiveIntegerField(default=0)
    cost_micros = models.PositiveIntegerField(default=0)
    # Why a model's answer is shown to nobody; "" for advice that is.
    discarded = models.CharField(max_length=240, blank=True, default="")

    class Meta:
        app_label = "cases"
        constraints = [
            models.UniqueConstraint(
                fields=["case", "engine", "version", "input_hash"], name="recommendation_once"
            )
        ]


@dataclass(frozen=True, slots=True)
class Told:
    """What is kept of a model's answer, used or not (AI-9)."""

    model: str = ""
    prompt_version: str = ""
    answer: str = ""
    took_ms: int = 0
    cost_micros: int = 0


def latest_for(case: Case) -> Recommendation | None:
    rows = Recommendation.objects.filter(case=case, discarded="")
    return rows.order_by("-created_at").first()


def latest_of_each_engine(case: Case) -> list[Recommendation]:
    """What is shown beside the decision: the rules' own first, what was discarded not at all."""
    rows = Recommendation.objects.filter(case=case, discarded="")
    latest = {row.engine: row for row in rows.order_by("created_at")}
    return sorted(latest.values(), key=lambda row: (row.engine != "rules", row.engine))


def exists(*, case: Case, engine: str, version: str, input_hash: str) -> bool:
    rows = Recommendation.objects.filter(case=case, engine=engine, version=version)
    return rows.filter(input_hash=input_hash).exists()


def spent_micros(*, since: datetime) -> int:
    """What models have cost since then, in every book."""
    rows = Recommendation.objects.filter(created_at__gte=since)
    return rows.aggregate(total=models.Sum("cost_micros"))["total"] or 0


def write(
    *,
    case: Case,
    engine: str,
    version: str,
    input_hash: str,
    input_facts: dict[str, object],
    summary: str,
    likely_cause: str,
    next_step: str,
    now: datetime,
    suggests: str = "",
    told: Told | None = None,
    discarded: str = "",
) -> None:
    """Keep one recommendation; the same engine, version and input write nothing twice.

    `discarded`: why its answer is shown to nobody; its words are empty then.
    """
    told = told or Told()
    Recommendation.objects.bulk_create(
        [
            Recommendation(
                book=case.book,
                case=case,
                engine=engine,
                version=version,
                input_hash=input_hash,
                input_facts=input_facts,
                summary=summary,
                likely_cause=likely_cause,
                next_step=next_step,
                suggests=suggests,
                model=told.model,
                prompt_version=told.prompt_version,
                answer=told.answer,
                took_ms=told.took_ms,
                cost_micros=told.cost_micros,
                discarded=discarded[:240],
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )
