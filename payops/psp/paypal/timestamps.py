"""RFC 3339 times as PayPal writes them, read strictly: ASCII digits and a full offset."""

import re
from datetime import UTC, datetime

RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


def utc_from_rfc3339(text: object) -> datetime | None:
    """An aware UTC time, None for anything that is not one; digits beyond microseconds are cut."""
    found = RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    seconds, fraction, offset = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{seconds}.{micros}{offset.replace('Z', '+00:00')}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
