"""Reads what matters of an HTTP request at the webhook edge: the bytes, the headers, the address.

Never parses the body. Serves WH-2, WH-3, WH-9 and design "Webhook edge".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

from payops.psp.base import LIMITS

KEPT_HEADERS = (
    "content-type",
    "user-agent",
    "stripe-signature",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "hmacsignature",
    "x-hub-signature",
    "x-atlassian-webhook-identifier",
    "x-servicenow-signature",
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "paypal-auth-algo",
    "x-forwarded-for",
)
KEPT_CHARS_MAX = 1024
ADDRESSES_REMEMBERED_MAX = 1024


def _meta_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


_KEPT_KEYS = tuple((name, _meta_key(name)) for name in KEPT_HEADERS)


class BodyRefused(Exception):
    """The body was not read; `status` says why to the sender, `reason` to us."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason


class Headers(Mapping[str, str]):
    """The request's headers under their lower-case names, looked up without copying them."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self._meta = meta

    def __getitem__(self, name: str) -> str:
        return self._meta[_meta_key(name)]

    def __iter__(self) -> Iterator[str]:
        for key in self._meta:
            if key.startswith("HTTP_"):
                yield key[5:].replace("_", "-").lower()
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                yield key.replace("_", "-").lower()

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_body(meta: Mapping[str, Any]) -> bytes:
    """The raw bytes, within the limit. Raises BodyRefused (400, 411, 413)."""
    length = meta.get("CONTENT_LENGTH") or ""
    if not length:
        return _read_to_end(meta)
    if not (length.isascii() and length.isdigit()):
        raise BodyRefused(400, "length_malformed")
    if len(length) > 12 or int(length) > LIMITS.body_bytes_max:
        raise BodyRefused(413, "too_large")
    raw = _read(meta, int(length))
    if len(raw) != int(length):
        raise BodyRefused(400, "body_unreadable")
    return raw


def kept_headers(meta: Mapping[str, Any]) -> dict[str, str]:
    """Those a receipt keeps; credentials are never among them."""
    return {
        name: meta[key][:KEPT_CHARS_MAX].replace("\x00", "")
        for name, key in _KEPT_KEYS
        if meta.get(key)
    }


def remote_address(meta: Mapping[str, Any], *, hops: int | None = None) -> str | None:
    """The sender's address: behind n trusted proxies, the n-th from the right of what they wrote.

    A chain shorter than the proxies we trust did not come through them: the address is unknown.
    What stands further left was written by the sender and is never believed. IPv4 behind IPv6
    (::ffff:203.0.113.7) is that IPv4 address.
    """
    trusted = settings.TRUSTED_PROXY_HOPS if hops is None else hops
    if trusted <= 0:
        return _address(meta.get("REMOTE_ADDR", ""))
    chain = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _address(chain[-trusted]) if len(chain) >= trusted else None


def _read_to_end(meta: Mapping[str, Any]) -> bytes:
    """Without a length only a server that ends the stream itself may be read (it de-chunks)."""
    if not meta.get("wsgi.input_terminated"):
        if meta.get("HTTP_TRANSFER_ENCODING"):
            raise BodyRefused(411, "length_missing")
        return b""
    raw = _read(meta, LIMITS.body_bytes_max + 1)
    if len(raw) > LIMITS.body_bytes_max:
        raise BodyRefused(413, "too_large")
    return raw


def _read(meta: Mapping[str, Any], size: int) -> bytes:
    try:
        return bytes(meta["wsgi.input"].read(size))
    except OSError as error:
        raise BodyRefused(400, "body_unreadable") from error


@lru_cache(maxsize=ADDRESSES_REMEMBERED_MAX)
def _address(text: str) -> str | None:
    value = text.strip()
    if value.startswith("["):
        value = value[1:].partition("]")[0]
    elif value.count(":") == 1:
        value = value.partition(":")[0]
    if "%" in value:
        return None
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
