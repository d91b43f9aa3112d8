"""The webhook address of each provider account: verify, make durable, acknowledge (WH-1).

One request = allowlist, authenticate, one statement, one answer. A 2xx is sent only after the
commit (D15); when the receipt cannot be made durable the answer is 503, so that the provider sends
it again (WH-14). A refusal says nothing about its reason; it is counted apart from business events
(WH-31).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections

from payops.core import clock, tracing, wake
from payops.psp.base import Authentication, WebhookItem
from payops.webhooks import allowlist, ingest
from payops.webhooks.directory import Endpoint, directory
from payops.webhooks.fetched import EvidenceAway, collect
from payops.webhooks.ingest import FactsRefused, NotDurable, Received, StoredReferenceGone
from payops.webhooks.noise import noise
from payops.webhooks.outage import outage
from payops.webhooks.statement import Stored
from payops.webhooks.throttle import throttle
from payops.webhooks.wire import BodyRefused, Headers, kept_headers, read_body, remote_address

log = logging.getLogger(__name__)

RETRY_AFTER_S = "5"
EVIDENCE_DEADLINE_S = 4.0
NOT_ALLOWED = "ip_not_allowed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the sender."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def receive(meta: Mapping[str, Any], provider: str, account: str) -> Answer:
    """POST /webhooks/<provider>/<account>/; `meta` is the WSGI environment of the request."""
    now = clock.utc_now()
    endpoint = None
    if outage.lasts():
        with suppress(BodyRefused):
            read_body(meta)
        return _respond(503, ("Retry-After", RETRY_AFTER_S))
    try:
        endpoint = directory.find(provider=provider, slug=account, now=now)
        if endpoint is None:
            noise.count(account_id=None, reason="unknown_address", kept=False, now=now)
            return _respond(404)
        if meta["REQUEST_METHOD"] != "POST":
            _count_alone(endpoint, "wrong_method", now)
            return _respond(405, ("Allow", "POST"))
        raw = read_body(meta)
        headers = Headers(meta)
        remote_ip = remote_address(meta)
        received = Received(
            endpoint=endpoint,
            raw=raw,
            sha256=hashlib.sha256(raw).hexdigest(),
            headers=kept_headers(meta),
            remote_ip=remote_ip,
            trace_id=tracing.begin(),
            now=now,
            allowlist_ok=endpoint.allows(remote_ip),
        )
        return _answer(received, headers)
    except BodyRefused as refusal:
        assert endpoint is not None, "only the body of a known address is read"
        _count_alone(endpoint, refusal.reason, now)
        return _respond(refusal.status)
    except EvidenceAway as error:
        # Nothing is decided and nothing stored: the provider keeps the event and sends it again.
        assert endpoint is not None, "only a known address asks for evidence"
        log.warning("%s: the proof of a body cannot be had: %s", endpoint.address, error.reason)
        _count_alone(endpoint, "evidence_away", now)
        return _respond(503, ("Retry-After", RETRY_AFTER_S))
    except (NotDurable, DatabaseError) as error:
        log.error("a webhook for %s/%s was not stored: %s", provider, account, error)
        outage.note(error)
        close_old_connections()
        return _respond(503, ("Retry-After", RETRY_AFTER_S))


def _answer(received: Received, headers: Headers) -> Answer:
    allowed, received = _allowed(received)
    if not allowed:
        _keep_refusal(received, reason=NOT_ALLOWED, secret_id=None, status=403)
        return _respond(403)
    verdict, received = _authenticate(received, headers)
    adapter = received.endpoint.adapter
    items = verdict.items
    if verdict.ok and verdict.parse_error is not None:
        items = (ingest.unparseable(received),)
    if not verdict.ok or not any(item.verified for item in items):
        status = adapter.refusal_status(verdict)
        reason = verdict.reason or next((i.reason for i in verdict.items), "") or "no_items"
        _keep_refusal(received, reason=reason, secret_id=verdict.secret_id, status=status)
        return _respond(status)
    body, content_type = adapter.success_body()
    lanes = _store(received, verdict, items)
    _wake(lanes)
    return _respond(ingest.STATUS_ACCEPTED, ("Content-Type", content_type), body=body)


def _wake(lanes: Iterable[str]) -> None:
    """After the commit nothing turns the answer into an error (D15); the sweep finds the work."""
    try:
        for lane in lanes:
            wake.wake(lane)
    except RuntimeError as error:
        log.warning("no wake-up was sent, the sweep will find the work: %s", error)


def _allowed(received: Received) -> tuple[bool, Received]:
    """The gate of WH-3, before any signature work: a list that is enforced names the sender.

    Looked at once more when the account's list changed since it was read.
    """
    if received.endpoint.allowlist_mode != allowlist.ENFORCE or received.allowlist_ok:
        return True, received
    fresh = directory.find_anew(received.endpoint, now=received.now)
    if fresh is not None:
        verdict = fresh.allows(received.remote_ip)
        received = replace(received, endpoint=fresh, allowlist_ok=verdict)
    enforced = received.endpoint.allowlist_mode == allowlist.ENFORCE
    return not enforced or received.allowlist_ok is True, received


def _authenticate(received: Received, headers: Headers) -> tuple[Authentication, Received]:
    """A refusal is looked at once more when the account's secrets changed since they were read."""
    verdict = _verdict(received, headers, received.now)
    if not verdict.ok:
        fresh = directory.find_anew(received.endpoint, now=received.now)
        if fresh is not None:
            received = replace(received, endpoint=fresh)
            verdict = _verdict(received, headers, received.now)
    return verdict, received


def _verdict(received: Received, headers: Headers, now: datetime) -> Authentication:
    """What the scheme says of the body, with the evidence it needs. Raises EvidenceAway."""
    endpoint = received.endpoint
    wanted = endpoint.adapter.fetches(raw=received.raw, headers=headers, account=endpoint.facts)
    fetched = None
    if wanted:
        fetched = collect(wanted, account=endpoint.facts, deadline_s=EVIDENCE_DEADLINE_S)
    return endpoint.adapter.authenticate(
        raw=received.raw,
        headers=headers,
        secrets=endpoint.secrets_at(now),
        now=now,
        account=endpoint.facts,
        fetched=fetched,
    )


def _store(
    received: Received, verdict: Authentication, items: tuple[WebhookItem, ...]
) -> Iterable[str]:
    """Make it durable; answers the lanes that have new work."""
    try:
        stored = _store_once(received, verdict, items, verdict.parse_error or "")
    except StoredReferenceGone:
        directory.forget()
        fresh = directory.find_anew(received.endpoint, now=received.now)
        received = replace(received, endpoint=fresh or received.endpoint)
        stored = _store_once(received, verdict, items, verdict.parse_error or "")
    except FactsRefused as error:
        # Signed, so it must not be lost, and refusing it for ever would stall the provider's queue.
        log.error("%s: facts that cannot be stored: %s", received.endpoint.address, error)
        items = (ingest.unparseable(received),)
        stored = _store_once(received, verdict, items, "facts_cannot_be_stored")
    lane_of = received.endpoint.lane_of
    lanes = {lane_of(item) for item in items if item.verified} if stored.fresh else set()
    return lanes | {ingest.repeated_lane()} if stored.repeated else lanes


def _store_once(
    received: Received,
    verdict: Authentication,
    items: tuple[WebhookItem, ...],
    parse_error: str,
) -> Stored:
    return ingest.store(
        received,
        items=items,
        secret_id=verdict.secret_id,
        data_key=directory.data_key(received.endpoint, now=received.now),
        parse_error=parse_error,
    )


def _keep_refusal(received: Received, *, reason: str, secret_id: str | None, status: int) -> None:
    account_id = received.endpoint.account_id
    kept = throttle.may_keep(account_id=account_id)
    if kept:
        ingest.store_refusal(received, reason=reason, secret_id=secret_id, status=status)
    noise.count(account_id=account_id, reason=reason, kept=kept, now=received.now)


def _count_alone(endpoint: Endpoint, reason: str, now: datetime) -> None:
    """A request without a readable body leaves no receipt, only its count."""
    noise.count(account_id=endpoint.account_id, reason=reason, kept=False, now=now)


def _respond(status: int, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """With its length said, so that no server sends it in chunks."""
    return Answer(status, (("Content-Length", str(len(body))), *headers), body)
