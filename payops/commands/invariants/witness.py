"""The providers' own log of money movements, where the provider offers one (the simulator does)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

from payops.commands.invariants.base import Movement
from payops.core.http import HttpClient, HttpError

PATH = "/control/movements"
PAGE = 10_000
PAGES_MAX = 100
DEADLINE_S = 10.0


def movements() -> tuple[tuple[Movement, ...] | None, str]:
    """Every movement out of each configured provider; (None, why) when one cannot be asked."""
    found: list[Movement] = []
    hosts = {}
    for provider, told in settings.PSP.items():
        parts = urlsplit(told["base_url"])
        if f"{parts.hostname}:{parts.port}" in settings.HTTP_ALLOW:
            hosts[provider] = urlunsplit((parts.scheme, parts.netloc, PATH, "", ""))
    if not hosts:
        return None, "no provider offers its log of movements; intents compared with calls alone"
    client = HttpClient(allow=settings.HTTP_ALLOW, deadline_s=DEADLINE_S, max_bytes=64 * 1024**2)
    for provider, url in hosts.items():
        try:
            found += _of_provider(client, provider, url)
        except (HttpError, ValueError, KeyError) as error:
            return None, (
                f"{provider}'s log of movements did not answer ({error});"
                " intents compared with calls alone"
            )
    return tuple(found), f"compared with the logs of {', '.join(hosts)}"


def _of_provider(client: HttpClient, provider: str, url: str) -> list[Movement]:
    found: list[Movement] = []
    after: int | None = 0
    for _ in range(PAGES_MAX):
        asked = f"{url}?provider={provider}&direction=out&after={after}&limit={PAGE}"
        answer = client.request("GET", asked)
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        page = json.loads(answer.body)
        found += [_movement(row) for row in page["movements"]]
        after = page["next_after"]
        if after is None:
            return found
    raise ValueError(f"more than {PAGES_MAX * PAGE} movements")


def _movement(row: dict[str, Any]) -> Movement:
    return Movement(
        provider=row["provider"],
        kind=row["kind"],
        object_id=row["object_id"],
        reference=row["reference"] or "",
        amount_minor=row["amount"],
        currency=row["currency"],
        idempotency_key=row["idempotency_key"] or "",
        at=datetime.fromtimestamp(row["at"], tz=UTC),
    )
