"""Remembers for a moment that the database is away, so that turning senders off costs nothing.

Without it every attempt of every sender pays for connections that cannot be made, and the queue
that grows meanwhile delays those who come after the outage. Per process; decides nothing else.
Serves WH-14 and SC-4.
"""

from __future__ import annotations

import time

from django.db import connection
from psycopg import OperationalError

PAUSE_S = 0.2


class Outage:
    """Nobody tries again until the pause after the latest failed attempt is over."""

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self._until_s = 0.0

    def lasts(self) -> bool:
        """True for a thread that would have to connect first; an open connection is used."""
        return connection.connection is None and time.monotonic() < self._until_s

    def end(self) -> None:
        self._until_s = 0.0

    def note(self, error: BaseException) -> None:
        """Start the pause when the failure was the connection's, not the statement's."""
        if _lost_connection(error):
            self._until_s = time.monotonic() + self._pause_s


def _lost_connection(error: BaseException | None) -> bool:
    """A failure to connect, or a connection cut off, has no SQLSTATE."""
    while error is not None:
        if isinstance(error, OperationalError):
            return error.sqlstate is None
        error = error.__cause__
    return False


outage = Outage()
