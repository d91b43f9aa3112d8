"""Re-wrapping data keys under the newest master key, so that an older one can be put away (SE-2).

Owns one batch at a time: rows are locked, opened, wrapped anew and tried before they are written,
with an audit row beside each batch. Stopping at any moment loses nothing; running again goes on.
Erased keys stay as they are. What the keys sealed is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from payops.core import audit, crypto
from payops.core.actors import Actor
from payops.core.models import Book, DataKey

BATCH = 200


@dataclass(frozen=True, slots=True)
class Left:
    """Keys still under older master keys: live ones to do, erased ones that stay."""

    live: int
    erased: int
    newest: int


def left() -> Left:
    newest = max(crypto.master_keys())
    older = DataKey.objects.filter(master_version__lt=newest)
    live = older.filter(erased_at=None).count()
    return Left(live, older.exclude(erased_at=None).count(), newest)


def rewrap_batch(*, actor: Actor, now: datetime, size: int = BATCH) -> int:
    """Re-wrap up to `size` keys; answers how many, 0 when none is left that nobody holds."""
    assert connection.in_atomic_block, "keys are re-wrapped with their audit row"
    newest = max(crypto.master_keys())
    system = Book.objects.get(is_system=True)
    crypto.pin_hash_key(book=system)
    rows = DataKey.objects.select_for_update(skip_locked=True).filter(
        erased_at=None, master_version__lt=newest
    )
    found = list(rows.order_by("pk")[:size])
    before = sorted({key.master_version for key in found})
    for key in found:
        crypto.rewrap(key, version=newest)
        key.save(update_fields=["master_version", "wrapped"])
    if found:
        audit.record(
            [
                audit.event(
                    book=system,
                    actor=actor,
                    action="data_keys.rewrapped",
                    subject_id=f"master-key:{newest}",
                    now=now,
                    evidence={
                        "keys": len(found),
                        "from_versions": before,
                        "first": str(found[0].pk),
                        "last": str(found[-1].pk),
                    },
                )
            ]
        )
    return len(found)
