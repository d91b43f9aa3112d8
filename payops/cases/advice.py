"""Recommendations: advice beside a decision, never a cause of one (D1, AI-2, AI-9, I16).

About a case, or about a record by its public id (a charge, a refund, a dispute). Imported by the
console and by triage only; the import contract forbids it everywhere else. No relation leads here
from a case, and none leads from here to a record that moves money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Q

from payops.cases.models import Case
from payops.core.models import Book
from payops.core.records import Record

LATEST_MAX = 200


class Recommendation(Record):
    """What an engine (rules or a model) would do, from which input, with which version."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, models.PROTECT, related_name="+")
    case = models.ForeignKey(Case, models.PROTECT, null=True, related_name="+")
    # What it is about where there is no case: a public id, and the kind of advice.
    subject_id = models.CharField(max_length=40, blank=True, default="")
    about = models.CharField(max_length=16, blank=True, default="")
    engine = models.CharField(max_length=48)
    version = models.CharField(max_length=24)
    input_hash = models.CharField(max_length=64)
    input_facts = models.JSONField()
    summary = models.TextField()
    likely_cause = models.TextField()
    next_step = models.TextField()
    # Lines and drafts beside those three, as `triage.said.Said` writes them; {} for a case.
    output = models.JSONField(default=dict, blank=True)
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
            ),
            models.UniqueConstraint(
                fields=["subject_id", "about", "engine", "version", "input_hash"],
                condition=Q(case=None),
                name="recommendation_subject_once",
            ),
            models.CheckConstraint(
                condition=Q(case__isnull=False, subject_id="", about="")
                | (Q(case__isnull=True) & ~Q(subject_id="") & ~Q(about="")),
                name="recommendation_about_one",
            ),
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
    return _latest_of_each(Recommendation.objects.filter(case=case, discarded=""))


def latest_about(subject_id: str, about: str) -> list[Recommendation]:
    """The same for advice on a record."""
    rows = Recommendation.objects.filter(case=None, subject_id=subject_id, about=about)
    return _latest_of_each(rows.filter(discarded=""))


def kept(
    *, subject_id: str, about: str, engine: str, version: str, input_hash: str
) -> Recommendation | None:
    """What the same engine said of the same input before."""
    rows = Recommendation.objects.filter(case=None, subject_id=subject_id, about=about)
    return rows.filter(engine=engine, version=version, input_hash=input_hash).first()


def exists(*, case: Case, engine: str, version: str, input_hash: str) -> bool:
    rows = Recommendation.objects.filter(case=case, engine=engine, version=version)
    return rows.filter(input_hash=input_hash).exists()


def _latest_of_each(rows: models.QuerySet[Recommendation]) -> list[Recommendation]:
    newest = list(rows.order_by("-created_at")[:LATEST_MAX])
    latest = {row.engine: row for row in reversed(newest)}
    return sorted(latest.values(), key=lambda row: (row.engine != "rules", row.engine))


def spent_micros(*, since: datetime) -> int:
    """What models have cost since then, in every book."""
    rows = Recommendation.objects.filter(created_at__gte=since)
    return rows.aggregate(total=models.Sum("cost_micros"))["total"] or 0


@dataclass(frozen=True, slots=True)
class About:
    """A record that advice is about, by its public id, and the kind of advice."""

    book: Book
    subject_id: str
    about: str


def write(
    *,
    engine: str,
    version: str,
    input_hash: str,
    input_facts: Mapping[str, object],
    summary: str,
    likely_cause: str,
    next_step: str,
    now: datetime,
    case: Case | None = None,
    about: About | None = None,
    suggests: str = "",
    output: Mapping[str, object] | None = None,
    told: Told | None = None,
    discarded: str = "",
) -> None:
    """Keep one recommendation; the same engine, version and input write nothing twice.

    It is about a case or about a record. `discarded`: why its answer is shown to nobody; its words
    are empty then.
    """
    told = told or Told()
    assert (case is None) != (about is None), "advice is about a case or about a record"
    Recommendation.objects.bulk_create(
        [
            Recommendation(
                book=(case or about).book,  # type: ignore[union-attr]
                case=case,
                subject_id=about.subject_id if about is not None else "",
                about=about.about if about is not None else "",
                engine=engine,
                version=version,
                input_hash=input_hash,
                input_facts=input_facts,
                summary=summary,
                likely_cause=likely_cause,
                next_step=next_step,
                suggests=suggests,
                output=output or {},
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
