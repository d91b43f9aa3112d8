"""Reads PayPal's webhooks: verifies the transmission offline or by post-back, one item per body.

The webhook ids are the account's own secrets; a request never names one. Never believes a
certificate from an address that is not pinned, nor any answer of the post-back but SUCCESS. Serves
WH-2, WH-4, WH-9, WH-23, WH-26, WH-27, SE-1 and SE-2.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from payops.psp import signing, strictjson
from payops.psp.base import (
    LIMITS,
    NO_SETTINGS,
    AccountFacts,
    Authentication,
    EventRefused,
    Fetch,
    Lane,
    NormalizedEvent,
    SecretValue,
    WebhookItem,
)
from payops.psp.paypal import certificates, events, links, transmission
from payops.psp.paypal.certificates import CertificateRefused
from payops.psp.paypal.transmission import Transmission

ALGORITHM = "SHA256withRSA"
POST_BACK = "post_back"
VERIFY_PATH = "/v1/notifications/verify-webhook-signature"
CERTIFICATE = "certificate"
VERDICT = "verdict"
WEBHOOK_IDS_MAX = 8
# PayPal sends for three days; whether a late try carries a new time is not documented.
TOLERANCE_S = 4 * 24 * 3600
TOLERANCE_MAX_S = 30 * 24 * 3600
HIGH_PREFIXES = (
    "PAYMENT.PAYOUTS",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.FAILED",
)
UNAVAILABLE = "evidence_missing"


class PayPalAdapter:
    """One event per body; see `payops.psp.base.WebhookAdapter`."""

    name = "paypal"

    def fetches(
        self, *, raw: bytes, headers: Mapping[str, str], account: AccountFacts
    ) -> tuple[Fetch, ...]:
        """The pinned certificate, or one post-back for each webhook id of the account."""
        sent, _ = transmission.read(headers)
        if sent is None or len(raw) > LIMITS.body_bytes_max:
            return ()
        if account.settings.get("verification") == POST_BACK:
            if not _is_json_object(raw):
                return ()
            return tuple(
                Fetch(
                    name=f"{VERDICT}:{webhook_id}",
                    url=VERIFY_PATH,
                    body=transmission.question(sent, webhook_id, raw),
                    authorized=True,
                )
                for webhook_id in _webhook_ids(account)
            )
        if _offline_refusal(sent, account):
            return ()
        return (Fetch(name=CERTIFICATE, url=sent.cert_url),)

    def authenticate(
        self,
        *,
        raw: bytes,
        headers: Mapping[str, str],
        secrets: Sequence[SecretValue],
        now: datetime,
        account: AccountFacts,
        fetched: Mapping[str, bytes] | None = None,
    ) -> Authentication:
        if len(raw) > LIMITS.body_bytes_max:
            return signing.refused("body_too_large")
        sent, reason = transmission.read(headers)
        if sent is None:
            return signing.refused(reason)
        usable = [each for each in secrets if transmission.WEBHOOK_ID.fullmatch(each.value)]
        if not usable:
            return signing.refused("secret_missing")
        evidence = fetched or {}
        if account.settings.get("verification") == POST_BACK:
            secret_id, reason = _told_by_paypal(raw, usable, evidence)
        else:
            secret_id, reason = _proved_offline(sent, raw, usable, account, evidence, now)
        reason = reason or _tolerance_reason(sent, account, now)
        if reason:
            return signing.refused(reason, secret_id)
        return _read(raw, secret_id, account)

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        return _read(raw, None, account)

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """The canonical event. Raises EventRefused."""
        if item_index != 0:
            raise EventRefused("no_such_item")
        return events.normalize(strictjson.read_object(raw))

    def refusal_status(self, authentication: Authentication) -> int:
        """503 where the evidence was missing: nothing is decided, PayPal has to send it again."""
        if authentication.reason == UNAVAILABLE:
            return 503
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b'{"received":true}', "application/json"


def _webhook_ids(account: AccountFacts) -> tuple[str, ...]:
    ids = certificates.listed(account.settings, "webhook_id")[:WEBHOOK_IDS_MAX]
    return tuple(dict.fromkeys(each for each in ids if transmission.WEBHOOK_ID.fullmatch(each)))


def _offline_refusal(sent: Transmission, account: AccountFacts) -> str:
    """What rules the delivery out before a certificate is even looked at."""
    if sent.algorithm != ALGORITHM:
        return "algorithm_refused"
    pinned = certificates.url_is_pinned(sent.cert_url, settings=account.settings, live=account.live)
    return "" if pinned else "certificate_url_refused"


def _proved_offline(
    sent: Transmission,
    raw: bytes,
    secrets: Sequence[SecretValue],
    account: AccountFacts,
    evidence: Mapping[str, bytes],
    now: datetime,
) -> tuple[str | None, str]:
    """(id of the secret that verifies, why none does)."""
    refusal = _offline_refusal(sent, account)
    if refusal:
        return None, refusal
    pem = evidence.get(CERTIFICATE)
    if pem is None:
        return None, UNAVAILABLE
    try:
        key = certificates.signing_key(pem, settings=account.settings, live=account.live, now=now)
    except CertificateRefused as error:
        return None, error.reason
    for secret in secrets:
        text = transmission.signed_text(sent, secret.value, raw)
        try:
            key.verify(sent.signature, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        return secret.id, ""
    return None, "signature_mismatch"


def _told_by_paypal(
    raw: bytes, secrets: Sequence[SecretValue], evidence: Mapping[str, bytes]
) -> tuple[str | None, str]:
    """(id of the secret PayPal confirms, why none); no clear answer is no decision."""
    if not _is_json_object(raw):
        return None, "body_not_postable"
    unclear = False
    for secret in secrets:
        status = _verification_status(evidence.get(f"{VERDICT}:{secret.value}", b""))
        if status == "SUCCESS":
            return secret.id, ""
        unclear |= status != "FAILURE"
    return None, UNAVAILABLE if unclear else "signature_mismatch"


def _verification_status(answer: bytes) -> object:
    try:
        return strictjson.read_object(answer).get("verification_status")
    except EventRefused:
        return None


def _tolerance_reason(sent: Transmission, account: AccountFacts, now: datetime) -> str:
    """A late try is welcome for days, because the event's id guards against replays."""
    stated = str(account.settings.get("tolerance_s") or "")
    allowed_s = signing.unix_seconds(stated) or TOLERANCE_S
    if now - sent.sent_at > timedelta(seconds=min(allowed_s, TOLERANCE_MAX_S)):
        return "timestamp_stale"
    early = sent.sent_at - now > timedelta(seconds=LIMITS.tolerance_s)
    return "timestamp_future" if early else ""


def _is_json_object(raw: bytes) -> bool:
    try:
        strictjson.read_object(raw)
    except EventRefused:
        return False
    return True


def _read(raw: bytes, secret_id: str | None, account: AccountFacts) -> Authentication:
    try:
        item = _item(strictjson.read_object(raw))
    except EventRefused as error:
        return Authentication(ok=True, secret_id=secret_id, parse_error=error.reason)
    if item.live is not None and item.live is not account.live:
        return signing.refused("mode_mismatch", secret_id)
    return Authentication(ok=True, secret_id=secret_id, items=(item,))


def _item(event: dict[str, Any]) -> WebhookItem:
    event_id, event_type, subject = events.envelope(event)
    object_id = events.object_id(event_type, subject)
    try:
        amount = events.stated_amount(event_type, subject)
    except EventRefused:
        # Many objects carry no amount; one that must have it is refused by `parse`.
        amount = None
    return WebhookItem(
        index=0,
        provider_event_id=event_id,
        dedupe_key=f"{event_id}:{object_id}",
        fingerprint=strictjson.fingerprint(
            {
                "type": event_type,
                "object": object_id,
                "amount": events.amount_member(event_type, subject),
                "status": events.status_of(subject),
                "failure_code": events.failure(subject)[0],
            }
        ),
        event_type=event_type,
        object_id=object_id,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        occurred_at=events.occurred_at(event),
        live=links.live_flag(event, subject),
        lane=_lane(event_type),
    )


def _lane(event_type: str) -> Lane:
    if event_type.startswith(HIGH_PREFIXES):
        return "high"
    return "standard" if event_type.startswith("PAYMENT.") else "bulk"
