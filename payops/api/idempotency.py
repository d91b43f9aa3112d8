"""One answer per Idempotency-Key: done once, then told again (LJ-13, LJ-14, D17a).

Bound to (book, calling system, key). The act, its audit row and the stored answer are one
transaction, serialised by the key's name. Kept: success, and refusals that time cannot change.
Everything else rolls back and leaves the key free. Keys never expire.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from payops.api import trail
from payops.api.problems import Problem
from payops.core import locks
from payops.core.models import ApiKey, IdempotencyKey

HEADER = "Idempotency-Key"
KEY_CHARS_MAX = 255
REQUEST_KEY_CHARS_MAX = 160


@dataclass(frozen=True, slots=True)
class Call:
    """A mutating call as it arrived; `facts` is the whole body."""

    api_key: ApiKey
    operation: str
    key: str
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Order of members and white space do not matter; everything else does."""
        canonical = json.dumps([self.operation, self.facts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @property
    def request_key(self) -> str:
        """The key as the payout keeps it: readable when it fits, hashed when it does not."""
        system = self.api_key.system
        plain = f"api:{system}:{self.key}"
        if len(plain) <= REQUEST_KEY_CHARS_MAX:
            return plain
        return f"api#{system}:{hashlib.sha256(self.key.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """`kept` False: what was done stays, the key is free for the next try (D17a)."""

    status: int
    body: dict[str, Any]
    subject_id: str = ""
    on_behalf_of: str = ""
    replayed: bool = False
    kept: bool = True
    problem: str = ""


def key_from(header: str | None) -> str:
    """The key of a mutating call. Raises Problem when it is missing or not acceptable."""
    if not header:
        words = f"Every call that changes something carries an {HEADER} header."
        raise Problem("idempotency-key-missing", words, header=HEADER)
    if len(header) > KEY_CHARS_MAX or not (header.isascii() and header.isprintable()):
        words = f"{HEADER} has 1 to {KEY_CHARS_MAX} printable ASCII characters."
        raise Problem("idempotency-key-invalid", words, header=HEADER, length=len(header))
    return header


def once(
    *,
    call: Call,
    act: Callable[[], Answer],
    now: datetime,
    live: Callable[[Answer], Answer] | None = None,
) -> Answer:
    """Run `act` for the first call with this key and tell its answer again to every later one.

    `live` turns the stored answer of a success into how its subject stands now. Raises Problem
    when the key was used for other facts, and whatever `act` raises that time may change; then
    nothing is kept.
    """
    book, system = call.api_key.book, call.api_key.system
    with transaction.atomic(durable=True):
        locks.name(f"api-call:{book.pk}:{system}:{call.key}")
        known = IdempotencyKey.objects.filter(book=book, scope=system, key=call.key).first()
        if known is not None:
            answer = _again(known, call)
            if live is not None and answer.status < 400:
                answer = live(answer)
        else:
            answer = _first(act)
        if known is None and answer.kept:
            IdempotencyKey.objects.create(
                book=book,
                scope=system,
                key=call.key,
                fingerprint=call.fingerprint,
                status=answer.status,
                answer=answer.body,
                created_at=now,
            )
        trail.called(
            api_key=call.api_key,
            operation=call.operation,
            subject_id="" if answer.replayed else answer.subject_id,
            about=answer.subject_id,
            status=answer.status,
            on_behalf_of=answer.on_behalf_of,
            idempotency_key=call.key,
            replayed=answer.replayed,
            problem=answer.problem,
            now=now,
        )
    return answer


def _first(act: Callable[[], Answer]) -> Answer:
    try:
        with transaction.atomic():
            return act()
    except Problem as problem:
        if not problem.kind.final:
            raise
        return Answer(problem.kind.status, problem.body())


def _again(known: IdempotencyKey, call: Call) -> Answer:
    if known.fingerprint != call.fingerprint:
        words = (
            f"{HEADER} {call.key[:64]} was used on {known.created_at:%Y-%m-%d %H:%M:%S} UTC "
            "for other facts; use a new key."
        )
        raise Problem(
            "idempotency-key-reused",
            words,
            stored_fingerprint=known.fingerprint,
            given_fingerprint=call.fingerprint,
        )
    body = known.answer
    told_of = str(body.get("requested_by", ""))
    return Answer(known.status, body, str(body.get("id", "")), told_of, replayed=True)
