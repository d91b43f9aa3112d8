"""The calls to a payment service provider that move money, and the questions that settle them.

Owns the shapes of the asking half: what is ordered, what came of a call, how a payout or a refund
stands at the provider now. What a provider tells by itself is `base`. Never touches a table or the
clock of a decision, never retries. Serves WH-15, WH-27, PX-16, RF-4, RF-5, D14 and D17.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp.base import NO_SETTINGS, NormalizedEvent

CallKind = Literal["succeeded", "refused", "failed", "unknown", "mismatch"]
PayoutStatus = Literal["pending", "in_transit", "paid", "failed", "returned", "canceled"]


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
    `reached` holds the canonical kinds that a refund's answer proves (a refund can be born
    succeeded); `movement_ref` the money movement it names.
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
    reached: frozenset[str] = frozenset()
    movement_ref: str | None = None


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


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundState:
    """A refund as the provider shows it now; `reached` as in ObjectState.

    `our_ref` is the public id we sent, None for a refund that was made outside the product.
    """

    provider_ref: str
    payment_provider_ref: str
    raw_status: str
    reached: frozenset[str]
    amount: Money
    our_ref: str | None
    created_at: datetime | None
    failure_code: str | None = None
    failure_message: str | None = None
    movement_ref: str | None = None
    failure_movement_ref: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundList:
    """Every refund of one payment at the provider; `complete` False: there are more than shown."""

    refunds: tuple[RefundState, ...]
    complete: bool = True


PayoutLookup = PayoutState | NotFound | NoAnswer
RefundLookup = RefundState | NotFound | NoAnswer
StateLookup = ObjectState | NotFound | NoAnswer


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """Events listed at the provider, each as a body that `parse` reads (WH-27).

    Ask again with `cursor` while it is not None. A missing page raises nothing: `error` says why.
    """

    bodies: tuple[bytes, ...]
    cursor: str | None
    error: str | None = None


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
    """The refund half, for the providers that have it.

    `refund_key_window_s`: how long the same key may be sent again. `finds_refunds`: whether the
    provider can be asked for a refund by our reference; where it cannot, `find_refund` answers
    NoAnswer("not_offered") and only the same key, or an event, settles an unknown.
    """

    refund_key_window_s: int
    finds_refunds: bool

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

    def find_refund(
        self,
        *,
        our_ref: str,
        payment_provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundLookup:
        """The refund that carries our reference; NotFound only when all of them were seen."""
        ...

    def fetch_refund(
        self,
        *,
        provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundLookup: ...

    def list_refunds(
        self,
        *,
        payment_provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundList | NoAnswer: ...
