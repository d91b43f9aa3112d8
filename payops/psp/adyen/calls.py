"""Adyen's payouts, and the questions that settle an unknown one.

Payouts are bank transfers out of the account's balance account. Always sends our own idempotency
key. Never trusts an answer that does not repeat amount, currency and our
reference. Adyen lists no events and shows no payment: what is not offered is answered with
NoAnswer. Serves design "Provider calls", WH-15, WH-27, D14.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.adyen import answers, fields, listing, transfers
from payops.psp.adyen.amounts import adyen_value, money_from_adyen
from payops.psp.adyen.statuses import BANK_STATUSES, PAYOUT_STATUSES
from payops.psp.base import KINDS, NO_SETTINGS, EventRefused, NormalizedEvent
from payops.psp.calling import (
    CallOutcome,
    EventPage,
    NoAnswer,
    NotFound,
    ObjectState,
    PayoutLookup,
    PayoutOrder,
    PayoutState,
    StateLookup,
)
from payops.psp.strictjson import child, text_or_none

PROVIDER_KEY_WINDOW_S = 7 * 24 * 3600
# The list goes by creation, and a transfer still changes days after it was created.
STILL_CHANGING = timedelta(days=14)
# 35 where the account has an IBAN, 15 elsewhere; the token does not say which it is.
REFERENCE_CHARS_MAX = 15
DESCRIPTION_CHARS_MAX = 140
NOT_FOR_REFERENCES = re.compile(r"[^A-Za-z0-9]", re.ASCII)
NOT_FOR_BANKS = re.compile(r"[^A-Za-z0-9/?:().,'+ -]", re.ASCII)


class AdyenCalls:
    """See `payops.psp.calling.PayoutCalls`.

    `base_url` ends before `/btl`. Needs the setting `balance_account`.
    """

    key_window_s = callkit.safe_key_window_s(PROVIDER_KEY_WINDOW_S)
    # Transfers only: Adyen shows no payment, refund or dispute by its reference.
    askable = frozenset(kind for kind in KINDS if kind.startswith("payout."))

    def submit_payout(
        self,
        *,
        order: PayoutOrder,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> CallOutcome:
        """Raises MoneyError, before anything is sent, for a sum Adyen cannot express."""
        amount = {"value": adyen_value(order.amount), "currency": order.amount.currency}
        told: dict[str, object] = {
            "amount": amount,
            "balanceAccountId": settings.get("balance_account", ""),
            "category": "bank",
            "counterparty": {"transferInstrumentId": order.destination_token},
            "reference": order.our_ref,
            "description": _described(order),
        } | _for_beneficiary(order)
        masked = told | {"counterparty": callkit.masked_token(order.destination_token)}
        masked["idempotency_key"] = order.idempotency_key
        if not told["balanceAccountId"]:
            return callkit.never_sent("balance_account_missing", masked)
        outcome = callkit.send(
            http=http,
            url=f"{base_url.rstrip('/')}{listing.TRANSFERS}",
            headers=listing.headers(api_key, order.idempotency_key),
            body=callkit.json_bytes(told),
            deadline_s=deadline_s,
            request_masked=masked,
            expected=callkit.Expected(amount=order.amount, reference=order.our_ref),
            read_echo=_echo,
            read_error=listing.error_word,
        )
        return answers.settled(outcome)

    def fetch_payout(
        self,
        *,
        provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> PayoutLookup:
        found = _transfer(provider_ref, http, base_url, api_key, deadline_s)
        return found if isinstance(found, NotFound | NoAnswer) else _state(found)

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
        if said.kind not in self.askable:
            return NoAnswer(reason="not_offered")
        found = _transfer(said.provider_ref, http, base_url, api_key, deadline_s)
        if isinstance(found, NotFound | NoAnswer):
            return found
        state = _state(found)
        if isinstance(state, NoAnswer | NotFound):
            return state
        return ObjectState(
            provider_ref=state.provider_ref,
            raw_status=state.raw_status,
            reached=transfers.reached(found),
            amount=state.amount,
            our_ref=state.our_ref,
            failure_code=state.failure_code,
        )

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
    ) -> PayoutLookup:
        """Not found only when the whole list since `created_after` was read to its end."""
        window = listing.window_of(settings, created_after - listing.CLOCK_SLACK, None)
        if window is None:
            return NoAnswer(reason="balance_account_missing")
        found: list[PayoutState] = []
        for page in listing.pages(window, http, base_url, api_key, deadline_s):
            if page.reason:
                return NoAnswer(reason=page.reason)
            for row in page.rows:
                if row.get("reference") != our_ref or row.get("direction") == "incoming":
                    continue
                state = _state(row)
                if not isinstance(state, PayoutState):
                    return state
                found.append(state)
        if len(found) > 1:
            refs = tuple(state.provider_ref for state in found)
            return NoAnswer(reason="more_than_one", provider_refs=refs)
        return found[0] if found else NotFound(searched=our_ref)

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
    ) -> EventPage:
        """The newest state of every transfer that changed since then, as its webhook body.

        Earlier states of it are told by the same object. Classic notifications cannot be listed.
        """
        window = listing.window_of(settings, created_after - STILL_CHANGING, cursor)
        if window is None:
            return EventPage(bodies=(), cursor=None, error="balance_account_missing")
        page = listing.page_of(window, http, base_url, api_key, deadline_s)
        if page.reason:
            return EventPage(bodies=(), cursor=None, error=page.reason)
        bodies = tuple(
            callkit.json_bytes(transfers.as_webhook(row))
            for row in page.rows
            if (transfers.changed_at(row) or created_after) >= created_after
        )
        return EventPage(bodies=bodies, cursor=listing.following(window, page))


def _described(order: PayoutOrder) -> str:
    """Banks take few characters; the others become blanks."""
    text = order.description or order.merchant_ref
    return NOT_FOR_BANKS.sub(" ", text)[:DESCRIPTION_CHARS_MAX]


def _for_beneficiary(order: PayoutOrder) -> dict[str, object]:
    """The merchant's reference without its signs, where every bank takes it whole."""
    text = NOT_FOR_REFERENCES.sub("", order.merchant_ref)
    fits = 0 < len(text) <= REFERENCE_CHARS_MAX
    return {"referenceForBeneficiary": text} if fits else {}


def _transfer(
    provider_ref: str, http: HttpClient, base_url: str, api_key: str, deadline_s: float
) -> dict[str, Any] | NotFound | NoAnswer:
    safe_ref = callkit.path_id(provider_ref)
    if safe_ref is None:
        return NoAnswer(reason="reference_malformed")
    status, body, reason = listing.ask(
        http=http,
        url=f"{base_url.rstrip('/')}{listing.TRANSFERS}/{safe_ref}",
        api_key=api_key,
        deadline_s=deadline_s,
    )
    if reason:
        return NoAnswer(reason=reason)
    if status == 404:
        # Adyen's own errors repeat the status and carry a code; a proxy's page does neither.
        own = body.get("status") == 404 and listing.error_word(body)
        return NotFound(searched=safe_ref) if own else NoAnswer(reason="status_404")
    if body.get("id") != safe_ref:
        return NoAnswer(reason="answer_unreadable")
    return body


def _echo(body: Mapping[str, Any]) -> callkit.Echo:
    stated = child(body, "amount")
    return callkit.Echo(
        provider_ref=fields.reference(body.get("id")),
        status=text_or_none(body.get("status")),
        amount=callkit.money_or_none(
            lambda: money_from_adyen(stated.get("value"), stated.get("currency"))
        ),
        reference=text_or_none(body.get("reference")),
    )


def _state(body: Mapping[str, Any]) -> PayoutState | NoAnswer:
    status, transfer_id = body.get("status"), fields.reference(body.get("id"))
    kind = BANK_STATUSES.get(status) if isinstance(status, str) else None
    try:
        amount = transfers.amount_of(body)
    except EventRefused:
        return NoAnswer(reason="answer_unreadable")
    if transfer_id is None or kind is None or not transfers.is_ours_to_read(body):
        return NoAnswer(reason="answer_unreadable")
    return PayoutState(
        provider_ref=transfer_id,
        status=PAYOUT_STATUSES[kind],
        raw_status=str(status),
        amount=amount,
        our_ref=fields.our_ref(body.get("reference")),
        merchant_ref=fields.merchant_ref(body.get("reference")),
        created_at=fields.moment(body.get("creationDate") or body.get("createdAt")),
        failure_code=transfers.failure_code(body, kind),
        failure_message=None,
        failure_movement_ref=transfers.money_back_ref(body, kind),
        movement_ref=transfers.movement_ref(body),
    )
