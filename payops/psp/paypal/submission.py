"""One payout on its way to PayPal: a batch of one item, posted, then read for its echo.

The answer to the post names the batch only, so the batch is read at once: its item alone repeats
amount, currency and our reference. A post refused as a duplicate links the first batch, which is
then read in its place. Serves design "Provider calls", D14 and I7.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from payops.psp import callkit
from payops.psp.calling import CallOutcome, PayoutOrder
from payops.psp.paypal import links, states
from payops.psp.paypal.client import Api, error_details, error_word
from payops.psp.strictjson import child, text_or_none

NOTE_CHARS_MAX = 255
PHONE = re.compile(r"\+[0-9]{6,15}", re.ASCII)
NO_ECHO = callkit.Echo(provider_ref=None, status=None, amount=None, reference=None)


class Submission:
    """Made for one order; `made` may be called once."""

    def __init__(self, api: Api, order: PayoutOrder) -> None:
        self._api, self._order = api, order
        self._expected = callkit.Expected(amount=order.amount, reference=order.our_ref)
        self._first_batch: str | None = None
        self._is_duplicate = False
        self._why_not = ""
        self._seen: dict[str, object] = {}

    def made(self, amount: dict[str, Any]) -> CallOutcome:
        order = self._order
        item = {
            "recipient_type": _recipient_type(order.destination_token),
            "receiver": order.destination_token,
            "amount": amount,
            "note": (order.description or order.merchant_ref)[:NOTE_CHARS_MAX],
            "sender_item_id": order.our_ref,
        }
        masked = {name: item[name] for name in ("amount", "note", "sender_item_id")} | {
            "destination": callkit.masked_token(order.destination_token),
            "merchant_reference": order.merchant_ref,
            "idempotency_key": order.idempotency_key,
        }
        outcome = self._api.send(
            "/v1/payments/payouts",
            fields={
                "sender_batch_header": {"sender_batch_id": order.idempotency_key},
                "items": [item],
            },
            idempotency_key=order.idempotency_key,
            request_masked=masked,
            expected=self._expected,
            read_echo=self._read_echo,
            read_error=self._read_error,
        )
        if outcome.kind == "refused" and self._is_duplicate:
            outcome = self._replayed(outcome)
        if outcome.kind == "unknown" and self._why_not:
            outcome = replace(outcome, error_code=self._why_not)
        return replace(outcome, response_masked=dict(outcome.response_masked) | self._seen)

    def _replayed(self, outcome: CallOutcome) -> CallOutcome:
        """Refused as a duplicate: the first batch under our key is the answer."""
        if self._first_batch is None:
            return replace(outcome, kind="unknown", error_code="duplicate_without_link")
        echo = self._echo_of(self._first_batch, must_be_ours=True)
        outcome = replace(outcome, error_code=None, replayed=True)
        return callkit.judged(outcome, echo, self._expected)

    def _read_echo(self, body: Mapping[str, Any]) -> callkit.Echo:
        batch = callkit.path_id(str(child(body, "batch_header").get("payout_batch_id") or ""))
        self._seen["payout_batch_id"] = batch
        return self._echo_of(batch) if batch else NO_ECHO

    def _read_error(self, body: Mapping[str, Any]) -> str | None:
        details = error_details(body)
        told = " ".join(f"{row.get('field')} {row.get('issue')}" for row in details)
        about_batch_id = "sender_batch_id" in f"{told} {body.get('message')}".lower()
        self._is_duplicate = about_batch_id and body.get("name") != "VALIDATION_ERROR"
        rows = [row for each in (body, *details) for row in _link_rows(each)]
        named = filter(None, (links.batch_named(row) for row in rows))
        self._first_batch = next(named, None)
        self._seen |= {"name": text_or_none(body.get("name")), "first_batch": self._first_batch}
        return error_word(body)

    def _echo_of(self, batch: str, *, must_be_ours: bool = False) -> callkit.Echo:
        """The one item of a batch; `_why_not` says why there is none to be read."""
        status, body, reason = self._api.ask(f"/v1/payments/payouts/{batch}")
        header = child(body, "batch_header")
        stated = child(header, "sender_batch_header").get("sender_batch_id")
        items = body.get("items")
        rows = [row for row in items if isinstance(row, dict)] if isinstance(items, list) else []
        if reason or status != 200:
            self._why_not = f"batch_{reason or 'not_found'}"
        elif must_be_ours and stated != self._order.idempotency_key:
            self._why_not = "linked_batch_is_not_ours"
        elif not rows:
            self._why_not = "item_not_listed_yet"
        elif len(rows) > 1:
            self._why_not = "more_than_one_item"
        else:
            echo = states.payout_echo(rows[0])
            self._seen |= {"payout_item_id": echo.provider_ref, "status": echo.status}
            return echo
        return NO_ECHO


def _recipient_type(token: str) -> str:
    if "@" in token:
        return "EMAIL"
    return "PHONE" if PHONE.fullmatch(token) else "PAYPAL_ID"


def _link_rows(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    """PayPal calls the member `links`, inside a detail `link`."""
    return links.rows(holder) + links.rows({"links": holder.get("link")})
