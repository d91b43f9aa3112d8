"""A corpus of hostile bodies, made from building blocks: the same bodies in every run.

A block is put at every member of a valid event of each provider, and stands for whole bodies too.
A block that no reader may accept names the reason; `unfit` says that it can never be a sum.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.psp.adyen_signed import KEY as ADYEN_KEY
from tests.psp.adyen_signed import signed as adyen_signed
from tests.psp.hostile import HOSTILE_BODIES
from tests.webhooks.four_providers import MERCHANT_ACCOUNT, PROVIDERS, capture, fixture

Path = tuple[str | int, ...]
PLACEHOLDER = "@@here@@"
ITEM_PATH: Path = ("notificationItems", 0, "NotificationRequestItem")
SIGNED = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "value",
    "currency",
    "eventCode",
    "success",
)
STRIDE = 7


@dataclass(frozen=True)
class Block:
    """JSON text put in place of a value; `reason` when no body that holds it can be read."""

    name: str
    text: bytes
    reason: str = ""


@dataclass(frozen=True)
class Hostile:
    """One body; `signed_inside` when its signature is part of it (Adyen's classic items)."""

    name: str
    provider: str
    raw: bytes
    event_id: str
    reason: str = ""
    unfit: bool = False
    signed_inside: bool = False


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


BLOCKS = (
    Block("nan", b"NaN", "not_a_number"),
    Block("infinity", b"Infinity", "not_a_number"),
    Block("minus infinity", b"-Infinity", "not_a_number"),
    Block("nul escape", b'"a\\u0000b"', "nul_character"),
    Block("lone high surrogate", b'"\\ud800"', "lone_surrogate"),
    Block("surrogates the wrong way", b'"\\udc00\\ud800"', "lone_surrogate"),
    Block("not utf-8", b'"\xff\xfe"', "not_utf8"),
    Block("overlong nul", b'"\xc0\x80"', "not_utf8"),
    Block("overlong slash", b'"\xe0\x80\xaf"', "not_utf8"),
    Block("encoded surrogate", b'"\xed\xa0\x80"', "not_utf8"),
    Block("beyond unicode", b'"\xf5\x80\x80\x80"', "not_utf8"),
    Block("raw nul", b'"a\x00b"', "not_json"),
    Block("raw line end", b'"a\nb"', "not_json"),
    Block("single quotes", b"'a'", "not_json"),
    Block("bare word", b"undefined", "not_json"),
    Block("leading zero", b"0100", "not_json"),
    Block("plus sign", b"+1", "not_json"),
    Block("hex number", b"0x10", "not_json"),
    Block("trailing comma", b"[1,]", "not_json"),
    Block("comment", b"/* a */ 1", "not_json"),
    Block("nothing at all", b"", "not_json"),
    Block("2,000 deep lists", b"[" * 2000 + b"]" * 2000, "nested_too_deep"),
    Block("2,000 deep objects", b'{"a":' * 2000 + b"1" + b"}" * 2000, "nested_too_deep"),
    Block("5,000 digits", b"9" * 5000, "integer_too_long"),
    Block("minus 5,000 digits", b"-" + b"9" * 5000, "integer_too_long"),
    Block("two to the 64th", b"18446744073709551616", "integer_too_long"),
    Block("the same key twice", b'{"a":1,"a":2}', "duplicate_key"),
    Block("the same key escaped", b'{"a":1,"\\u0061":2}', "duplicate_key"),
    Block("null", b"null"),
    Block("true", b"true"),
    Block("false", b"false"),
    Block("zero", b"0"),
    Block("minus zero", b"-0"),
    Block("minus one", b"-1"),
    Block("18 digits", b"9" * 18),
    Block("minus 18 digits", b"-" + b"9" * 17),
    Block("fraction", b"0.1"),
    Block("whole fraction", b"100.0"),
    Block("exponent", b"1e3"),
    Block("endless exponent", b"1e999999"),
    Block("number as text", b'"100"'),
    Block("negative as text", b'"-1.00"'),
    Block("decimal comma", b'"1.000,00"'),
    Block("too many decimals", b'"1.0000001"'),
    Block("exponent as text", b'"1e3"'),
    Block("nan as text", b'"NaN"'),
    Block("foreign digits", _text("٣٣")),
    Block("full-width digits", _text("\uff11\uff10\uff10")),
    Block("empty text", b'""'),
    Block("a blank", b'" "'),
    Block("blanks around", b'" a "'),
    Block("control characters", b'"a\\u0007\\u001b[31m\\r\\nb"'),
    Block("right-to-left override", _text("a\u202eb\u200f")),
    Block("zero width", _text("a\u200bb\ufeff")),
    Block("combining marks", _text("e" + "\u0301" * 300)),
    Block("emoji", b'"\\ud83d\\ude00"'),
    Block("256 characters", _text("x" * 256)),
    Block("600 letters of three bytes", _text("\u20ac" * 600)),
    Block("200 kilobytes", _text("y" * 200_000)),
    Block("sql", _text("'; DROP TABLE webhooks_payload; --")),
    Block("markup", _text("<script>alert(1)</script>")),
    Block("template", _text("{{7*7}}${7*7}%s%n")),
    Block("path", _text("../../../../etc/passwd")),
    Block("address", _text("http://169.254.169.254/latest/")),
    Block("colons", _text("a:b:c")),
    Block("another currency", b'"XXX"'),
    Block("no currency", b'"BTC"'),
    Block("currency in small letters", b'"eur"'),
    Block("currency with a line end", b'"EUR\\n"'),
    Block("currency with foreign letters", _text("\u0395UR")),
    Block("month 13", b'"2026-13-45T99:99:99Z"'),
    Block("year zero", b'"0000-01-01T00:00:00Z"'),
    Block("before the first year", b'"0001-01-01T00:00:00+23:59"'),
    Block("after the last year", b'"9999-12-31T23:59:59-23:59"'),
    Block("year 5138", b"99999999999"),
    Block("30 February", b'"2026-02-30T12:00:00Z"'),
    Block("empty list", b"[]"),
    Block("empty object", b"{}"),
    Block("list of null", b"[null]"),
    Block("201 nulls", _text([None] * 201)),
    Block("list of lists", b"[[[[[[]]]]]]"),
    Block("60 deep", b'{"a":' * 50 + b"1" + b"}" * 50),
    Block("prototype", b'{"__proto__":{"admin":true},"constructor":{"prototype":{}}}'),
    Block("names of Python", b'{"__class__":"os.system","__reduce__":["id"]}'),
    Block("1,000 members", _text({f"k{number}": number for number in range(1000)})),
    Block("empty name", b'{"":{"":""}}'),
)
BLOCK = {block.name: block for block in BLOCKS}
# Blocks that do say a sum, by what the provider writes its sums in.
SUMS_OF_NUMBERS = frozenset({"zero", "minus zero", "year 5138"})
SUMS_OF_TEXT = frozenset({"number as text"})
# A fraction is read as the text it is written in, so it is as exact as the text.
SUMS_OF_DECIMALS = SUMS_OF_TEXT | {"fraction", "whole fraction"}


@dataclass(frozen=True)
class Base:
    """A kind of valid event of a provider, and where its sum stands."""

    name: str
    provider: str
    amount: Path
    sums: frozenset[str]
    payout: str = ""


BASES = (
    Base("charge", "stripe", ("data", "object", "amount"), SUMS_OF_NUMBERS),
    Base(
        "payout",
        "stripe",
        ("data", "object", "amount"),
        SUMS_OF_NUMBERS,
        "payout_failed_after_paid",
    ),
    Base("payment", "standard", ("data", "amount"), SUMS_OF_NUMBERS),
    Base("payout", "standard", ("data", "amount"), SUMS_OF_NUMBERS, "payout_failed"),
    Base("capture", "adyen", (*ITEM_PATH, "amount", "value"), SUMS_OF_NUMBERS | SUMS_OF_TEXT),
    Base("transfer", "adyen", ("data", "amount", "value"), SUMS_OF_NUMBERS, "transfer_booked"),
    Base("capture", "paypal", ("resource", "amount", "value"), SUMS_OF_DECIMALS),
    Base(
        "payout item",
        "paypal",
        ("resource", "payout_item", "amount", "value"),
        SUMS_OF_DECIMALS,
        "payout_item_succeeded",
    ),
)


def corpus(*, our_payout: str) -> list[Hostile]:
    """Every body once per provider; payouts of the generic provider name `our_payout`."""
    found: list[Hostile] = []
    for maker in (_whole_bodies, _at_every_place, _at_every_sum, _other_shapes):
        found += maker(our_payout, len(found))
    return list({(body.provider, body.raw): body for body in found}.values())


def event(base: Base, mark: str, our_payout: str) -> dict[str, Any]:
    """A valid event of that kind under ids of its own."""
    if not base.payout:
        return capture(base.provider, mark)
    body = fixture(base.provider, base.payout)
    if base.provider == "stripe":
        body["id"], body["data"]["object"]["id"] = f"evt_{mark}", f"po_{mark}"
    elif base.provider == "standard":
        body["id"] = f"sev_{mark}"
        body["data"] |= {"reference": our_payout}
    elif base.provider == "adyen":
        body["data"]["id"] = mark
    else:
        body["id"], body["resource"]["payout_item_id"] = f"WH-{mark}", mark
    return body


def places(value: object, path: Path = ()) -> Iterator[Path]:
    """The path of every member and row."""
    pairs: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


def holder_of(body: Any, path: Path) -> Any:
    for step in path[:-1]:
        body = body[step]
    return body


def put(base: Base, mark: str, our_payout: str, path: Path, block: Block) -> Hostile:
    """The base's event with the block at that place; signed where the signature is inside."""
    body = event(base, mark, our_payout)
    holder_of(body, path)[path[-1]] = PLACEHOLDER
    inside = base.provider == "adyen" and not base.payout
    if inside and path[: len(ITEM_PATH)] == ITEM_PATH and len(path) > len(ITEM_PATH):
        _sign(body, block)
    elif inside:
        _sign(body, None)
    whole = json.dumps(body).encode()
    raw = whole.replace(json.dumps(PLACEHOLDER).encode(), block.text)
    where = ".".join(str(step) for step in path)
    reason = f"body_{block.reason}" if inside and block.reason else block.reason
    return Hostile(
        name=f"{base.provider} {base.name}: {block.name} at {where}",
        provider=base.provider,
        raw=raw,
        event_id=f"sev_{mark}",
        reason=reason,
        unfit=path == base.amount and block.name not in base.sums,
        signed_inside=inside,
    )


def _sign(body: dict[str, Any], block: Block | None) -> None:
    """The item as a reader of it would see it, once the block stands in it."""
    listed = body["notificationItems"]
    holder = listed[0] if isinstance(listed, list) else None
    item = holder.get("NotificationRequestItem") if isinstance(holder, dict) else None
    if not isinstance(item, dict) or not isinstance(item.get("additionalData"), dict):
        return
    seen = item
    if block is not None:
        text = json.dumps(item).encode().replace(json.dumps(PLACEHOLDER).encode(), block.text)
        try:
            seen = json.loads(text)
        except (ValueError, RecursionError):
            # Nobody can read it, so nobody can tell whether it is signed.
            seen = item
    item["additionalData"].setdefault("hmacSignature", signature_of(seen))


def signature_of(item: dict[str, Any]) -> str:
    """By Adyen's own library; where that gives up, by its rules: missing is empty."""
    try:
        return str(adyen_signed(item)["additionalData"]["hmacSignature"])
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    amount = item.get("amount")
    given = item | (amount if isinstance(amount, dict) else {})
    parts = ["" if given.get(name) is None else str(given[name]) for name in SIGNED]
    text = ":".join(parts).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(bytes.fromhex(ADYEN_KEY), text, "sha256")).decode()


def _whole_bodies(our_payout: str, start: int) -> list[Hostile]:
    """Adyen's go under the header that signs the whole body, so that they are believed and read."""
    given = {
        **{name: (raw, reason) for name, (raw, reason) in HOSTILE_BODIES.items()},
        "utf-32": ('{"id":"evt_1"}'.encode("utf-32"), "not_utf8"),
        "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not_json"),
        "250,000 members": (b'{"a":[' + b"1," * 100_000 + b"1]}", ""),
        "all of the limit": (b'{"a":"' + b"z" * (256 * 1024 - 8) + b'"}', ""),
        "blanks alone": (b" " * 1000, "not_json"),
        "a form": (b"id=evt_1&type=payout.paid", "not_json"),
        "xml": (b"<event><id>evt_1</id></event>", "not_json"),
        "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_utf8"),
    }
    unnamed = ("event_id_missing", "event_type_missing", "object_missing")
    alone = [
        Hostile(
            name=f"{PROVIDERS[number % len(PROVIDERS)]}: {block.name} alone",
            provider=PROVIDERS[number % len(PROVIDERS)],
            raw=block.text,
            event_id=f"sev_L{number:05d}",
            reason=_alone(block),
        )
        for number, block in enumerate(BLOCKS)
    ]
    return alone + [
        Hostile(
            name=f"{provider}: {name}",
            provider=provider,
            raw=raw,
            event_id=f"sev_W{start + number:05d}",
            reason="" if reason in unnamed else reason,
        )
        for number, (name, (raw, reason)) in enumerate(given.items())
        for provider in PROVIDERS
    ]


def _alone(block: Block) -> str:
    """A text is readable, and no event, before anybody looks at its characters."""
    return "not_an_object" if block.reason in ("nul_character", "lone_surrogate") else block.reason


def _at_every_place(our_payout: str, start: int) -> list[Hostile]:
    """Blocks in turn, with a stride, so that each meets places of every kind."""
    found: list[Hostile] = []
    turn = 0
    for base in BASES:
        for path in places(event(base, "X", our_payout)):
            block = BLOCKS[turn * STRIDE % len(BLOCKS)]
            found.append(put(base, f"H{start + turn:05d}", our_payout, path, block))
            turn += 1
    return found


def _at_every_sum(our_payout: str, start: int) -> list[Hostile]:
    """Every block that can be read at every base; the others in turn."""
    pairs = [
        (base, block)
        for each, base in enumerate(BASES)
        for turn, block in enumerate(BLOCKS)
        if not block.reason or turn % len(BASES) == each
    ]
    return [
        put(base, f"A{start + number:05d}", our_payout, base.amount, block)
        for number, (base, block) in enumerate(pairs)
    ]


def _other_shapes(our_payout: str, start: int) -> list[Hostile]:
    """A member left out, one written twice, one under a name that means something elsewhere."""
    found: list[Hostile] = []
    for base in BASES:
        members = [
            path for path in places(event(base, "X", our_payout)) if isinstance(path[-1], str)
        ]
        for path in members[::2]:
            body = event(base, f"S{start + len(found):05d}", our_payout)
            holder = holder_of(body, path)
            value = holder.pop(path[-1])
            if len(found) % 2:
                holder["__proto__"] = value
            inside = base.provider == "adyen" and not base.payout
            if inside and "notificationItems" in body:
                _sign(body, None)
            found.append(
                Hostile(
                    name=f"{base.provider} {base.name}: without {path}",
                    provider=base.provider,
                    raw=json.dumps(body).encode(),
                    event_id=f"sev_S{start + len(found):05d}",
                    signed_inside=inside,
                )
            )
    return found


def batches() -> dict[str, bytes]:
    """Adyen's lists: none, too many, mixed, the same twice, holders that hold no item."""

    def good(number: int) -> dict[str, Any]:
        holder: dict[str, Any] = capture("adyen", f"B{number:06d}")["notificationItems"][0]
        return {"NotificationRequestItem": adyen_signed(holder["NotificationRequestItem"])}

    forged = good(1)
    forged["NotificationRequestItem"]["amount"]["value"] = 10**9
    other = capture("adyen", "B000002")["notificationItems"][0]
    other["NotificationRequestItem"]["merchantAccountCode"] = f"{MERCHANT_ACCOUNT}2"
    other["NotificationRequestItem"] = adyen_signed(other["NotificationRequestItem"])
    lists: dict[str, Sequence[object]] = {
        "none": [],
        "one forged": [forged],
        "another merchant": [other],
        "forged, good": [forged, good(3)],
        "good, forged, good": [good(4), forged, good(5)],
        "good, nothing, good": [good(6), None, good(7)],
        "good, text, number, list": [good(8), "a", 1, [good(9)]],
        "the same twice": [good(10), good(10)],
        "200": [good(number) for number in range(1000, 1200)],
        "201": [good(number) for number in range(2000, 2201)],
        "201 empty": [{} for _ in range(201)],
        "holder without an item": [{"NotificationRequestItems": good(11)}],
        "item in an item": [{"NotificationRequestItem": good(12)}],
    }
    return {
        name: json.dumps({"live": "false", "notificationItems": listed}).encode()
        for name, listed in lists.items()
    }
