"""Sealing to the end: the sealer leaves what is younger than a transaction of the same server."""

from __future__ import annotations

import time

from payops.core import audit, clock
from payops.core.models import AuditEvent

WAIT_S = 30


def seal_everything() -> int:
    """Seal until nothing waits. Another database of the server may hold the sealer back a while."""
    sealed, until = 0, time.monotonic() + WAIT_S
    while AuditEvent.objects.filter(seal=None).exists():
        assert time.monotonic() < until, "a transaction of this server stays open for too long"
        sealed += audit.seal(now=clock.utc_now())
    return sealed
