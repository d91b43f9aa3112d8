"""The drill's witness: what the provider says it sent, who answered, and which money it moved."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from payops.devstack.seed.provider import Provider

PAGE = 10_000


@dataclass(frozen=True, slots=True)
class ProviderLog:
    """What the provider says it sent, and which money it moved."""

    answered: Counter[str]  # event id -> attempts answered 2xx
    given_up: list[str]
    sha256: dict[str, str]  # event id -> hash of its bytes
    moved: Counter[str]  # payout reference -> movements out
    paid_in: set[str]  # references of captured payments


def read_provider_log(provider: Provider) -> ProviderLog:
    told = provider.ask(f"/deliveries?limit={PAGE}")
    if told["total"] > len(told["deliveries"]):
        raise ValueError(f"the provider lists {PAGE} of its {told['total']} deliveries only")
    answered: Counter[str] = Counter()
    for delivery in told["deliveries"]:
        statuses = [attempt["status"] or 0 for attempt in delivery["attempts"]]
        answered[delivery["event_id"]] += sum(200 <= status < 300 for status in statuses)
    movements = _pages(provider, "movements")
    return ProviderLog(
        answered=+answered,
        given_up=[
            f"the provider gave {delivery['event_id']} up"
            for delivery in told["deliveries"]
            if delivery["state"] == "given_up"
        ],
        sha256={
            row["id"]: hashlib.sha256(row["body"].encode()).hexdigest()
            for row in _pages(provider, "events")
        },
        moved=Counter(row["reference"] for row in movements if row["kind"] == "payout"),
        paid_in={row["reference"] for row in movements if row["kind"] == "payment"},
    )


def _pages(provider: Provider, what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = provider.ask(f"/{what}?after={after}&limit={PAGE}")
        rows += page[what]
        after = page["next_after"]
    return rows
