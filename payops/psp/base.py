"""What a payment service provider, or a ticket system, tells us: bytes in, dataclasses out.

Owns the shapes of the listening half: a webhook authenticated into items (one or many per body,
signed by header, by item or by certificate), and an item parsed into a canonical event. The calls
that move money are `calling`. Never touches a table, the clock of a decision or the network.
Serves WH-2, WH-4, WH-9, WH-23, WH-26, WH-28, WH-29, RF-1 and PX-8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from payops.core.money import Money

Lane = Literal["high", "standard", "bulk"]
# An inquiry moves no money; a second round (second chargeback, pre-arbitration) may move it again.
Stage = Literal["inquiry", "chargeback", "second_round"]
Disposition = Literal["retryable", "new_details", "compliance"]

# Every value `NormalizedEvent.kind` can take. A flow without a meaning for one of them ends the
# event IGNORED with a reason; it can be processed again once it has one.
KINDS = frozenset(
    {
        "payment.authorized",
        "payment.captured",
        "payment.failed",
        "payment.expired",
        "payment.canceled",
        "refund.requested",
        "refund.accepted",
        "refund.succeeded",
        "refund.failed",
        "refund.failed_late",
        "refund.canceled",
        "refund.returned",
        "refund.observed",
        "payout.initiated",
        "payout.in_transit",
        "payout.paid",
        "payout.failed",
        "payout.returned",
        "payout.canceled",
        "settlement.initiated",
        "settlement.in_transit",
        "settlement.paid",
        "settlement.failed",
        "settlement.returned",
        "settlement.canceled",
        "settlement.reconciled",
        "dispute.opened",
        "dispute.updated",
        "dispute.funds_withdrawn",
        "dispute.funds_returned",
        "dispute.won",
        "dispute.lost",
        "dispute.closed",
        "invoice.paid",
        "invoice.failed",
        "report.available",
        "ignored",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a webhook may be made of; beyond it the body is refused or dead-lettered, never read."""

    body_bytes_max: int = 256 * 1024
    depth_max: int = 64
    integer_digits_max: int = 18
    id_chars_max: int = 255
    text_chars_max: int = 500
    header_chars_max: int = 8192
    signatures_max: int = 16
    tolerance_s: int = 300


LIMITS = Limits()
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EventRefused(ValueError):
    """A signed event whose content cannot be trusted or understood: dead-letter it, never guess.

    `path` names the member that did not fit, such as data.object.amount, where it is known.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountFacts:
    """What an adapter may know of the account the body was posted to.

    `settings` holds provider values that are ours by configuration and must never come from a
    request: PayPal's webhook id, Adyen's merchant account.
    """

    provider: str
    slug: str
    live: bool
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretValue:
    """One active secret; `value` is as the provider shows it (`whsec_…`, hex, a webhook id)."""

    id: str
    value: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch:
    """Something to fetch before `authenticate` can decide; the adapter has pinned the host.

    With a `body` it is a POST whose answer is for this delivery alone; without one it is a GET
    whose answer may be remembered. `authorized`: it is sent with the account's API credentials.
    """

    name: str
    url: str
    body: bytes | None = None
    authorized: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookItem:
    """One business event inside a body.

    `dedupe_key` is provider event id + ":" + business object id (WH-4). `fingerprint` covers the
    business fields only, so a resend with another timestamp stays the same event. `verified` is
    per item because some schemes sign each item; `reason` says why when it is false.
    """

    index: int
    provider_event_id: str
    dedupe_key: str
    fingerprint: str
    event_type: str
    object_id: str
    amount_minor: int | None
    currency: str | None
    occurred_at: datetime | None
    live: bool | None
    lane: Lane
    request_id: str | None = None
    request_idempotency_key: str | None = None
    sequence: int | None = None
    verified: bool = True
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authentication:
    """The verdict on one received body.

    ok=False: nothing in it may be believed; `reason` is one of header_missing, header_malformed,
    timestamp_malformed, timestamp_stale, timestamp_future, signature_mismatch, secret_missing,
    body_too_large, mode_mismatch, account_mismatch, thin_event, evidence_missing; with certificates
    algorithm_refused, certificate_url_refused, certificate_untrusted, certificate_unreadable,
    certificate_key_refused, trust_anchors_missing, body_not_postable; where items are signed
    signature_missing, item_malformed, item_ambiguous, too_many_items, or body_ with what
    `strictjson` says. ok=True with `parse_error`: signed but unreadable, to be stored and
    dead-lettered.
    """

    ok: bool
    reason: str = ""
    secret_id: str | None = None
    items: tuple[WebhookItem, ...] = ()
    parse_error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundWish:
    """A refund that somebody asks for in a ticket: the words of the ticket, nothing decided yet.

    `payment_ref` is the provider's reference of the charge, our payment id or its merchant
    reference; `amount` None asks for all that is left. `evidence` holds the named evidence fields.
    """

    request_id: str
    ticket: str
    payment_ref: str
    reason_code: str
    note: str
    requester: str
    amount: Money | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedEvent:
    """One item in the product's own words.

    `provider_ref` is the payment, payout, refund, dispute, invoice or report the kind is about;
    `original_provider_ref` what that derives from (the payment of a refund or dispute, the payout
    a reversal takes back). `movement_ref` names the money movement told of,
    `failure_movement_ref` the one that gives the money back. `method` is how a payment was made, in
    the words of `methods`. `reason` says why a kind is ignored. `wish` is set for refund.requested.
    `due_at` is a dispute's evidence deadline, `refundable` whether its charge may still be
    refunded, `stage` how far it has come; None where the provider does not say. For
    refund.observed both references are the payment's: the refund itself is not named.
    """

    kind: str
    provider: str
    provider_event_id: str
    provider_ref: str
    raw_type: str
    status: str
    occurred_at: datetime | None
    live: bool | None
    merchant_ref: str | None = None
    our_ref: str | None = None
    amount: Money | None = None
    fee: Money | None = None
    platform_fee: Money | None = None
    currency: str | None = None
    seller_ref: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    movement_ref: str | None = None
    failure_movement_ref: str | None = None
    original_provider_ref: str | None = None
    trace_ref: str | None = None
    method: str | None = None
    reason: str = ""
    wish: RefundWish | None = None
    due_at: datetime | None = None
    refundable: bool | None = None
    stage: Stage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureCause:
    """What a provider's failure code means to people here (PX-8, F39)."""

    code: str
    root_cause: str
    disposition: Disposition
    words: str
    next_step: str


class WebhookAdapter(Protocol):
    """Reads what a provider posts. Pure: same arguments, same verdict; never raises on any bytes.

    `fetches` names what must be handed to `authenticate` in `fetched` (a certificate, the answer
    of a post-back); schemes that verify with a shared secret need nothing.
    """

    name: str

    def fetches(
        self, *, raw: bytes, headers: Mapping[str, str], account: AccountFacts
    ) -> tuple[Fetch, ...]: ...

    def authenticate(
        self,
        *,
        raw: bytes,
        headers: Mapping[str, str],
        secrets: Sequence[SecretValue],
        now: datetime,
        account: AccountFacts,
        fetched: Mapping[str, bytes] | None = None,
    ) -> Authentication: ...

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        """The items of a body that was not posted but listed at the provider (WH-27).

        The call that listed it stands for the signature; everything else is read as if posted, so
        that a listed event and its webhook share one dedupe key and one fingerprint.
        """
        ...

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """`settings` as in AccountFacts. Raises EventRefused when it contradicts itself."""
        ...

    def refusal_status(self, authentication: Authentication) -> int: ...

    def success_body(self) -> tuple[bytes, str]: ...
