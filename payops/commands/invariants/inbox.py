"""I1 to I3: every accepted body is kept, every accepted event ends, no event exists twice."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag

from payops.commands.invariants.base import Finding, Moment, count, select
from payops.core import crypto
from payops.core.models import DataKey

PAGE = 1000


def bodies_kept(moment: Moment) -> Finding:
    """I1: what was answered 2xx or listed is there byte for byte: decrypted, hashed, measured."""
    finding = Finding()
    keys = {key.pk: key for key in DataKey.objects.all()}
    erased = 0
    after = "00000000-0000-0000-0000-000000000000"
    while True:
        page = select(ACCEPTED_BODIES, [after, PAGE])
        for delivery_id, sha256, size, payload_sha256, payload_size, key_id, sealed in page:
            finding.checked += 1
            if sealed is None:
                finding.add(f"receipt {delivery_id} was answered 2xx and has no body")
                continue
            if keys[key_id].erased_at is not None:
                erased += 1
                continue
            said = {(sha256, size), (payload_sha256, payload_size)}
            if words := _wrong_body(keys[key_id], bytes(sealed), said):
                finding.add(f"the body of receipt {delivery_id} {words}")
        if len(page) < PAGE:
            break
        after = page[-1][0]
    if erased:
        finding.note = f"{erased} bodies cannot be read any more: their key was erased"
    return finding


def events_end(moment: Moment) -> Finding:
    """I2: every accepted event ends, and nothing unfinished is older than its bound."""
    finding = Finding(checked=count("webhooks_providerevent"))
    late = moment.now - moment.bound
    finding.break_each(
        "receipt {} was answered 2xx and has no event",
        "SELECT payops_public_id('wd', d.id) FROM webhooks_delivery d"
        " WHERE d.signature_ok AND d.dedupe_key <> ''"
        " AND (d.status_sent BETWEEN 200 AND 299 OR d.channel = 'listing')"
        " AND NOT EXISTS (SELECT 1 FROM webhooks_providerevent e WHERE e.book_id = d.book_id"
        "   AND e.account_id = d.account_id AND e.dedupe_key = d.dedupe_key) ORDER BY d.id",
    )
    finding.break_each(
        "event {} is in the unknown state {}",
        "SELECT payops_public_id('ev', id), state FROM webhooks_providerevent WHERE state NOT IN"
        " ('RECEIVED', 'PROCESSED', 'IGNORED', 'PARKED', 'DEAD', 'DISCARDED') ORDER BY id",
    )
    finding.break_each(
        "event {} has been ready since {} and nobody finished it",
        "SELECT payops_public_id('ev', id), due_at FROM webhooks_providerevent"
        " WHERE state = 'RECEIVED' AND due_at < %s"
        " AND (leased_until IS NULL OR leased_until < %s) ORDER BY due_at",
        [late, late],
    )
    finding.break_each(
        "message {} {} has been ready since {} and nobody finished it",
        "SELECT topic, key, due_at FROM core_message WHERE state = 'PENDING' AND due_at < %s"
        " AND (leased_until IS NULL OR leased_until < %s) ORDER BY due_at",
        [late, late],
    )
    return finding


def events_once(moment: Moment) -> Finding:
    """I3: one event per key; the same id with another content is a case, never an overwrite."""
    finding = Finding(checked=count("webhooks_delivery"))
    finding.break_each(
        "event {} exists {} times in account {}",
        "SELECT dedupe_key, count(*), account_id FROM webhooks_providerevent"
        " GROUP BY book_id, account_id, dedupe_key HAVING count(*) > 1 ORDER BY dedupe_key",
    )
    finding.break_each(
        "event {} has the fingerprint of none of its receipts",
        "SELECT payops_public_id('ev', e.id) FROM webhooks_providerevent e"
        " WHERE NOT EXISTS (SELECT 1 FROM webhooks_delivery d WHERE d.book_id = e.book_id"
        "   AND d.account_id = e.account_id AND d.dedupe_key = e.dedupe_key"
        "   AND d.fingerprint = e.fingerprint AND d.signature_ok) ORDER BY e.id",
    )
    finding.break_each(
        "receipt {} has another content than event {} and no case says so",
        "SELECT payops_public_id('wd', d.id), payops_public_id('ev', e.id)"
        " FROM webhooks_delivery d JOIN webhooks_providerevent e ON e.book_id = d.book_id"
        "   AND e.account_id = d.account_id AND e.dedupe_key = d.dedupe_key"
        " WHERE d.signature_ok AND d.dedupe_key <> '' AND d.fingerprint <> e.fingerprint"
        " AND d.created_at < %s AND NOT EXISTS (SELECT 1 FROM cases_case c"
        "   WHERE c.subject_id = payops_public_id('ev', e.id)) ORDER BY d.id",
        [moment.now - moment.bound],
    )
    return finding


ACCEPTED_BODIES = """
SELECT d.id::text, d.sha256, d.size_bytes, p.sha256, p.size_bytes, p.data_key_id, p.ciphertext
FROM webhooks_delivery d LEFT JOIN webhooks_payload p ON p.id = d.payload_id
WHERE (d.status_sent BETWEEN 200 AND 299 OR d.channel = 'listing') AND d.signature_ok
  AND d.id > %s::uuid
ORDER BY d.id LIMIT %s"""


def _wrong_body(key: DataKey, sealed: bytes, said: set[tuple[str, int]]) -> str:
    try:
        plain = crypto.open_sealed(key, sealed)
    except InvalidTag:
        return "cannot be decrypted: it was changed"
    if said != {(hashlib.sha256(plain).hexdigest(), len(plain))}:
        return "is not what its hash and length say was received"
    return ""
