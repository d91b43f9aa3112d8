"""A provider's early warning of fraud is found by the charge it is about (F1, AI-3)."""

from __future__ import annotations

import json

from payops.psp.base import AccountFacts
from payops.psp.registry import adapter

ACCOUNT = AccountFacts(provider="stripe", slug="demo", live=False)


def test_a_stripe_warning_names_its_charge_and_stays_an_event_of_its_own() -> None:
    warning = {"id": "issfr_1", "object": "radar.early_fraud_warning", "charge": "ch_7"}
    event = {
        "id": "evt_9",
        "object": "event",
        "type": "radar.early_fraud_warning.created",
        "livemode": False,
        "created": 1_700_000_000,
        "data": {"object": warning},
    }

    [item] = adapter("stripe").itemize(raw=json.dumps(event).encode(), account=ACCOUNT).items

    assert (item.object_id, item.dedupe_key) == ("ch_7", "evt_9:issfr_1")
    assert adapter("stripe").parse(json.dumps(event).encode()).kind == "ignored"
