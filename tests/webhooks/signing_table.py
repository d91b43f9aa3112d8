"""The table of a signing scheme: what was sent, what is answered and what is kept of it (WH-9)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from payops.webhooks import selectors
from payops.webhooks import throttle as throttle_module
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.webhooks.four_providers import capture, url_of
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders

OTHER_STRIPE_SECRET = "whsec_of_another_endpoint"
OTHER_STANDARD_SECRET = "whsec_" + base64.b64encode(b"another secret of another party.").decode()
WRONG_BASE64 = base64.b64encode(b"0" * 32).decode()
FOREIGN_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
STORED = "stored"


@dataclass
class Table:
    """Sends one row after the other and notes (answer, what was kept) of each."""

    provider: str
    got: dict[str, tuple[int, str]] = field(default_factory=dict)
    expected: dict[str, tuple[int, str]] = field(default_factory=dict)

    def row(self, name: str, expected: str, raw: bytes, headers: dict[str, str]) -> None:
        """`expected` is STORED or the reason a refusal keeps."""
        assert name not in self.expected
        status = 200 if expected == STORED else 401
        self.expected[name] = (status, expected)
        events, payloads = ProviderEvent.objects.count(), Payload.objects.count()
        answer = post(self.provider, raw, headers)
        receipt = Delivery.objects.order_by("pk").last()
        kept = "no receipt"
        if receipt is not None and receipt.sha256 == hashlib.sha256(raw).hexdigest():
            kept = self._kept(receipt, raw, Payload.objects.count() - payloads)
        added = ProviderEvent.objects.count() - events
        assert added == (1 if kept == STORED else 0), (name, kept, added)
        assert (answer.content == b"") is (answer.status_code != 200), name
        self.got[name] = (answer.status_code, kept)

    def _kept(self, receipt: Delivery, raw: bytes, payloads: int) -> str:
        if not receipt.signature_ok:
            assert (payloads, receipt.payload_id, receipt.dedupe_key) == (0, None, "")
            assert receipt.status_sent == 401
            return receipt.signature_reason
        event = ProviderEvent.objects.order_by("pk").last()
        assert (payloads, receipt.duplicate, receipt.status_sent) == (1, False, 200)
        assert event is not None and selectors.raw_body(event=event) == raw
        assert event.state == "RECEIVED" and receipt.secret_id is not None
        return STORED

    def check(self) -> None:
        assert self.got == self.expected


def post(provider: str, raw: bytes, headers: dict[str, str]) -> Any:
    """Through all the middleware; foreign characters in a header as a server shows them."""
    meta: Any = {
        f"HTTP_{name.upper().replace('-', '_')}": text.encode("utf-8").decode("latin-1")
        for name, text in headers.items()
    }
    answer: Any = Client().post(url_of(provider), data=raw, content_type="application/json", **meta)
    return answer


@pytest.fixture(autouse=True)
def every_refusal_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap on kept refusals has tests of its own; here each row looks at its receipt."""
    bucket = throttle_module.Bucket(per_s=1000.0, burst=1000.0)
    monkeypatch.setattr(throttle_module, "Bucket", lambda: bucket)


@pytest.fixture
def numbered() -> Callable[[], str]:
    numbers = iter(range(1, 1000))
    return lambda: f"T{next(numbers):06d}"


def one_byte_changed(raw: bytes) -> bytes:
    place = raw.index(b"EUR" if b"EUR" in raw else b"eur")
    return raw[:place] + bytes([raw[place] ^ 0x20]) + raw[place + 1 :]


def reserialised(raw: bytes) -> bytes:
    return json.dumps(json.loads(raw), separators=(",", ":")).encode()


def raw_of(provider: str, mark: str, **top: Any) -> bytes:
    return json.dumps(capture(provider, mark) | top).encode()


def another_spelling(text: str) -> str:
    """Base64 with other unused bits at its end: decodes to the very same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body, padding = text.rstrip("="), text[len(text.rstrip("=")) :]
    assert padding, "only a padded text has unused bits"
    other = body[:-1] + alphabet[alphabet.index(body[-1]) ^ 1] + padding
    assert base64.b64decode(other) == base64.b64decode(text)
    return other
