"""Adyen's whole tables at the real edge, signed by its official library (WH-2, SE-1, WH-9)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from Adyen.util import generate_payload_sig

from tests.psp.adyen_signed import KEY as ADYEN_KEY
from tests.psp.adyen_signed import OTHER_KEY as ADYEN_OTHER_KEY
from tests.webhooks.four_providers import Senders, capture, fixture, sealed
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders
from tests.webhooks.signing_table import (
    FOREIGN_DIGITS,
    STORED,
    WRONG_BASE64,
    Table,
    another_spelling,
    one_byte_changed,
    reserialised,
)
from tests.webhooks.signing_table import every_refusal_is_kept as every_refusal_is_kept
from tests.webhooks.signing_table import numbered as numbered

pytestmark = pytest.mark.django_db(transaction=True)


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
