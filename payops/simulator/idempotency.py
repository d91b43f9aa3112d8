"""The provider's own memory of Idempotency-Keys, with the semantics real providers document.

Same key and parameters: the stored status and body, marked as replayed, also when that was a 500.
Other parameters: refused. Concurrent use: refused. Refused before execution: nothing is stored.
The answer is stored in the transaction that moves the money, so no crash can part them (I7).
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping

from payops.simulator.manners import Manners
from payops.simulator.store import Database, Store
from payops.simulator.wire import Params, Refused, Response

Work = Callable[[Database], Response]


def fingerprint(*, method: str, path: str, params: Params) -> str:
    """A digest of what was asked, independent of the order of parameters."""
    text = json.dumps([method, path, params], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class KeyRing:
    """Runs work at most once per (provider, key) within that provider's window."""

    def __init__(self, *, windows_s: Mapping[str, float]) -> None:
        self._windows_s = windows_s
        self._busy: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def run(
        self,
        *,
        store: Store,
        provider: str,
        key: str,
        digest: str,
        request_id: str,
        now: float,
        before: Callable[[], None],
        work: Work,
        manners: Manners,
    ) -> Response:
        """The stored answer for this key, or that of `work`; `before` runs outside transactions."""
        name = (provider, key)
        with self._lock:
            if name in self._busy:
                raise manners.key_in_use()
            self._busy.add(name)
        try:
            with store.transaction() as db:
                stored = self._stored(db, name=name, digest=digest, now=now, manners=manners)
            if stored:
                return stored
            before()
            return _execute(
                store,
                name=name,
                digest=digest,
                request_id=request_id,
                now=now,
                work=work,
                manners=manners,
            )
        finally:
            with self._lock:
                self._busy.discard(name)

    def prune(self, db: Database, *, now: float) -> int:
        """Forget keys older than their provider's window; the number forgotten."""
        return sum(
            db.execute(
                "DELETE FROM keys WHERE provider = ? AND at <= ?", (provider, now - window_s)
            ).rowcount
            for provider, window_s in self._windows_s.items()
        )

    def forget(self, db: Database, *, provider: str) -> int:
        """Forget every key of a provider, or with * of all, whatever its age; how many."""
        return db.execute(
            "DELETE FROM keys WHERE provider = ? OR ? = '*'", (provider, provider)
        ).rowcount

    def _stored(
        self,
        db: Database,
        *,
        name: tuple[str, str],
        digest: str,
        now: float,
        manners: Manners,
    ) -> Response | None:
        row = db.execute(
            "SELECT * FROM keys WHERE provider = ? AND key = ? AND at > ?",
            (*name, now - self._windows_s[name[0]]),
        ).fetchone()
        if row is None:
            return None
        if row["fingerprint"] != digest:
            raise manners.key_changed()
        return _replay(row, manners=manners)


def _execute(
    store: Store,
    *,
    name: tuple[str, str],
    digest: str,
    request_id: str,
    now: float,
    work: Work,
    manners: Manners,
) -> Response:
    """Work and its stored answer in one transaction; a stored refusal in one of its own."""
    try:
        with store.transaction() as db:
            response = work(db)
            _keep(db, name, digest, response, request_id, now)
            return response
    except Refused as refusal:
        if not refusal.stored:
            raise
        response = manners.refuse(refusal)
        with store.transaction() as db:
            _keep(db, name, digest, response, request_id, now)
        return response


def _keep(
    db: Database,
    name: tuple[str, str],
    digest: str,
    response: Response,
    request_id: str,
    now: float,
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO keys (provider, key, fingerprint, status, body, request_id, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*name, digest, response.status, response.body, request_id, now),
    )


def _replay(row: sqlite3.Row, *, manners: Manners) -> Response:
    headers = {"Idempotent-Replayed": "true", "Original-Request": row["request_id"]}
    if not manners.tells_replay:
        headers = {}
    return Response(status=row["status"], body=row["body"], headers=headers)
