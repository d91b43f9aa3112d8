"""How the drill names what a provider sent, so that it can be held against receipts (I1)."""

import json

from payops.devstack.drill.providerlog import event_names, read_provider_log
from payops.devstack.seed.provider import Provider


def adyen(body: object) -> dict[str, str]:
    return {"id": "adyen_sim_1", "provider": "adyen", "body": json.dumps(body)}


def item(psp_reference: str, code: str) -> dict[str, object]:
    told = {"pspReference": psp_reference, "eventCode": code, "success": "true"}
    return {"NotificationRequestItem": told}


def test_adyen_events_are_named_by_what_is_unique_in_them() -> None:
    transfer = adyen({"data": {"id": "T1", "sequenceNumber": 3}})
    batch = adyen({"notificationItems": [item("P1", "AUTHORISATION"), item("P2", "CAPTURE")]})

    assert event_names(transfer) == ["T1:3"]
    assert event_names(batch) == ["P1:AUTHORISATION:true", "P2:CAPTURE:true"]
    assert event_names({"id": "evt_1", "provider": "stripe", "body": "{}"}) == ["evt_1"]


def test_log_is_read_to_its_last_page() -> None:
    """A log longer than one page of the provider's is counted whole."""
    bodies = {"evt_1": '{"n":1}', "evt_2": '{"n":2}'}
    delivered = [
        {"id": n, "event_id": f"evt_{n}", "state": "delivered", "attempts": [{"status": 200}]}
        for n in (1, 2)
    ]

    class Paged(Provider):
        def __init__(self) -> None:
            self.asked: list[str] = []

        def ask(self, path: str) -> dict[str, object]:
            self.asked.append(path)
            what, _, query = path[1:].partition("?")
            first = "after=0&" in query
            rows: list[object] = {
                "deliveries": delivered,
                "events": [
                    {"id": id, "provider": "stripe", "body": body} for id, body in bodies.items()
                ],
                "movements": [],
            }[what]
            return {
                what: rows[:1] if first else rows[1:],
                "next_after": 1 if first and rows else None,
            }

    provider = Paged()
    log = read_provider_log(provider)

    assert log.answered == {"evt_1": 1, "evt_2": 1}
    assert set(log.sha256) == {"evt_1", "evt_2"}
    assert [path.partition("&")[0] for path in provider.asked] == [
        "/deliveries?after=0",
        "/deliveries?after=1",
        "/events?after=0",
        "/events?after=1",
        "/movements?after=0",
    ]
