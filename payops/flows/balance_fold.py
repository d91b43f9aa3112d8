"""Keeps the folded totals of every book close behind its journal (I17, LJ-22).

Owns how often and how long; what a fold is belongs to `ledger/folding.py`. A fold that is left out
costs a longer tail to add up, never a wrong balance.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import transaction

from ledger import folding
from payops.core.models import Book

log = logging.getLogger(__name__)
BUDGET_S = 10.0


def fold_all(*, now: datetime, budget_s: float = BUDGET_S) -> int:
    """Fold every book until nothing waits or the time is used; answers how many lines."""
    until = time.monotonic() + budget_s
    return sum(_fold(book, now, until) for book in Book.objects.filter(is_system=False))


def _fold(book: Book, now: datetime, until: float) -> int:
    lines = 0
    try:
        while True:
            with transaction.atomic(durable=True):
                folded = folding.fold(book=book, now=now)
            lines += folded.lines if folded else 0
            if folded is None or not folded.more or time.monotonic() >= until:
                return lines
    except folding.CutAhead as error:
        log.error("balances are not folded: %s", error)
        return lines
