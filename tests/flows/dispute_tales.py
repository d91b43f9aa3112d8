"""One charge and its dispute, told by each provider in its own words; signing is not the matter."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ledger.models import JournalLine
from payops.core import clock
from payops.payments.models import Dispute, Payment
from payops.webhooks import ingest
from payops.webhooks.directory import directory
from payops.webhooks.ingest import Received
from tests.builders import drain
from tests.psp.signed import fixture

PROVIDERS = ("stripe", "adyen", "paypal", "standard")
# The course of a dispute: minutes after the charge was captured.
MINUTES = {
    "captured": 0,
    "refunded": 2,
    "inquiry": 4,
    "opened": 5,
    "withdrawn": 6,
    "review": 10,
    "won": 20,
    "returned": 21,
    "again": 30,
    "lost": 40,
    "back": 50,
    "closed": 55,
}
STRIPE = {
    "inquiry": ("created", "warning_needs_response"),
    "opened": ("created", "needs_response"),
    "withdrawn": ("funds_withdrawn", "needs_response"),
    "review": ("updated", "under_review"),
    "won": ("closed", "won"),
    "returned": ("funds_reinstated", "won"),
    "again": ("funds_withdrawn", "needs_response"),
    "lost": ("closed", "lost"),
    "back": ("funds_reinstated", "won"),
    "closed": ("closed", "warning_closed"),
}
ADYEN = {
    "inquiry": "REQUEST_FOR_INFORMATION",
    "opened": "NOTIFICATION_OF_CHARGEBACK",
    "withdrawn": "CHARGEBACK",
    "review": "INFORMATION_SUPPLIED",
    "won": "PREARBITRATION_WON",
    "returned": "CHARGEBACK_REVERSED",
    "again": "SECOND_CHARGEBACK",
    "lost": "PREARBITRATION_LOST",
    "back": "CHARGEBACK_REVERSED",
}
PAYPAL = {
    "inquiry": ("dispute_created", "INQUIRY", "OPEN"),
    "opened": ("dispute_created", "CHARGEBACK", "OPEN"),
    "review": ("dispute_updated", "CHARGEBACK", "UNDER_REVIEW"),
    "won": ("dispute_resolved_won", "CHARGEBACK", "RESOLVED"),
    "lost": ("dispute_resolved_lost", "CHARGEBACK", "RESOLVED"),
    "closed": ("dispute_resolved_won", "INQUIRY", "RESOLVED"),
}
STANDARD = {
    "inquiry": ("dispute.opened", "inquiry", "needs_response"),
    "opened": ("dispute.opened", "chargeback", "needs_response"),
    "withdrawn": ("dispute.funds_withdrawn", "chargeback", "needs_response"),
    "review": ("dispute.updated", "chargeback", "under_review"),
    "won": ("dispute.won", "chargeback", "won"),
    "returned": ("dispute.funds_returned", "chargeback", "won"),
    "again": ("dispute.funds_withdrawn", "second_round", "needs_response"),
    "lost": ("dispute.lost", "second_round", "lost"),
    "back": ("dispute.funds_returned", "second_round", "won"),
    "closed": ("dispute.closed", "inquiry", "closed"),
}
_numbers = itertools.count(1)


@dataclass
class Tale:
    """A charge of 100.00 with 10.00 for us; the same word twice is the same event again."""

    provider: str = "stripe"
    amount: int = 10_000
    platform_fee: int = 1_000
    fee: int = 0
    due_at: int | None = None
    refundable: bool | None = None
    name: str = field(default_factory=lambda: f"{next(_numbers)}T{time.time_ns()}")
    start: int = field(default_factory=lambda: int(time.time()) - 7_200)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def charge(self) -> str:
        return f"CH{self.name}"

    @property
    def ref(self) -> str:
        return f"DU{self.name}"

    @property
    def payment(self) -> Payment:
        rows = Payment.objects.select_related("beneficiary", "account", "book")
        return rows.get(provider_ref=self.charge)

    @property
    def dispute(self) -> Dispute:
        rows = Dispute.objects.select_related("payment__beneficiary", "account", "book")
        return rows.get(payment__provider_ref=self.charge)

    def captured(self) -> Tale:
        self.tell("captured")
        drain()
        return self

    def happens(self, *words: str) -> Tale:
        """Each word told and worked through before the next one."""
        for word in words:
            self.tell(word)
            drain()
        return self

    def tell(self, word: str, **changes: Any) -> None:
        known = self.bodies.get(word)
        body = known if known is not None else self._body(word, **changes)
        self.bodies[word] = body
        keep(self.provider, body)

    def balances(self) -> dict[str, int]:
        """What the charge and its dispute leave on each account; nil ones are left out."""
        total: Counter[str] = Counter()
        payment = self.payment
        lines = JournalLine.objects.filter(entry__payment_id=payment.public_id)
        for code, minor in lines.values_list("account__code", "amount_minor"):
            total[code] += minor
        return {code: minor for code, minor in sorted(total.items()) if minor}

    def at(self, word: str) -> int:
        return self.start + 60 * MINUTES[word]

    def _body(self, word: str, **changes: Any) -> dict[str, Any]:
        write = {
            "stripe": self._stripe,
            "adyen": self._adyen,
            "paypal": self._paypal,
            "standard": self._standard,
        }[self.provider]
        return write(word, **{"amount": self.amount, **changes})

    def _stripe(self, word: str, *, amount: int) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(
            fixture("stripe", "charge_succeeded" if word == "captured" else "dispute_created")
        )
        body |= {"id": f"evt_{self.name}_{word}", "created": self.at(word)}
        told = body["data"]["object"]
        if word == "captured":
            told |= {"id": self.charge, "amount": amount, "amount_captured": amount}
            told["metadata"] = {
                "seller": "S-1001",
                "platform_fee": str(self.platform_fee),
                "payops_reference": f"ORD-{self.name}",
            }
            return body
        event, status = STRIPE[word]
        body["type"] = f"charge.dispute.{event}"
        told |= {"id": self.ref, "charge": self.charge, "amount": amount, "status": status}
        told["is_charge_refundable"] = self._refundable(word)
        told["evidence_details"] = {"due_by": self.due_at}
        told["balance_transactions"] = []
        if event.startswith("funds"):
            out = event == "funds_withdrawn"
            moved = {"id": f"txn_{self.name}_{word}", "amount": -amount if out else amount}
            moved |= {"fee": self.fee if out else 0, "currency": "eur"}
            told["balance_transactions"] = [moved]
        return body

    def _adyen(self, word: str, *, amount: int) -> dict[str, Any]:
        name = "capture" if word == "captured" else "chargeback"
        body: dict[str, Any] = json.loads(fixture("adyen", name))
        item = body["notificationItems"][0]["NotificationRequestItem"]
        item |= {
            "merchantAccountCode": "MeridianDE",
            "merchantReference": f"ORD-{self.name}",
            "eventDate": datetime.fromtimestamp(self.at(word), UTC).isoformat(),
            "amount": {"currency": "EUR", "value": amount},
            "originalReference": self.charge,
            "pspReference": f"CAP{self.name}" if word == "captured" else self.ref,
        }
        if word == "captured":
            item["additionalData"] |= {
                "metadata.seller": "S-1001",
                "metadata.platform_fee": str(self.platform_fee),
            }
        else:
            item["eventCode"] = ADYEN[word]
        return body

    def _paypal(self, word: str, *, amount: int) -> dict[str, Any]:
        moves = word in ("withdrawn", "again")
        name = "capture_reversed" if moves else PAYPAL.get(word, ("capture_completed",))[0]
        body: dict[str, Any] = json.loads(fixture("paypal", name))
        stamp = datetime.fromtimestamp(self.at(word), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body |= {"id": f"WH-{self.name}-{word}", "create_time": stamp}
        told, money = body["resource"], {"currency_code": "EUR", "value": f"{amount / 100:.2f}"}
        if word == "captured":
            told |= {"id": self.charge, "amount": money, "invoice_id": f"ORD-{self.name}"}
            told["custom_id"] = f"seller=S-1001;fee={self.platform_fee};ref=ORD-{self.name}"
            told.pop("seller_receivable_breakdown")
        elif moves:
            told |= {"id": f"RV{self.name}{word}", "amount": money}
            told["links"][1]["href"] = (
                f"https://api.sandbox.paypal.com/v2/payments/captures/{self.charge}"
            )
        else:
            _, stage, status = PAYPAL[word]
            told |= {"dispute_id": self.ref, "dispute_life_cycle_stage": stage, "status": status}
            told["dispute_amount"] = money
            told["disputed_transactions"][0]["seller_transaction_id"] = self.charge
            if word == "closed":
                told["dispute_outcome"] = {"outcome_code": "CANCELED_BY_BUYER"}
        return body

    def _standard(self, word: str, *, amount: int) -> dict[str, Any]:
        common = {"amount": amount, "currency": "EUR"}
        told: dict[str, Any]
        if word == "captured":
            kind = "payment.captured"
            told = {"id": self.charge, "reference": f"ORD-{self.name}", "status": "captured"}
            told |= {"platform_fee": self.platform_fee, "seller": "S-1001"}
        elif word == "refunded":
            # Somebody did it in the provider's console.
            kind, common["amount"] = "refund.succeeded", 3_000
            told = {"id": f"RF{self.name}", "payment": self.charge, "status": "succeeded"}
        else:
            kind, stage, status = STANDARD[word]
            told = {
                "id": self.ref,
                "payment": self.charge,
                "stage": stage,
                "status": status,
                "reason": "fraudulent",
                "due_by": self.due_at,
                "payment_refundable": self._refundable(word),
                "fee": self.fee if kind == "dispute.funds_withdrawn" else None,
            }
        return {
            "id": f"sev_{self.name}_{word}",
            "type": kind,
            "created": self.at(word),
            "live": False,
            "data": {**told, **common},
        }

    def _refundable(self, word: str) -> bool:
        if self.refundable is not None:
            return self.refundable
        return word in ("inquiry", "won", "returned", "closed", "back")


def keep(provider: str, body: dict[str, Any]) -> None:
    """As the edge does once a signature is checked."""
    now, raw = clock.utc_now(), json.dumps(body).encode()
    endpoint = directory.find(provider=provider, slug="demo", now=now)
    assert endpoint is not None
    told = endpoint.adapter.itemize(raw=raw, account=endpoint.facts)
    assert told.ok and told.parse_error is None, told
    received = Received(
        endpoint=endpoint,
        raw=raw,
        sha256=hashlib.sha256(raw).hexdigest(),
        headers={},
        remote_ip=None,
        trace_id=uuid4().hex,
        now=now,
    )
    key = directory.data_key(endpoint, now=now)
    ingest.store(received, items=told.items, secret_id=None, data_key=key)
