"""What the ticket systems share: a wish read strictly out of a ticket's fields, and its one item.

Owns the rule what a refund asked for in a ticket must say, and its identity: ticket and request id,
so that an edited ticket is never a second request. A ticket that cannot be read is an event of its
own, because its corrected form must come through. Decides nothing: whether there is such a payment
is found out later. Serves RF-1, RF-2, RF-14, D5 and D17.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from payops.core.money import Money, MoneyError
from payops.psp import signing, strictjson
from payops.psp.base import (
    LIMITS,
    Authentication,
    EventRefused,
    NormalizedEvent,
    RefundWish,
    SecretValue,
    WebhookItem,
)
from payops.psp.strictjson import id_or_none, text_or_none

KIND = "refund.requested"
DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,12})(?:\.[0-9]{1,6})?", re.ASCII)
HEX_MAC = re.compile(r"(?:sha256=)?([0-9a-f]{64})", re.ASCII)
EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", re.ASCII)
TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
EVIDENCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
NOT_FOR_CODES = re.compile(r"[^a-z0-9]+", re.ASCII)
REASON_CHARS_MAX = 64
EVIDENCE_MAX = 20
INCOMPLETE_CHARS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket's fields as they came, each with the path that a refusal names.

    `event_type` is the system's own word; `ignored` says why the ticket is no request for a refund.
    """

    system: str
    event_type: str
    status: str
    number: object
    request_id: object
    charge: object
    amount: object
    currency: object
    reason: object
    note: object
    requester: object
    evidence: Mapping[str, object]
    occurred_at: datetime | None
    paths: Mapping[str, str]
    ignored: str = ""

    def refused(self, reason: str, name: str) -> EventRefused:
        return EventRefused(reason, self.paths.get(name, name))


def wish_of(ticket: Ticket) -> RefundWish:
    """Raises EventRefused, naming the field."""
    requester = ticket.requester
    if requester in (None, ""):
        raise ticket.refused("requester_missing", "requester")
    if not isinstance(requester, str) or not EMAIL.fullmatch(requester):
        raise ticket.refused("requester_malformed", "requester")
    return RefundWish(
        request_id=_identifier(ticket, "request_id", ticket.request_id, REQUEST),
        ticket=_identifier(ticket, "number", ticket.number, TICKET),
        payment_ref=_payment_ref(ticket),
        reason_code=_reason_code(ticket),
        note=_text(ticket, "note", ticket.note),
        requester=requester.lower(),
        amount=_amount(ticket),
        evidence=_evidence(ticket),
    )


def item_of(ticket: Ticket) -> WebhookItem:
    """One item; what cannot be read as a wish is told apart by its content. Raises EventRefused."""
    number = _identifier(ticket, "number", ticket.number, TICKET)
    digest = _fingerprint(ticket)
    wish = None
    if not ticket.ignored:
        try:
            wish = wish_of(ticket)
        except EventRefused:
            # Kept and dead-lettered by `parse`, which says what is wrong with it.
            wish = None
    event_id = f"{number}:{wish.request_id if wish else digest[:INCOMPLETE_CHARS]}"
    amount = wish.amount if wish else None
    return WebhookItem(
        index=0,
        provider_event_id=event_id,
        dedupe_key=event_id,
        fingerprint=digest,
        event_type=KIND if not ticket.ignored else ticket.event_type,
        object_id=number,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        occurred_at=ticket.occurred_at,
        live=None,
        lane="bulk" if ticket.ignored else "standard",
    )


def event_of(ticket: Ticket) -> NormalizedEvent:
    """Raises EventRefused."""
    item = item_of(ticket)
    wish = None if ticket.ignored else wish_of(ticket)
    return NormalizedEvent(
        kind=KIND if wish else "ignored",
        provider=ticket.system,
        provider_event_id=item.provider_event_id,
        provider_ref=item.provider_event_id,
        raw_type=ticket.event_type,
        status=ticket.status,
        occurred_at=ticket.occurred_at,
        live=None,
        merchant_ref=item.object_id,
        amount=wish.amount if wish else None,
        currency=wish.amount.currency if wish and wish.amount else None,
        original_provider_ref=wish.payment_ref if wish else None,
        reason=ticket.ignored,
        wish=wish,
    )


def authentication_of(secret_id: str | None, read: Callable[[], Ticket]) -> Authentication:
    """The verdict on a body that is signed, or that somebody else vouches for."""
    try:
        return Authentication(ok=True, secret_id=secret_id, items=(item_of(read()),))
    except EventRefused as error:
        return Authentication(ok=True, secret_id=secret_id, parse_error=error.reason)


def signing_secret(raw: bytes, header: str, secrets: Sequence[SecretValue]) -> tuple[str, str]:
    """(id of the secret that signed the raw body, why none did): hex of HMAC-SHA256."""
    given = HEX_MAC.fullmatch(header)
    if given is None:
        return "", "header_malformed"
    verified = ""
    for secret in secrets:
        if not secret.value:
            continue
        digest = signing.hmac_sha256(secret.value.encode("utf-8", "surrogatepass"), raw).hex()
        if signing.any_equal(digest.encode("ascii"), [given[1].encode("ascii")]) and not verified:
            verified = secret.id
    usable = any(secret.value for secret in secrets)
    return verified, "" if verified else ("signature_mismatch" if usable else "secret_missing")


def _fingerprint(ticket: Ticket) -> str:
    """The fields that make the request; a comment or another status changes nothing."""
    told = {
        "type": ticket.event_type if ticket.ignored else KIND,
        "ticket": ticket.number,
        "request": ticket.request_id,
        "charge": ticket.charge,
        "amount": ticket.amount,
        "currency": ticket.currency,
        "reason": ticket.reason,
        "requester": ticket.requester,
        "evidence": dict(ticket.evidence),
    }
    return strictjson.fingerprint(told)


def _identifier(ticket: Ticket, name: str, value: object, form: re.Pattern[str]) -> str:
    if value in (None, ""):
        raise ticket.refused(f"{name}_missing", name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ticket.refused(f"{name}_malformed", name)
    return value


def _payment_ref(ticket: Ticket) -> str:
    if ticket.charge in (None, ""):
        raise ticket.refused("charge_missing", "charge")
    found = id_or_none(ticket.charge)
    if found is None:
        raise ticket.refused("charge_malformed", "charge")
    return found


def _reason_code(ticket: Ticket) -> str:
    """The chosen words as a code: "Item not received" is item_not_received."""
    if ticket.reason in (None, ""):
        return ""
    if not isinstance(ticket.reason, str) or len(ticket.reason) > REASON_CHARS_MAX:
        raise ticket.refused("reason_malformed", "reason")
    code = NOT_FOR_CODES.sub("_", ticket.reason.lower()).strip("_")
    if not code:
        raise ticket.refused("reason_malformed", "reason")
    return code


def _text(ticket: Ticket, name: str, value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise ticket.refused(f"{name}_malformed", name)
    return text_or_none(value) or ""


def _amount(ticket: Ticket) -> Money | None:
    """Major units as decimal text or as a number's own text; absent asks for all that is left."""
    value, currency = ticket.amount, ticket.currency
    if value in (None, ""):
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not DECIMAL.fullmatch(text):
        raise ticket.refused("amount_malformed", "amount")
    if currency in (None, ""):
        raise ticket.refused("currency_missing", "currency")
    if not isinstance(currency, str):
        raise ticket.refused("currency_malformed", "currency")
    try:
        amount = Money.from_decimal(text, currency)
    except MoneyError as error:
        name = "amount" if _is_currency(currency) else "currency"
        raise ticket.refused(f"{name}_malformed", name) from error
    if amount.minor <= 0:
        raise ticket.refused("amount_not_positive", "amount")
    return amount


def _is_currency(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def _evidence(ticket: Ticket) -> dict[str, str]:
    """The named fields that are filled in; an empty one is no evidence."""
    if len(ticket.evidence) > EVIDENCE_MAX:
        raise ticket.refused("evidence_too_long", "evidence")
    found = {}
    for name, value in ticket.evidence.items():
        if value in (None, ""):
            continue
        fits = isinstance(value, str) and len(value) <= LIMITS.text_chars_max
        if not fits or not EVIDENCE_NAME.fullmatch(name):
            raise EventRefused("evidence_malformed", f"{ticket.paths['evidence']}.{name[:40]}")
        found[name] = str(value)
    return found
