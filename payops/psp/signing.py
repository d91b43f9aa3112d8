"""What the signature schemes share: strict timestamps, a two-sided tolerance, constant time.

Never trusts a header further than its limits. Serves WH-2 and SE-1.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from payops.psp.base import LIMITS, Authentication

_UNIX_SECONDS = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)


def refused(reason: str, secret_id: str | None = None) -> Authentication:
    return Authentication(ok=False, reason=reason, secret_id=secret_id)


def header(headers: Mapping[str, str], name: str) -> tuple[str, str]:
    """(value, reason): an absent, over-long or non-ASCII header comes back as a reason."""
    value = headers.get(name, "")
    if not value:
        return "", "header_missing"
    if len(value) > LIMITS.header_chars_max or not value.isascii():
        return "", "header_malformed"
    return value, ""


def unix_seconds(text: str) -> int | None:
    """Plain ASCII digits only: no sign, blank, underscore, fraction or foreign digit."""
    return int(text) if _UNIX_SECONDS.fullmatch(text) else None


def tolerance_reason(*, signed_at: int, now: datetime) -> str:
    """Empty when the timestamp is near enough on either side."""
    age_s = int(now.timestamp()) - signed_at
    if age_s > LIMITS.tolerance_s:
        return "timestamp_stale"
    return "timestamp_future" if age_s < -LIMITS.tolerance_s else ""


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()


def any_equal(expected: bytes, candidates: list[bytes]) -> bool:
    """Compares with every candidate in constant time, without stopping at the first match."""
    matched = False
    for candidate in candidates:
        matched |= hmac.compare_digest(expected, candidate)
    return matched


def utc_from_unix(value: object) -> datetime | None:
    """An aware UTC time from whole seconds since 1970, None for anything else."""
    if type(value) is not int or not 0 <= value < 10**11:
        return None
    return datetime.fromtimestamp(value, tz=UTC)
