"""What PayPal's links tell: the mode by their host, a parent or an original by their path.

A link is read, never followed: every call goes to the account's own base address. Serves WH-23.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from payops.psp.base import EventRefused

LIVE_OF_HOST: Mapping[str, bool] = {
    "api.paypal.com": True,
    "api-m.paypal.com": True,
    "api.sandbox.paypal.com": False,
    "api-m.sandbox.paypal.com": False,
}
CAPTURE = re.compile(r"(?:/.*)?/v[12]/payments/captures?/([A-Za-z0-9-]{1,64})", re.ASCII)
BATCH = re.compile(r"(?:/.*)?/v1/payments/payouts/([A-Za-z0-9_-]{1,64})", re.ASCII)
LINKS_MAX = 50
HREF_CHARS_MAX = 2048


def rows(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = holder.get("links")
    kept = found[:LINKS_MAX] if isinstance(found, list) else []
    return [row for row in kept if isinstance(row, dict)]


def address(href: object) -> SplitResult:
    """The parts of a link, all empty when it is none."""
    try:
        if isinstance(href, str) and len(href) <= HREF_CHARS_MAX:
            parts = urlsplit(href)
            _ = parts.port
            return parts
    except ValueError:
        pass
    return urlsplit("")


def live_flag(*holders: Mapping[str, Any]) -> bool | None:
    """PayPal names no mode: the host of its links tells it, another host tells nothing.

    Raises EventRefused when links of both modes stand in one event.
    """
    hosts = {address(row.get("href")).hostname or "" for each in holders for row in rows(each)}
    told = {LIVE_OF_HOST[host] for host in hosts if host in LIVE_OF_HOST}
    if len(told) > 1:
        raise EventRefused("mode_contradicts_itself", "links")
    return told.pop() if told else None


def capture_above(subject: Mapping[str, Any]) -> str | None:
    """The capture that a refund points up to."""
    for row in rows(subject):
        found = CAPTURE.fullmatch(address(row.get("href")).path)
        if found and row.get("rel") == "up":
            return found[1]
    return None


def batch_named(row: Mapping[str, Any]) -> str | None:
    """The payout batch that one link points to."""
    found = BATCH.fullmatch(address(row.get("href")).path)
    return found[1] if found else None
