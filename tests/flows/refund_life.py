"""One refund's life told in any order: at each provider, with our own answer at any place."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.db import transaction

from ledger.models import JournalLine
from payops.cases.models import Case
from payops.core import clock
from payops.core.models import Message, ProviderAccount
from payops.flows.refunds import dispatch as refund_dispatch
from payops.payments.models import Payment, ProviderCall, Refund
from payops.psp.calling import CallOutcome
from payops.webhooks import ingest
from payops.webhooks.directory import directory
from payops.webhooks.ingest import Received
from tests import builders, refunds
from tests.accounts import account_of
from tests.flows.lifecycle import stripe_event
from tests.psp.signed import fixture

_numbers = itertools.count(1)
GROSS, FEE, PART = 10_000, 1_000, 3_000
CODE = "expired_or_canceled_card"


def keep(account: ProviderAccount, body: dict[str, Any]) -> None:
    """As the edge does once a signature is checked; signing is another test's matter."""
    now, raw = clock.utc_now(), json.dumps(body).encode()
    endpoint = directory.find(provider=account.provider, slug=account.slug, now=now)
    assert endpoint is not None
    told = endpoint.adapter.itemize(raw=raw, account=endpoint.facts)
    assert told.ok and told.parse_error is None, told
    ingest.store(
        Received(
            endpoint=endpoint,
            raw=raw,
            sha256=hashlib.sha256(raw).hexdigest(),
            headers={},
            remote_ip=None,
            trace_id=uuid4().hex,
            now=now,
        ),
        items=told.items,
        secret_id=None,
        data_key=directory.data_key(endpoint, now=now),
    )


def charged(provider: str, gross: int = GROSS, *, fee: int = FEE) -> Payment:
    """A captured payment at the provider, told by its own event."""
    ref = f"pay{next(_numbers)}x{time.time_ns()}"
    keep(account_of(provider), CAPTURES[provider](ref, gross, fee))
    builders.drain()
    return Payment.objects.select_related("account", "book").get(provider_ref=ref)


def adyen_item(code: str, ref: str, original: str, value: int, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(fixture("adyen", "capture"))
    item = body["notificationItems"][0]["NotificationRequestItem"]
    item |= {
        "amount": {"currency": "EUR", "value": value},
        "eventCode": code,
        "eventDate": clock.utc_now().isoformat(timespec="seconds"),
        "pspReference": ref,
        "originalReference": original,
        **more,
    }
    item["additionalData"] = {"hmacSignature": "x", **more.get("additionalData", {})}
    if not original:
        item.pop("originalReference")
    return body


def adyen_capture(ref: str, gross: int, fee: int, *, own: str = "") -> dict[str, Any]:
    tags = {"metadata.seller": "S-1001", "metadata.platform_fee": str(fee)}
    own = own or f"CAP{ref}"
    return adyen_item("CAPTURE", own, ref, gross, merchantReference="ORD-1", additionalData=tags)


def stripe_charge(
    kind: str, ref: str, gross: int, fee: int, *, captured: bool = True, **more: Any
) -> dict[str, Any]:
    told = {
        "id": ref,
        "object": "charge",
        "amount": gross,
        "amount_captured": gross if captured else 0,
        "currency": "eur",
        "captured": captured,
        "status": "succeeded",
        "livemode": False,
        "balance_transaction": f"txn_{ref}",
        "metadata": {"seller": "S-1001", "platform_fee": str(fee)},
    }
    return stripe_event(kind, told | more)


def _stripe_capture(ref: str, gross: int, fee: int) -> dict[str, Any]:
    return stripe_charge("charge.succeeded", ref, gross, fee)


def _paypal_capture(ref: str, gross: int, fee: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(fixture("paypal", "capture_completed"))
    body |= {"id": f"WH-{ref}", "create_time": f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"}
    resource = body["resource"]
    resource |= {
        "id": ref,
        "amount": _paypal_sum(gross),
        "custom_id": f"seller=S-1001;fee={fee};ref=ORD-1",
    }
    resource.pop("seller_receivable_breakdown")
    return body


def _standard_capture(ref: str, gross: int, fee: int) -> dict[str, Any]:
    said = {"id": ref, "amount": gross, "currency": "EUR", "platform_fee": fee}
    more = {"seller": "S-1001", "status": "captured", "reference": "ORD-1"}
    return builders.standard_event("payment.captured", said | more)


def _paypal_sum(minor: int) -> dict[str, str]:
    return {"currency_code": "EUR", "value": f"{minor // 100}.{minor % 100:02d}"}


CAPTURES = {
    "stripe": _stripe_capture,
    "adyen": adyen_capture,
    "paypal": _paypal_capture,
    "standard": _standard_capture,
}


def sent(payment: Payment, amount: str = "30.00") -> Refund:
    """Asked for, granted by the rule of its policy and begun: its answer is not there yet."""
    refund = refunds.ask(payment, amount)
    assert refund.state == "APPROVED", (refund.state, refund.refusal)
    begin(refund)
    return reload(refund)


def begin(refund: Refund) -> None:
    message = Message.objects.get(topic="refund.dispatch", payload__refund_id=refund.public_id)
    begun = refund_dispatch.DISPATCH.begin([message], clock.utc_now())
    assert isinstance(begun[0], refund_dispatch.RefundCall), begun
    Message.objects.filter(pk=message.pk).update(state=Message.State.DONE)


def answer(refund: Refund, provider_ref: str, *reached: str, movement_ref: str = "") -> None:
    """Our own response comes back from the provider."""
    now = clock.utc_now()
    outcome = CallOutcome(
        kind="succeeded",
        started_at=now,
        finished_at=now,
        provider_ref=provider_ref,
        echo_amount=refund.amount,
        echo_reference=refund.public_id,
        status_code=200,
        reached=frozenset(reached or ("refund.accepted",)),
        movement_ref=movement_ref or None,
    )
    attempt = ProviderCall.objects.filter(intent__subject_id=refund.public_id).latest("attempt")
    call = refund_dispatch.RefundCall(reload(refund), attempt)
    with transaction.atomic():
        refund_dispatch._record([(call, refund_dispatch.Answer(outcome))], now)


def reload(refund: Refund) -> Refund:
    whole = Refund.objects.select_related("payment", "account", "book")
    return whole.get(pk=refund.pk)


@dataclass
class Teller:
    """Tells the provider's events of one refund; the same word twice is the same event again."""

    payment: Payment
    ref: str
    our_ref: str = ""
    minor: int = PART
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, word: str) -> None:
        account = self.payment.account
        write = {
            "stripe": self._stripe,
            "adyen": self._adyen,
            "paypal": self._paypal,
            "standard": self._standard,
        }[account.provider]
        body = self.bodies.setdefault(word, write(word))
        keep(account, body)

    def _stripe(self, word: str) -> dict[str, Any]:
        kind, status = {
            "created": ("refund.created", "pending"),
            "succeeded": ("refund.updated", "succeeded"),
            "failed": ("refund.failed", "failed"),
            "failed twice": ("charge.refund.updated", "failed"),
            "canceled": ("refund.updated", "canceled"),
        }[word]
        ended = status == "failed"
        told = {
            "id": self.ref,
            "object": "refund",
            "amount": self.minor,
            "currency": "eur",
            "charge": self.payment.provider_ref,
            "status": status,
            "balance_transaction": f"txn_{self.ref}",
            "failure_balance_transaction": f"txn_back_{self.ref}" if ended else None,
            "failure_reason": CODE if ended else None,
            "metadata": {"payops_reference": self.our_ref} if self.our_ref else {},
        }
        return stripe_event(kind, told)

    def _adyen(self, word: str) -> dict[str, Any]:
        code = {
            "created": "REFUND",
            "failed": "REFUND_FAILED",
            "returned": "REFUNDED_REVERSED",
            "canceled": "VOID_PENDING_REFUND",
        }[word]
        more = {"merchantReference": self.our_ref or "ORD-1"}
        if word == "failed":
            # Adyen repeats the payment's reference there.
            more = {"merchantReference": "ORD-1", "reason": CODE}
        return adyen_item(code, self.ref, self.payment.provider_ref, self.minor, **more)

    def _paypal(self, word: str) -> dict[str, Any]:
        name = {
            "created": "refund_pending",
            "succeeded": "capture_refunded",
            "failed": "refund_failed",
            "canceled": "refund_cancelled",
        }[word]
        body: dict[str, Any] = json.loads(fixture("paypal", name))
        now = f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"
        body |= {"id": f"WH-{self.ref}-{word}", "create_time": now}
        resource = body["resource"]
        resource |= {"id": self.ref, "amount": _paypal_sum(self.minor)}
        resource |= {"custom_id": self.our_ref or None, "invoice_id": self.our_ref or "ORD-1"}
        if word == "failed":
            resource["status_details"] = {"reason": CODE}
        up = f"https://api.sandbox.paypal.com/v2/payments/captures/{self.payment.provider_ref}"
        resource["links"][1]["href"] = up
        return body

    def _standard(self, word: str) -> dict[str, Any]:
        kind, status = {
            "created": ("refund.created", "pending"),
            "succeeded": ("refund.succeeded", "succeeded"),
            "failed": ("refund.failed", "failed"),
            "returned": ("refund.reversed", "reversed"),
            "canceled": ("refund.canceled", "canceled"),
        }[word]
        said = {
            "id": self.ref,
            "object": "refund",
            "payment": self.payment.provider_ref,
            "reference": self.our_ref or None,
            "amount": self.minor,
            "currency": "EUR",
            "status": status,
            "failure_code": CODE if word == "failed" else None,
        }
        return builders.standard_event(kind, said)


def teller_of(refund: Refund) -> Teller:
    number = next(_numbers)
    ref = refund.provider_ref or f"ref{number}x{time.time_ns()}"
    return Teller(refund.payment, ref, refund.public_id, refund.amount_minor)


def outsider(payment: Payment, minor: int = PART) -> Teller:
    """A refund that somebody makes in the provider's own console."""
    return Teller(payment, f"ext{next(_numbers)}x{time.time_ns()}", "", minor)


def balances(*subjects: str) -> dict[str, int]:
    """What the entries of the subjects leave on each account; accounts at nil are left out."""
    total: Counter[str] = Counter()
    lines = JournalLine.objects.filter(entry__subject_id__in=subjects)
    for code, minor in lines.values_list("account__code", "amount_minor"):
        total[code] += minor
    return {code: minor for code, minor in sorted(total.items()) if minor}


def counters(payment: Payment) -> tuple[int, int, int]:
    """(reserved, refunded, refunded beyond the capture)."""
    row = Payment.objects.get(pk=payment.pk)
    return row.reserved_minor, row.refunded_minor, row.over_refunded_minor


def rules_of(*subjects: str) -> list[str]:
    found = Case.objects.filter(subject_id__in=subjects).values_list("rule", flat=True)
    return sorted(found)
