"""The contract between the product and a payment service provider: bytes in, dataclasses out.

Owns the shapes every adapter speaks: a webhook authenticated into items (one or many per body,
signed by header, by item or by certificate), an item parsed into a canonical event, and the calls
that move money. Never touches a table, the clock of a decision or the network itself. Serves
WH-2, WH-4, WH-9, WH-15, WH-23, WH-26 to WH-29, PX-8, PX-16, D14 and D17.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from payops.core.http import HttpClient
from payops.core.money import Money

Lane = Literal["high", "standard", "bulk"]
CallKind = Literal["succeeded", "refused", "failed", "unknown", "mismatch"]
Disposition = Literal["retryable", "new_details", "compliance"]
PayoutStatus = Literal["pending", "in_transit", "paid", "failed", "returned", "canceled"]

# Every value `NormalizedEvent.kind` can take. A flow without a meaning for one of them ends the
# event IGNORED with a reason; it can be processed again once it has one.
KINDS = frozenset(
    {
        "payment.authorized",
        "payment.captured",
        "payment.failed",
        "payment.expired",
        "payment.canceled",
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
class NormalizedEvent:
    """One item in the product's own words.

    `provider_ref` is the payment, payout, refund, dispute, invoice or report the kind is about;
    `original_provider_ref` what that derives from (the payment of a refund or dispute, the payout
    a reversal takes back). `movement_ref` names the money movement told of,
    `failure_movement_ref` the one that gives the money back. `method` is how a payment was made, in
    the words of `methods`. `reason` says why a kind is ignored.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureCause:
    """What a provider's failure code means to people here (PX-8, F39)."""

    code: str
    root_cause: str
    disposition: Disposition
    words: str
    next_step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PayoutOrder:
    """A payout to submit; the idempotency key was stored before this object was made."""

    our_ref: str
    merchant_ref: str
    amount: Money
    destination_token: str = field(repr=False)
    description: str
    idempotency_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundOrder:
    """A refund of one payment, by the provider's reference of that payment."""

    our_ref: str
    merchant_ref: str
    payment_provider_ref: str
    amount: Money
    idempotency_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOutcome:
    """What came of one call that moves money.

    succeeded: accepted, the echo agrees. mismatch: accepted, but the echo names another amount,
    currency or reference: a case, not a success. refused: final. failed: the same call is safe to
    repeat, after `retry_after_s` when given. unknown: verify first, never a new key (D14).
    """

    kind: CallKind
    started_at: datetime
    finished_at: datetime
    provider_ref: str | None = None
    provider_status: str | None = None
    echo_amount: Money | None = None
    echo_reference: str | None = None
    status_code: int | None = None
    error_code: str | None = None
    request_masked: Mapping[str, object] = field(default_factory=dict)
    response_masked: Mapping[str, object] = field(default_factory=dict)
    replayed: bool = False
    retry_after_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PayoutState:
    """A payout as the provider shows it now; `raw_status` keeps the provider's own word."""

    provider_ref: str
    status: PayoutStatus
    raw_status: str
    amount: Money
    our_ref: str | None
    merchant_ref: str | None
    created_at: datetime | None
    failure_code: str | None = None
    failure_message: str | None = None
    failure_movement_ref: str | None = None
    movement_ref: str | None = None
    trace_ref: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectState:
    """The object of an event as the provider shows it now (WH-15).

    `reached` holds every canonical kind that the present state proves to have happened: a payout
    that is failed after it was paid has reached payout.initiated, payout.paid and payout.failed.
    """

    provider_ref: str
    raw_status: str
    reached: frozenset[str]
    amount: Money | None = None
    our_ref: str | None = None
    failure_code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotFound:
    """The provider itself says that it has no such object; a proxy's 404 never counts."""

    searched: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAnswer:
    """The question stays open. `more_than_one` lists the references found: a person must look."""

    reason: str
    provider_refs: tuple[str, ...] = ()


PayoutLookup = PayoutState | NotFound | NoAnswer
StateLookup = ObjectState | NotFound | NoAnswer


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """Events listed at the provider, each as a body that `parse` reads (WH-27).

    Ask again with `cursor` while it is not None. A missing page raises nothing: `error` says why.
    """

    bodies: tuple[bytes, ...]
    cursor: str | None
    error: str | None = None


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


class PayoutCalls(Protocol):
    """The calls that move money out, and the questions that settle an unknown.

    `settings` are the account's own values (see AccountFacts); a provider that needs none
    ignores them. `askable` holds the kinds whose object the provider shows when it is asked;
    `fetch_state` answers NoAnswer("not_offered") for every other one, and asks nothing.
    """

    key_window_s: int
    askable: frozenset[str]

    def submit_payout(
        self,
        *,
        order: PayoutOrder,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> CallOutcome: ...

    def fetch_payout(
        self,
        *,
        provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> PayoutLookup: ...

    def find_payout(
        self,
        *,
        our_ref: str,
        created_after: datetime,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> PayoutLookup: ...

    def fetch_state(
        self,
        *,
        said: NormalizedEvent,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> StateLookup:
        """The object `said` is about, asked of the provider itself; never the event again."""
        ...

    def list_events(
        self,
        *,
        created_after: datetime,
        cursor: str | None,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> EventPage: ...


class RefundCalls(Protocol):
    """The refund half, for the providers that have it."""

    def submit_refund(
        self,
        *,
        order: RefundOrder,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> CallOutcome: ...
