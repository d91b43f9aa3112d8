"""PayPal's whole table at the real edge, signed by `cryptography` (WH-2, SE-1, SE-2, WH-9)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from payops.core import clock
from payops.simulator.certificates import stranger
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.webhooks import four_providers as told
from tests.webhooks.four_providers import Senders
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders
from tests.webhooks.signing_table import (
    FOREIGN_DIGITS,
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

    answer = post("paypal", raw, forger.headers(raw))

    assert answer.status_code == 401
    assert Delivery.objects.get().signature_reason == "signature_mismatch"
    assert ProviderEvent.objects.count() == Payload.objects.count() == 0
