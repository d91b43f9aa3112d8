"""Each scheme's whole table at the real edge: only exact signatures pass, never a 500 (WH-2, SE-1).

The official libraries of Stripe and Standard Webhooks sign; Adyen and PayPal are beside this file;
a row says what was sent, what is answered and what is kept of it (WH-9).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import standardwebhooks
import stripe

from payops.core import clock
from payops.webhooks.models import Delivery
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.webhooks import four_providers as told
from tests.webhooks.four_providers import Senders
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders
from tests.webhooks.signing_table import (
    FOREIGN_DIGITS,
    OTHER_STANDARD_SECRET,
    OTHER_STRIPE_SECRET,
    STORED,
    WRONG_BASE64,
    Table,
    another_spelling,
    one_byte_changed,
    post,
    raw_of,
    reserialised,
)
from tests.webhooks.signing_table import every_refusal_is_kept as every_refusal_is_kept
from tests.webhooks.signing_table import numbered as numbered

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.parametrize("provider", told.PROVIDERS)
def test_a_signature_of_one_provider_opens_no_other(provider: str, senders: Senders) -> None:
    raw = raw_of("stripe", "X1")
    all_headers = {
        name: text for each in told.PROVIDERS for name, text in senders.headers(each, raw).items()
    }
    mine = set(senders.headers(provider, raw))

    answer = post(provider, raw, {n: t for n, t in all_headers.items() if n not in mine})

    assert answer.status_code == 401
    assert Delivery.objects.get().signature_reason == "header_missing"
