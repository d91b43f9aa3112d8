"""One audit row per call of a known key, reads included (AU-5, AU-10).

The service is the calling system; `on_behalf_of` is the id of a person, never a name. What the
call changed has audit rows of its own, written by the flow under the same service.
"""

from __future__ import annotations

from datetime import datetime

from payops.api.authentication import actor_of
from payops.core import audit
from payops.core.models import ApiKey

ABOUT_CHARS_MAX = 120


def called(
    *,
    api_key: ApiKey,
    operation: str,
    status: int,
    now: datetime,
    subject_id: str = "",
    about: str = "",
    on_behalf_of: str = "",
    idempotency_key: str = "",
    replayed: bool = False,
    problem: str = "",
) -> None:
    """Inside a transaction. `subject_id` is what the call made; else the row is the system's own.

    Reads are told of the system, not of the record: a record that is polled keeps its own trail.
    """
    said = {
        "status": status,
        "about": about[:ABOUT_CHARS_MAX],
        "on_behalf_of": on_behalf_of,
        "idempotency_key": idempotency_key,
        "replayed": replayed,
        "problem": problem,
    }
    audit.record(
        [
            audit.event(
                book=api_key.book,
                actor=actor_of(api_key),
                action=f"api.{operation}",
                subject_id=subject_id or api_key.system,
                now=now,
                evidence={name: value for name, value in said.items() if value not in ("", False)},
            )
        ]
    )
