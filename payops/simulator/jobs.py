"""Moves put on the clock: what will happen to an object, and when. They survive a restart.

Owns the rows; clockwork.py makes the moves when they are due.
"""

import json
from typing import Any

from payops.simulator.store import Database
from payops.simulator.wire import Refused

JOBS_MAX = 100_000


def job_add(
    db: Database,
    *,
    due_at: float,
    verb: str,
    object_id: str,
    arguments: dict[str, Any] | None = None,
) -> None:
    """Put a move on the clock."""
    if db.execute("SELECT COUNT(*) FROM jobs").fetchone()[0] >= JOBS_MAX:
        raise Refused(503, "The simulator's clock is full.", code="jobs_full", kind="api_error")
    db.execute(
        "INSERT INTO jobs (due_at, verb, object_id, arguments) VALUES (?, ?, ?, ?)",
        (due_at, verb, object_id, json.dumps(arguments or {})),
    )
