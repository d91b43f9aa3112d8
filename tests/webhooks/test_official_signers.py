"""Each scheme's whole table at the real edge: only exact signatures pass, never a 500 (WH-2, SE-1).

The official libraries of Stripe, Standard Webhooks and Adyen sign, `cryptography` signs for PayPal;
a row says what was sent, what is answered and what is kept of it (WH-9).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import standardwebhooks
import stripe
from Adyen.util import generate_payload_sig
from django.test import Client

from payops.core import clock
from payops.simulator.certificates import stranger
from payops.webhooks import selectors
from payops.webhooks import throttle as throttle_module
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.psp.adyen_signed import KEY as ADYEN_KEY
from tests.psp.adyen_signed import OTHER_KEY as ADYEN_OTHER_KEY
from tests.webhooks import four_providers as told
from tests.webhooks.four_providers import Senders, capture, fixture, sealed, url_of
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders

pytestmark = pytest.mark.django_db(transaction=True)

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
        answer = _post(self.provider, raw, headers)
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


def _post(provider: str, raw: bytes, headers: dict[str, str]) -> Any:
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


def test_stripe_table(senders: Senders, numbered: Callable[[], str]) -> None:
    table, now = Table("stripe"), int(clock.utc_now().timestamp())

    def mac(raw: bytes, *, secret: str = STRIPE_SECRET, stamp: object = now) -> str:
        return stripe.WebhookSignature._compute_signature(f"{stamp}.{raw.decode()}", secret)

    def row(name: str, expected: str, write: Callable[[bytes, str], str], **signing: Any) -> None:
        """`write(raw, mac)` writes the header; what passes here passes the official library."""
        raw = raw_of("stripe", numbered())
        header = write(raw, mac(raw, **signing))
        table.row(name, expected, raw, {"stripe-signature": header})
        if expected == STORED:
            assert stripe.WebhookSignature.verify_header(raw, header, STRIPE_SECRET, 300), name

    def row_of_body(name: str, expected: str, sent: Callable[[bytes], bytes], **top: Any) -> None:
        raw = raw_of("stripe", numbered(), **top)
        header = stripe.WebhookSignature.generate_signature_header(raw.decode(), STRIPE_SECRET, now)
        table.row(name, expected, sent(raw), {"stripe-signature": header})

    wrong, malformed, stamp = "signature_mismatch", "header_malformed", "timestamp_malformed"
    row("exact", STORED, lambda raw, v1: f"t={now},v1={v1}")
    row("wrong v1, then right", STORED, lambda raw, v1: f"t={now},v1={'0' * 64},v1={v1}")
    row("right v1, then wrong", STORED, lambda raw, v1: f"t={now},v1={v1},v1={'0' * 64}")
    row(
        "both secrets of a rotation",
        STORED,
        lambda raw, v1: f"t={now},v1={mac(raw, secret=OTHER_STRIPE_SECRET)},v1={v1},v0={'a' * 64}",
    )
    row("sixteen v1", STORED, lambda raw, v1: f"t={now}" + ",v1=aa" * 15 + f",v1={v1}")
    row("seventeen v1", malformed, lambda raw, v1: f"t={now}" + ",v1=aa" * 16 + f",v1={v1}")
    row("stamp last", STORED, lambda raw, v1: f"v1={v1},t={now}")
    row("upper-case hex", wrong, lambda raw, v1: f"t={now},v1={v1.upper()}")
    row("non-ascii beside it", malformed, lambda raw, v1: f"t={now},v1=é,v1={v1}")
    row(
        "unicode digits in v1",
        malformed,
        lambda raw, v1: f"t={now},v1={v1.translate(FOREIGN_DIGITS)}",
    )
    row(
        "unicode digits in t",
        malformed,
        lambda raw, v1: f"t={str(now).translate(FOREIGN_DIGITS)},v1={v1}",
    )
    row("two stamps alike", malformed, lambda raw, v1: f"t={now},t={now},v1={v1}")
    row("two stamps", malformed, lambda raw, v1: f"t={now},t={now - 1},v1={v1}")
    row("header twice", malformed, lambda raw, v1: f"t={now},v1={v1},t={now},v1={v1}")
    row("blank after the comma", malformed, lambda raw, v1: f"t={now}, v1={v1}")
    row("blank before v1", wrong, lambda raw, v1: f"t={now},v1= {v1}")
    row("blank after v1", wrong, lambda raw, v1: f"t={now},v1={v1} ")
    row("blank in the stamp", stamp, lambda raw, v1: f"t= {now},v1={v1}", stamp=f" {now}")
    row("signed stamp with a sign", stamp, lambda raw, v1: f"t=+{now},v1={v1}", stamp=f"+{now}")
    row("signed fraction", stamp, lambda raw, v1: f"t={now}.0,v1={v1}", stamp=f"{now}.0")
    row("signed leading zero", stamp, lambda raw, v1: f"t=0{now},v1={v1}", stamp=f"0{now}")
    row("no stamp", stamp, lambda raw, v1: f"v1={v1}")
    row("another stamp", wrong, lambda raw, v1: f"t={now - 1},v1={v1}")
    row("scheme v0", malformed, lambda raw, v1: f"t={now},v0={v1}")
    row("scheme v1a", malformed, lambda raw, v1: f"t={now},v1a={v1}")
    row("scheme V1", malformed, lambda raw, v1: f"t={now},V1={v1}")
    row("no scheme", malformed, lambda raw, v1: f"t={now},{v1}")
    row("half a signature", wrong, lambda raw, v1: f"t={now},v1={v1[:32]}")
    row("quoted", wrong, lambda raw, v1: f't={now},v1="{v1}"')
    row(
        "as base64",
        wrong,
        lambda raw, v1: f"t={now},v1={base64.b64encode(bytes.fromhex(v1)).decode()}",
    )
    row("empty", "header_missing", lambda raw, v1: "")
    row("another secret", wrong, lambda raw, v1: f"t={now},v1={v1}", secret=OTHER_STRIPE_SECRET)
    for name, at, expected in (
        ("stale", now - 330, "timestamp_stale"),
        ("a year old", now - 31_536_000, "timestamp_stale"),
        ("future", now + 330, "timestamp_future"),
        ("far future", 99_999_999_999, "timestamp_future"),
        ("nearly stale", now - 270, STORED),
        ("nearly future", now + 270, STORED),
    ):
        row(name, expected, lambda raw, v1, at=at: f"t={at},v1={v1}", stamp=at)
    row_of_body("one changed byte", wrong, one_byte_changed)
    row_of_body("re-serialised", wrong, reserialised)
    row_of_body("a blank more", wrong, lambda raw: raw + b" ")
    row_of_body("a byte order mark more", wrong, lambda raw: b"\xef\xbb\xbf" + raw)
    row_of_body("live mode", "mode_mismatch", bytes, livemode=True)
    row_of_body("thin v2 event", "thin_event", bytes, object="v2.core.event")
    table.row("no header", "header_missing", raw_of("stripe", numbered()), {})
    table.check()


def test_standard_webhooks_table(senders: Senders, numbered: Callable[[], str]) -> None:
    table, now = Table("standard"), clock.utc_now()

    def sign(raw: bytes, *, secret: str = STANDARD_SECRET, at: Any = now) -> dict[str, str]:
        event_id = json.loads(raw)["id"]
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": standardwebhooks.Webhook(secret).sign(event_id, at, raw.decode()),
        }

    def row(name: str, expected: str, write: Callable[[str], str] = str, **signing: Any) -> None:
        """`write` rewrites the signature header; what passes here passes the official library."""
        raw = raw_of("standard", numbered())
        headers = sign(raw, **signing)
        headers["webhook-signature"] = write(headers["webhook-signature"])
        table.row(name, expected, raw, headers)
        if expected == STORED:
            standardwebhooks.Webhook(STANDARD_SECRET).verify(raw, headers)

    def row_of_header(name: str, expected: str, header: str, write: Callable[[str], str]) -> None:
        raw = raw_of("standard", numbered())
        headers = sign(raw)
        table.row(name, expected, raw, headers | {header: write(headers[header])})

    def row_of_body(name: str, expected: str, sent: Callable[[bytes], bytes], **top: Any) -> None:
        raw = raw_of("standard", numbered(), **top)
        table.row(name, expected, sent(raw), sign(raw))

    wrong, malformed, stamp = "signature_mismatch", "header_malformed", "timestamp_malformed"
    row("exact", STORED)
    row("wrong v1, then right", STORED, lambda v1: f"v1,{WRONG_BASE64} {v1}")
    row("right v1, then wrong", STORED, lambda v1: f"{v1} v1,{WRONG_BASE64}")
    row("v1a before it", STORED, lambda v1: f"v1a,{WRONG_BASE64} {v1}")
    row("sixteen v1", STORED, lambda v1: f"v1,{WRONG_BASE64} " * 15 + v1)
    row("seventeen v1", malformed, lambda v1: f"v1,{WRONG_BASE64} " * 16 + v1)
    row("v1a as v1", wrong, lambda v1: v1.replace("v1,", "v1a,"))
    row("V1", wrong, str.capitalize)
    row("v2", wrong, lambda v1: v1.replace("v1,", "v2,"))
    row("no scheme", wrong, lambda v1: v1.removeprefix("v1,"))
    row("an equals sign for the comma", wrong, lambda v1: v1.replace("v1,", "v1="))
    row("blank before the comma", wrong, lambda v1: v1.replace("v1,", "v1 ,"))
    row("blank after the comma", wrong, lambda v1: v1.replace("v1,", "v1, "))
    row("tab between two", wrong, lambda v1: f"v1,{WRONG_BASE64}\t{v1}")
    row("header twice", wrong, lambda v1: f"{v1},{v1}")
    row("without padding", wrong, lambda v1: v1.rstrip("="))
    row("padding twice", wrong, lambda v1: v1 + "=")
    row("other unused bits", wrong, lambda v1: "v1," + another_spelling(v1[3:]))
    row("url-safe alphabet", wrong, lambda v1: "v1," + "-_" + v1[5:])
    row("upper case", wrong, lambda v1: "v1," + v1[3:].upper())
    row("as hex", wrong, lambda v1: "v1," + base64.b64decode(v1[3:]).hex())
    row("non-ascii beside it", malformed, lambda v1: f"v1,é {v1}")
    row("unicode digits", malformed, lambda v1: f"v1,{'٣' * 43}=")
    row("half a signature", wrong, lambda v1: v1[:24])
    row("empty", "header_missing", lambda v1: "")
    row("another secret", wrong, secret=OTHER_STANDARD_SECRET)
    undecoded = base64.b64encode(STANDARD_SECRET.encode()).decode()
    row("secret taken as text", wrong, secret=undecoded)
    for name, seconds, expected in (
        ("stale", -330, "timestamp_stale"),
        ("future", 330, "timestamp_future"),
        ("nearly stale", -270, STORED),
        ("nearly future", 270, STORED),
    ):
        row(name, expected, at=now + timedelta(seconds=seconds))
    row_of_header("another id", wrong, "webhook-id", lambda told: told + "0")
    row_of_header("id with a dot", malformed, "webhook-id", lambda told: told + ".1")
    row_of_header("id twice", wrong, "webhook-id", lambda told: f"{told},{told}")
    row_of_header("id in foreign letters", malformed, "webhook-id", lambda told: told + "é")
    row_of_header("no id", "header_missing", "webhook-id", lambda told: "")
    row_of_header("another stamp", wrong, "webhook-timestamp", lambda told: str(int(told) - 1))
    row_of_header("two stamps", stamp, "webhook-timestamp", lambda told: f"{told},{told}")
    row_of_header("stamp with a fraction", stamp, "webhook-timestamp", lambda told: told + ".0")
    row_of_header("stamp with a blank", stamp, "webhook-timestamp", lambda told: told + " ")
    row_of_header(
        "unicode digits in the stamp",
        malformed,
        "webhook-timestamp",
        lambda told: told.translate(FOREIGN_DIGITS),
    )
    row_of_header("no stamp", "header_missing", "webhook-timestamp", lambda told: "")
    row_of_body("one changed byte", wrong, one_byte_changed)
    row_of_body("re-serialised", wrong, reserialised)
    row_of_body("a blank more", wrong, lambda raw: raw + b" ")
    row_of_body("live mode", "mode_mismatch", bytes, live=True)
    table.check()


def test_adyen_notification_table(senders: Senders, numbered: Callable[[], str]) -> None:
    """Eight fields of an item are signed, so the same fields in another spelling are exact."""
    table = Table("adyen")

    def row(
        name: str,
        expected: str,
        change: Callable[[dict[str, Any]], Any] = lambda item: None,
        *,
        sent: Callable[[bytes], bytes] = bytes,
        key: str = ADYEN_KEY,
        **top: Any,
    ) -> None:
        """`change` is made to the item after it was signed."""
        body = sealed(capture("adyen", numbered()), key=key)
        change(body["notificationItems"][0]["NotificationRequestItem"])
        table.row(name, expected, sent(json.dumps(body | top).encode()), {})

    def mark(write: Callable[[str], object]) -> Callable[[dict[str, Any]], None]:
        def change(item: dict[str, Any]) -> None:
            item["additionalData"]["hmacSignature"] = write(item["additionalData"]["hmacSignature"])

        return change

    def twice(raw: bytes) -> bytes:
        place = raw.index(b'"hmacSignature"')
        return raw[:place] + b'"hmacSignature": "AAAA", ' + raw[place:]

    wrong, missing = "signature_mismatch", "signature_missing"
    row("exact", STORED)
    row("re-serialised", STORED, sent=reserialised)
    row("key in upper case", STORED, key=ADYEN_KEY.upper())
    row("value as text", STORED, lambda item: item["amount"].update(value="100"))
    row("success as a boolean", STORED, lambda item: item.update(success=True))
    row("an unsigned field changed", STORED, lambda item: item.update(reason="changed"))
    row("upper case", wrong, mark(str.upper))
    row("as hex", wrong, mark(lambda text: base64.b64decode(text).hex()))
    row("other unused bits", wrong, mark(another_spelling))
    row("without padding", wrong, mark(lambda text: text.rstrip("=")))
    row("blank after it", wrong, mark(lambda text: text + " "))
    row("line end after it", wrong, mark(lambda text: text + "\n"))
    row("non-ascii", wrong, mark(lambda text: text + "é"))
    row("unicode digits", wrong, mark(lambda text: text.translate(FOREIGN_DIGITS) + "٣"))
    row("scheme before it", wrong, mark(lambda text: f"v1,{text}"))
    row("several in one", wrong, mark(lambda text: f"{WRONG_BASE64},{text}"))
    row("a list of them", missing, mark(lambda text: [WRONG_BASE64, text]))
    row("empty", missing, mark(lambda text: ""))
    row("two of them", "body_duplicate_key", sent=twice)
    row("no additional data", missing, lambda item: item.pop("additionalData"))
    row("another key", wrong, key=ADYEN_OTHER_KEY)
    row("one changed byte", wrong, sent=one_byte_changed)
    row("another amount", wrong, lambda item: item["amount"].update(value=101))
    row("unicode digits in the value", wrong, lambda item: item["amount"].update(value="٣٣"))
    row("amount with a sign", wrong, lambda item: item["amount"].update(value="+100"))
    row("success the other way", wrong, lambda item: item.update(success="false"))
    row("a colon moved", "item_ambiguous", lambda item: item.update(eventCode="CAPTURE:true"))
    row("live mode", "mode_mismatch", live="true")
    row("mode unsaid", "mode_mismatch", live=None)
    row("mode in capitals", "mode_mismatch", live="FALSE")
    row("byte order mark", "body_not_json", sent=lambda raw: b"\xef\xbb\xbf" + raw)
    row("no items", "header_missing", sent=lambda raw: b'{"live":"false","notificationItems":[]}')
    table.check()


def test_adyen_platform_table(senders: Senders, numbered: Callable[[], str]) -> None:
    table = Table("adyen")

    def row(
        name: str,
        expected: str,
        write: Callable[[str], str] = str,
        *,
        sent: Callable[[bytes], bytes] = bytes,
        key: str = ADYEN_KEY,
        **top: Any,
    ) -> None:
        body = fixture("adyen", "transfer_booked") | top
        body["data"]["id"] = numbered()
        raw = json.dumps(body).encode()
        table.row(name, expected, sent(raw), {"HmacSignature": write(_platform(raw, key))})

    wrong, malformed = "signature_mismatch", "header_malformed"
    row("exact", STORED)
    row("key in upper case", STORED, key=ADYEN_KEY.upper())
    row("upper case", wrong, str.upper)
    row("as hex", wrong, lambda text: base64.b64decode(text).hex())
    row("other unused bits", wrong, another_spelling)
    row("without padding", wrong, lambda text: text.rstrip("="))
    row("blank before it", wrong, lambda text: " " + text)
    row("blank after it", wrong, lambda text: text + " ")
    row("header twice", wrong, lambda text: f"{text},{text}")
    row("several in one", wrong, lambda text: f"{WRONG_BASE64} {text}")
    row("scheme before it", wrong, lambda text: f"v1,{text}")
    row("non-ascii", malformed, lambda text: text + "é")
    row("unicode digits", malformed, lambda text: text.translate(FOREIGN_DIGITS) + "٣")
    row("endless", malformed, lambda text: text * 200)
    row("empty", "header_missing", lambda text: "")
    row("another key", wrong, key=ADYEN_OTHER_KEY)
    row("one changed byte", wrong, sent=one_byte_changed)
    row("re-serialised", wrong, sent=reserialised)
    row("a blank more", wrong, sent=lambda raw: raw + b" ")
    row("live mode", "mode_mismatch", environment="live")
    table.check()


def _platform(raw: bytes, key: str) -> str:
    return str(generate_payload_sig(raw, key).decode())


def test_paypal_table(senders: Senders, numbered: Callable[[], str]) -> None:
    table, now = Table("paypal"), clock.utc_now()

    def row(
        name: str,
        expected: str,
        header: str = "",
        write: Callable[[str], str] = str,
        *,
        sent: Callable[[bytes], bytes] = bytes,
        host: str = "api.sandbox.paypal.com",
        **signing: Any,
    ) -> None:
        """`host` is that of the links in the signed body: it tells the mode."""
        raw = raw_of("paypal", numbered()).replace(b"api.sandbox.paypal.com", host.encode())
        headers = senders.paypal.headers(raw, **signing)
        if header:
            headers[f"paypal-{header}"] = write(headers[f"paypal-{header}"])
        table.row(name, expected, sent(raw), headers)

    wrong, malformed, stamp = "signature_mismatch", "header_malformed", "timestamp_malformed"
    sig, time = "transmission-sig", "transmission-time"
    row("exact", STORED)
    row("upper case", wrong, sig, lambda text: text[:-4].upper() + text[-4:])
    row("as hex", wrong, sig, lambda text: base64.b64decode(text).hex())
    row("other unused bits", malformed, sig, another_spelling)
    row("without padding", malformed, sig, lambda text: text.rstrip("="))
    row("blank after it", malformed, sig, lambda text: text + " ")
    row("header twice", malformed, sig, lambda text: f"{text},{text}")
    row("several in one", malformed, sig, lambda text: f"{WRONG_BASE64} {text}")
    row("scheme before it", malformed, sig, lambda text: f"v1,{text}")
    row("non-ascii", malformed, sig, lambda text: text[:-2] + "é=")
    row("unicode digits", malformed, sig, lambda text: "٣" + text[1:])
    row("empty", "header_missing", sig, lambda text: "")
    row("half a signature", wrong, sig, lambda text: text[:172])
    row(
        "another moment",
        wrong,
        time,
        lambda text: f"{now - timedelta(seconds=9):%Y-%m-%dT%H:%M:%SZ}",
    )
    row("two times", stamp, time, lambda text: f"{text},{text}")
    row("unicode digits in the time", malformed, time, lambda text: text.translate(FOREIGN_DIGITS))
    row("time in another spelling", wrong, time, lambda text: text.replace("Z", "+00:00"))
    row("another transmission", wrong, "transmission-id", lambda text: text + "0")
    row("id that shifts the text", malformed, "transmission-id", lambda text: text + "|")
    row("another algorithm", "algorithm_refused", "auth-algo", lambda text: "SHA1withRSA")
    row("algorithm in lower case", "algorithm_refused", "auth-algo", str.lower)
    row(
        "certificate of elsewhere",
        "certificate_url_refused",
        "cert-url",
        lambda url: "https://example.com/c.pem",
    )
    row(
        "host in another spelling",
        "certificate_url_refused",
        "cert-url",
        lambda url: url.replace("127.0.0.1", "127.1"),
    )
    row(
        "address with a user",
        "certificate_url_refused",
        "cert-url",
        lambda url: url.replace("//", "//a@"),
    )
    row("another webhook", wrong, webhook_id="1JE4291016473214C")
    row("stale", "timestamp_stale", at=now - timedelta(days=4, minutes=1))
    row("late but within the retries", STORED, at=now - timedelta(days=3))
    row("future", "timestamp_future", at=now + timedelta(seconds=330))
    row("nearly future", STORED, at=now + timedelta(seconds=270))
    row("one changed byte", wrong, sent=one_byte_changed)
    row("re-serialised", wrong, sent=reserialised)
    row("a blank more", wrong, sent=lambda raw: raw + b" ")
    row("live mode", "mode_mismatch", host="api.paypal.com")
    table.check()


def test_a_key_nobody_vouches_for_signs_nothing_for_paypal(senders: Senders) -> None:
    forger = told.PayPal(
        told.Signer(key=stranger(), chain=senders.paypal.signer.chain), senders.paypal.cert_url
    )
    raw = raw_of("paypal", "F1")

    answer = _post("paypal", raw, forger.headers(raw))

    assert answer.status_code == 401
    assert Delivery.objects.get().signature_reason == "signature_mismatch"
    assert ProviderEvent.objects.count() == Payload.objects.count() == 0


@pytest.mark.parametrize("provider", told.PROVIDERS)
def test_a_signature_of_one_provider_opens_no_other(provider: str, senders: Senders) -> None:
    raw = raw_of("stripe", "X1")
    all_headers = {
        name: text for each in told.PROVIDERS for name, text in senders.headers(each, raw).items()
    }
    mine = set(senders.headers(provider, raw))

    answer = _post(provider, raw, {n: t for n, t in all_headers.items() if n not in mine})

    assert answer.status_code == 401
    assert Delivery.objects.get().signature_reason == "header_missing"
