"""Sends queued webhooks, signs each attempt, retries with backoff, records every attempt.

The queue is in the store: a killed simulator goes on where it stopped and may repeat an attempt it
could not record, as real providers do (WH-8). Owns the deliveries' states and the switches that
spoil them (hold, reorder, drop, late, forged, stale). Never changes an event's bytes, but for a
forged one whose signature lies in them.
"""

import http.client
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from payops.simulator import postmark
from payops.simulator.events import DELIVERED, GIVEN_UP, QUEUED
from payops.simulator.store import Database, setting_get
from payops.simulator.world import World

SENDERS = 24
TIMEOUT_S = 15.0
ANSWER_MAX = 300
IDLE_S = 1.0
GAP_S = 0.001
KEPT_MAX = 400_000
GONE = 410
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "psp-simulator/1.0",
}


@dataclass(frozen=True)
class Letter:
    """One attempt about to be made."""

    number: int
    epoch: int
    event_id: str
    provider: str
    body: bytes
    serial: bool
    tries: int
    forged: bool
    stale_s: int

    @property
    def name(self) -> tuple[int, int]:
        """Numbers start again after a reset, so a number alone does not name a letter."""
        return (self.epoch, self.number)


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended; `status` is None when no answer came."""

    status: int | None
    error: str | None
    answer: str | None
    duration_ms: int
    at: float
    signed_at: int


class Courier(threading.Thread):
    """The sending side: one dispatcher, a fixed pool of senders."""

    def __init__(self, *, world: World) -> None:
        super().__init__(name="courier", daemon=True)
        self._world = world
        self._pool = ThreadPoolExecutor(max_workers=SENDERS, thread_name_prefix="sender")
        self._in_flight: dict[tuple[int, int], Letter] = {}
        self._lock = threading.Lock()
        self._nudge = threading.Event()

    def wake(self) -> None:
        """Look at the queue now."""
        self._nudge.set()

    def in_flight(self) -> int:
        """Attempts under way."""
        with self._lock:
            return len(self._in_flight)

    def run(self) -> None:
        """Dispatch until the world stops."""
        while not self._world.stop.is_set():
            self._nudge.clear()
            letters, pause_s = self._claim()
            for letter in letters:
                self._pool.submit(self._deliver, letter)
            if not letters:
                self._nudge.wait(pause_s)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _claim(self) -> tuple[list[Letter], float]:
        now = self._world.clock()
        with self._world.store.transaction() as db, self._lock:
            if setting_get(db, "hold", False):
                return [], IDLE_S
            room = SENDERS - len(self._in_flight)
            rows = self._due(db, now=now, room=room)
            letters = [self._letter(db, row) for row in rows]
            self._in_flight.update({letter.name: letter for letter in letters})
            following = db.execute(
                "SELECT MIN(due_at) FROM deliveries WHERE state = ? AND due_at > ?", (QUEUED, now)
            ).fetchone()[0]
        pause_s = min(IDLE_S, max(0.0, following - now)) if following else IDLE_S
        return letters, pause_s

    def _due(self, db: Database, *, now: float, room: int) -> list[sqlite3.Row]:
        """Due rows not under way: any number of free ones, but serial ones singly and in order."""
        if room <= 0:
            return []
        query = (
            "SELECT d.seq, d.event_id, d.tries, d.serial, e.provider, e.body FROM deliveries d"
            " JOIN events e ON e.id = d.event_id WHERE d.state = ? AND d.serial = ?"
            " AND d.due_at <= ? ORDER BY d.due_at, d.seq LIMIT ?"
        )
        free = db.execute(query, (QUEUED, 0, now, SENDERS + room)).fetchall()
        epoch = self._world.store.epoch
        rows = [row for row in free if (epoch, row["seq"]) not in self._in_flight][:room]
        if len(rows) < room and not any(letter.serial for letter in self._in_flight.values()):
            rows += db.execute(query, (QUEUED, 1, now, 1)).fetchall()
        return rows

    def _letter(self, db: Database, row: sqlite3.Row) -> Letter:
        return Letter(
            number=row["seq"],
            epoch=self._world.store.epoch,
            event_id=row["event_id"],
            provider=row["provider"],
            body=row["body"],
            serial=bool(row["serial"]),
            tries=row["tries"],
            forged=bool(setting_get(db, "forge_signature", False)),
            stale_s=int(setting_get(db, "stale_s", 0)),
        )

    def _deliver(self, letter: Letter) -> None:
        try:
            outcome = self._send(letter)
            self._record(letter, outcome)
        finally:
            with self._lock:
                self._in_flight.pop(letter.name, None)
            self.wake()

    def _send(self, letter: Letter) -> Outcome:
        started = self._world.clock()
        signed_at = int(started) - letter.stale_s
        target = urlsplit(self._world.config.target)
        endpoint = self._world.config.endpoints[letter.provider]
        seal = postmark.Seal(
            provider=letter.provider,
            event_id=letter.event_id,
            number=letter.number,
            body=letter.body,
            at=signed_at,
            forged=letter.forged,
        )
        kind = (
            http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        )
        link = kind(target.hostname or "", target.port, timeout=TIMEOUT_S)
        status, error, answer = None, None, None
        body, signature = postmark.sealed(self._world, seal)
        try:
            link.request(
                "POST",
                f"{target.path}/webhooks/{letter.provider}/{endpoint.account}/",
                body=body,
                headers={**_HEADERS, **signature},
            )
            response = link.getresponse()
            status = response.status
            answer = response.read(ANSWER_MAX).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as failure:
            error = f"{type(failure).__name__}: {failure}"[:ANSWER_MAX]
        finally:
            link.close()
        duration_ms = round((self._world.clock() - started) * 1000)
        return Outcome(status, error, answer, duration_ms, started, signed_at)

    def _record(self, letter: Letter, outcome: Outcome) -> None:
        tries = letter.tries + 1
        with self._world.store.transaction() as db:
            if letter.epoch != self._world.store.epoch:
                return
            db.execute(
                "INSERT INTO attempts (delivery, at, duration_ms, status, error, answer, forged,"
                " signed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    letter.number,
                    outcome.at,
                    outcome.duration_ms,
                    outcome.status,
                    outcome.error,
                    outcome.answer,
                    int(letter.forged),
                    outcome.signed_at,
                ),
            )
            state = self._state(outcome, tries)
            backoff = self._world.config.backoff_s
            due_at = self._world.clock() + backoff[min(tries, len(backoff)) - 1]
            db.execute(
                "UPDATE deliveries SET state = ?, tries = ?, due_at = ? WHERE seq = ?",
                (state, tries, due_at, letter.number),
            )

    def _state(self, outcome: Outcome, tries: int) -> str:
        if outcome.status is not None and 200 <= outcome.status < 300:
            return DELIVERED
        if tries >= self._world.config.tries_max or outcome.status == GONE:
            return GIVEN_UP
        return QUEUED


def release(world: World, db: Database, *, order: str, seed: int) -> int:
    """Make everything queued due now, one after the other in this order; how many."""
    numbers = [
        row["seq"]
        for row in db.execute(
            "SELECT seq FROM deliveries WHERE state = ? ORDER BY due_at, seq", (QUEUED,)
        )
    ]
    if order == "reversed":
        numbers.reverse()
    if order == "shuffled":
        random.Random(seed).shuffle(numbers)
    start = world.clock()
    db.executemany(
        "UPDATE deliveries SET due_at = ?, serial = 1 WHERE seq = ?",
        [(start + index * GAP_S, number) for index, number in enumerate(numbers)],
    )
    return len(numbers)


def deliveries_list(
    db: Database, *, where: str, values: tuple[Any, ...], limit: int, oldest_first: bool = False
) -> list[dict[str, Any]]:
    """Deliveries matching a constant condition, each with all its attempts."""
    rows = db.execute(
        "SELECT d.*, e.type, e.provider, e.object_id FROM deliveries d"
        f" JOIN events e ON e.id = d.event_id WHERE {where}"
        f" ORDER BY d.seq {'ASC' if oldest_first else 'DESC'} LIMIT ?",
        (*values, limit),
    ).fetchall()
    attempts: dict[int, list[sqlite3.Row]] = {row["seq"]: [] for row in rows}
    if rows:
        span = (min(attempts), max(attempts))
        for attempt in db.execute(
            "SELECT * FROM attempts WHERE delivery BETWEEN ? AND ? ORDER BY delivery, seq", span
        ):
            if attempt["delivery"] in attempts:
                attempts[attempt["delivery"]].append(attempt)
    return [_shown(row, attempts[row["seq"]]) for row in rows]


def prune(db: Database) -> None:
    """Forget the oldest finished deliveries and calls beyond the number kept."""
    edge = "(SELECT COALESCE(MAX(seq), 0) FROM deliveries) - ?"
    db.execute(f"DELETE FROM attempts WHERE delivery <= {edge}", (KEPT_MAX,))
    db.execute(f"DELETE FROM deliveries WHERE state <> ? AND seq <= {edge}", (QUEUED, KEPT_MAX))
    db.execute(
        "DELETE FROM calls WHERE seq <= (SELECT COALESCE(MAX(seq), 0) FROM calls) - ?", (KEPT_MAX,)
    )


def _shown(row: sqlite3.Row, attempts: list[sqlite3.Row]) -> dict[str, Any]:
    names = ("at", "duration_ms", "status", "error", "answer", "signed_at")
    return {
        "id": row["seq"],
        "event_id": row["event_id"],
        "type": row["type"],
        "provider": row["provider"],
        "object_id": row["object_id"],
        "state": row["state"],
        "due_at": row["due_at"],
        "attempts": [
            {name: attempt[name] for name in names} | {"forged": bool(attempt["forged"])}
            for attempt in attempts
        ],
    }
