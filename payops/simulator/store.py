"""The simulator's own books, in one SQLite file that outlives the process.

Owns the schema and the transaction. A provider answers only after its transaction committed, so
that killing the process at any instant loses nothing it had promised. Movements are append-only:
they are the independent witness of what really moved (I7). Never read by the product.
"""

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payops.simulator.wire import Refused

TABLES = (
    *("objects", "movements", "events", "deliveries", "attempts"),
    *("keys", "jobs", "faults", "calls"),
)
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS objects (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, provider TEXT NOT NULL,
        kind TEXT NOT NULL, reference TEXT, merchant_reference TEXT, parent TEXT,
        created INTEGER NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS objects_kind ON objects (provider, kind, seq)",
    "CREATE INDEX IF NOT EXISTS objects_reference ON objects (reference)",
    "CREATE INDEX IF NOT EXISTS objects_merchant ON objects (merchant_reference)",
    "CREATE INDEX IF NOT EXISTS objects_parent ON objects (parent)",
    "CREATE INDEX IF NOT EXISTS objects_invoice ON objects (json_extract(body, '$.invoice_id'))"
    " WHERE kind = 'refund'",
    """CREATE TABLE IF NOT EXISTS movements (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, kind TEXT NOT NULL,
        direction TEXT NOT NULL CHECK (direction IN ('in', 'out')), object_id TEXT NOT NULL,
        reference TEXT, merchant_reference TEXT, amount INTEGER NOT NULL CHECK (amount > 0),
        currency TEXT NOT NULL, idempotency_key TEXT, at REAL NOT NULL)""",
    """CREATE TRIGGER IF NOT EXISTS movements_keep BEFORE UPDATE ON movements
        BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS movements_stay BEFORE DELETE ON movements
        BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END""",
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, provider TEXT NOT NULL,
        type TEXT NOT NULL, object_id TEXT NOT NULL, created INTEGER NOT NULL,
        body BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS events_object ON events (object_id, seq)",
    "CREATE INDEX IF NOT EXISTS events_provider ON events (provider, seq)",
    """CREATE TABLE IF NOT EXISTS deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, state TEXT NOT NULL,
        due_at REAL NOT NULL, serial INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, serial, due_at)",
    "CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event_id)",
    """CREATE TABLE IF NOT EXISTS attempts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, delivery INTEGER NOT NULL, at REAL NOT NULL,
        duration_ms INTEGER NOT NULL, status INTEGER, error TEXT, answer TEXT,
        forged INTEGER NOT NULL, signed_at INTEGER NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS attempts_delivery ON attempts (delivery)",
    """CREATE TABLE IF NOT EXISTS keys (
        provider TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
        status INTEGER NOT NULL, body BLOB NOT NULL, request_id TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (provider, key))""",
    """CREATE TABLE IF NOT EXISTS jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, due_at REAL NOT NULL, verb TEXT NOT NULL,
        object_id TEXT NOT NULL, arguments TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due_at)",
    """CREATE TABLE IF NOT EXISTS calls (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, operation TEXT NOT NULL,
        at REAL NOT NULL, status INTEGER, ending TEXT NOT NULL, key TEXT, reference TEXT,
        object_id TEXT)""",
    "CREATE INDEX IF NOT EXISTS calls_provider ON calls (provider, seq)",
    """CREATE TABLE IF NOT EXISTS faults (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, operation TEXT NOT NULL,
        reference TEXT NOT NULL, fault TEXT NOT NULL, remaining INTEGER NOT NULL,
        used INTEGER NOT NULL DEFAULT 0, delay_s REAL NOT NULL, options TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
# What a store made by an older simulator lacks: table, column, its type.
ADDED = (("calls", "key", "TEXT"), ("calls", "reference", "TEXT"), ("calls", "object_id", "TEXT"))
ADDED_INDEX = "CREATE INDEX IF NOT EXISTS calls_key ON calls (key) WHERE key IS NOT NULL"
Database = sqlite3.Connection


@dataclass(frozen=True)
class Record:
    """One provider object: its public body plus the references people search by."""

    seq: int
    id: str
    provider: str
    kind: str
    reference: str | None
    merchant_reference: str | None
    parent: str | None
    body: dict[str, Any]


class Store:
    """One connection, one writer at a time; every use is a transaction."""

    def __init__(self, *, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.create_function("named", 2, _named, deterministic=True)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self.epoch = 0
        with self.transaction() as db:
            _create(db)

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """A committed transaction on leaving, or none of it. Does not nest."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def reset(self) -> None:
        """Forget everything; what is still under way belongs to the old epoch."""
        with self.transaction() as db:
            for table in (*TABLES, "settings"):
                db.execute(f"DROP TABLE IF EXISTS {table}")
            _create(db)
            self.epoch += 1

    def close(self) -> None:
        """Close the file; later use is an error."""
        with self._lock:
            self._connection.close()


def new_id(prefix: str, *, size: int = 24) -> str:
    """An unguessable provider id such as po_sim followed by hex digits."""
    return prefix + secrets.token_hex(size // 2)


def object_add(
    db: Database,
    *,
    provider: str,
    kind: str,
    body: dict[str, Any],
    reference: str | None = None,
    merchant_reference: str | None = None,
    parent: str | None = None,
) -> None:
    """Store a new provider object under body["id"]."""
    db.execute(
        "INSERT INTO objects (id, provider, kind, reference, merchant_reference, parent, created,"
        " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            body["id"],
            provider,
            kind,
            reference,
            merchant_reference,
            parent,
            body["created"],
            json.dumps(body),
        ),
    )


def object_save(db: Database, *, body: dict[str, Any]) -> None:
    """Store the changed body of an existing object."""
    db.execute("UPDATE objects SET body = ? WHERE id = ?", (json.dumps(body), body["id"]))


def object_get(db: Database, *, provider: str, kind: str, id: str) -> Record | None:
    """The object with exactly this id, or None."""
    row = db.execute(
        "SELECT * FROM objects WHERE id = ? AND provider = ? AND kind = ?", (id, provider, kind)
    ).fetchone()
    return record_of(row) if row else None


def objects_select(
    db: Database,
    *,
    where: str,
    values: Sequence[Any],
    limit: int,
    oldest_first: bool = False,
) -> list[Record]:
    """Objects matching a constant condition, newest first."""
    order = "ASC" if oldest_first else "DESC"
    rows = db.execute(
        f"SELECT * FROM objects WHERE {where} ORDER BY seq {order} LIMIT ?", (*values, limit)
    ).fetchall()
    return [record_of(row) for row in rows]


def object_find(db: Database, *, kinds: Sequence[str], name: str) -> Record:
    """The newest object of these kinds with this id or reference; refuses when there is none."""
    marks = ", ".join("?" for _ in kinds)
    where = f"kind IN ({marks}) AND (id = ? OR reference = ?)"
    found = objects_select(db, where=where, values=(*kinds, name, name), limit=1)
    if not found:
        raise Refused(404, f"No {kinds[0]} {name[:80]}.", code="resource_missing")
    return found[0]


def record_add(db: Database, record: Record) -> Record:
    """Store a new object as its record names it."""
    object_add(
        db,
        provider=record.provider,
        kind=record.kind,
        body=record.body,
        reference=record.reference,
        merchant_reference=record.merchant_reference,
        parent=record.parent,
    )
    return record


def payout_find(db: Database, *, name: str) -> Record | None:
    """The newest payout known by this provider id, reference or merchant reference.

    Where none has exactly that name, the merchant's reference may stand in a sentence or without
    its signs: P-10477 also finds "P10477" and "Payout P-10477".
    """
    for where, values in (
        ("(id = ? OR reference = ? OR merchant_reference = ?)", (name, name, name)),
        ("named(merchant_reference, ?)", (name,)),
    ):
        found = objects_select(db, where=f"kind = 'payout' AND {where}", values=values, limit=1)
        if found:
            return found[0]
    return None


def movement_add(
    db: Database,
    *,
    record: Record,
    kind: str,
    direction: str,
    amount: int,
    currency: str,
    key: str | None,
    at: float,
) -> None:
    """Write down that money moved: positive minor units, ISO currency, direction seen from us."""
    db.execute(
        "INSERT INTO movements (provider, kind, direction, object_id, reference,"
        " merchant_reference, amount, currency, idempotency_key, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.provider,
            kind,
            direction,
            record.id,
            record.reference,
            record.merchant_reference,
            amount,
            currency.upper(),
            key,
            at,
        ),
    )


def movement_is_back(db: Database, *, object_id: str) -> bool:
    """Money of this object came back already."""
    row = db.execute(
        "SELECT 1 FROM movements WHERE object_id = ? AND direction = 'in' LIMIT 1", (object_id,)
    ).fetchone()
    return row is not None


def setting_get(db: Database, name: str, default: Any) -> Any:
    """A switch as last set through the control API."""
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return json.loads(row["value"]) if row else default


def setting_put(db: Database, name: str, value: Any) -> None:
    """Remember a switch."""
    db.execute(
        "INSERT INTO settings (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, json.dumps(value)),
    )


def _named(text: str | None, name: str) -> bool:
    """A word of the text is this name, signs and capitals aside."""
    wanted = _plain(name)
    return bool(wanted) and any(_plain(word) == wanted for word in (text or "").split())


def _plain(word: str) -> str:
    return "".join(sign for sign in word if sign.isalnum()).casefold()


def _create(db: Database) -> None:
    for statement in SCHEMA:
        db.execute(statement)
    for table, column, type in ADDED:
        if column not in {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {type}")
    db.execute(ADDED_INDEX)


def record_of(row: sqlite3.Row | dict[str, Any]) -> Record:
    """The record in a row of the objects table."""
    return Record(
        seq=row["seq"],
        id=row["id"],
        provider=row["provider"],
        kind=row["kind"],
        reference=row["reference"],
        merchant_reference=row["merchant_reference"],
        parent=row["parent"],
        body=json.loads(row["body"]),
    )
