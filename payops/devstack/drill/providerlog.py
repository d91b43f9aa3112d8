"""The drill's witness: what the provider says it sent, who answered, and which money it moved."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from payops.devstack.seed.provider import Provider

PAGE = 5_000


@dataclass(frozen=True, slots=True)
class ProviderLog:
    """What the provider says it sent, and which money it moved."""

    answered: Counter[str]  # event id -> attempts answered 2xx
    given_up: list[str]
    sha256: dict[str, str]  # event id -> hash of its bytes
    moved: Counter[str]  # payout reference -> movements out
    paid_in: set[str]  # references of captured payments


def read_provider_log(provider: Provider) -> ProviderLog:
    deliveries = pages(provider, "deliveries")  # first: each has its event among those read next
    events = {row["id"]: row for row in pages(provider, "events")}
    named = {id: event_names(row) for id, row in events.items()}
    answered: Counter[str] = Counter()
    given_up = []
    for delivery in deliveries:
        statuses = [attempt["status"] or 0 for attempt in delivery["attempts"]]
        count = sum(200 <= status < 300 for status in statuses)
        for name in named[delivery["event_id"]]:
            answered[name] += count
        if delivery["state"] == "given_up":
            given_up.append(f"the provider gave {delivery['event_id']} up")
    movements = pages(provider, "movements")
    return ProviderLog(
        answered=+answered,
        given_up=given_up,
        sha256={
            name: hashlib.sha256(row["body"].encode()).hexdigest()
            for id, row in events.items()
            for name in named[id]
        },
        moved=Counter(row["reference"] for row in movements if row["kind"] == "payout"),
        paid_in={row["reference"] for row in movements if row["kind"] == "payment"},
    )


def event_names(event: dict[str, Any]) -> list[str]:
    """The ids a body's events are known by. Adyen's have none: what is unique in them stands in.

    A transfer is told under its running number; a notification tells of one item or of several.
    """
    if event["provider"] != "adyen":
        return [event["id"]]
    told = json.loads(event["body"])
    if "data" in told:
        return [f"{told['data']['id']}:{told['data']['sequenceNumber']}"]
    items = [wrapped["NotificationRequestItem"] for wrapped in told["notificationItems"]]
    return [":".join((i["pspReference"], i["eventCode"], i["success"])) for i in items]


def pages(provider: Provider, what: str, /, **wanted: str) -> list[dict[str, Any]]:
    """Every row of one of the provider's lists, page by page."""
    filters = "".join(f"&{name}={value}" for name, value in wanted.items())
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = provider.ask(f"/{what}?after={after}&limit={PAGE}{filters}")
        rows += page[what]
        after = page["next_after"]
    return rows
