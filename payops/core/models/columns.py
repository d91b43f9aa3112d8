"""Columns and indexes that tables of several nouns share."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

PROTECT = models.PROTECT


def history() -> HistoricalRecords:
    """simple-history as the house uses it: big keys, free-text reason, no silent user lookup."""
    return HistoricalRecords(
        history_id_field=models.BigAutoField(),
        history_change_reason_field=models.TextField(null=True),
    )


def leaf(to: Any) -> Any:
    """A reference from a table that grows by every event to one whose rows are never deleted.

    Neither index nor constraint: see docs/adr/0007-leaner-leaf-tables.md for what holds instead.
    """
    return models.ForeignKey(to, PROTECT, related_name="+", db_index=False, db_constraint=False)


def dead_indexes(name: str, kind_column: str, *more: str) -> list[models.Index]:
    """What the dead-letter screen filters by, each in the order it pages; dead rows are few."""
    columns = ("book", kind_column, "cause", "lane", "failure_kind", "owner", *more)
    return [
        models.Index(
            fields=[*dict.fromkeys(("book", column)), "last_failed_at", "id"],
            condition=Q(state="DEAD"),
            name=f"{name}_dead_{column}"[:30],
        )
        for column in columns
    ]
