"""WH-31: refused requests are counted apart, per account, reason and minute.

Also those that left no receipt; and a body whose proof is away is sent again (WH-14).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client

from payops.core import clock
from payops.psp.base import Fetch
from payops.psp.stripe.adapter import StripeAdapter
from payops.webhooks import noise as noise_module
from payops.webhooks import throttle as throttle_module
from payops.webhooks import views
from payops.webhooks.fetched import EvidenceAway
from payops.webhooks.models import Delivery, RefusalCount
from payops.webhooks.noise import Counters, noise
from tests.accounts import account_of, with_networks, with_settings
from tests.races import race
from tests.webhooks.senders import STRIPE_URL, post, send_stripe, stripe_body, stripe_headers

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = datetime.fromisoformat("2026-03-02T10:00:00+00:00")


def counted() -> dict[tuple[str, str], tuple[int, int]]:
    """(account, reason) → (kept, dropped) over all minutes."""
    noise.flush(now=clock.utc_now())
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in RefusalCount.objects.select_related("account"):
        key = (row.account.address if row.account else "", row.reason)
        kept, dropped = found.get(key, (0, 0))
        found[key] = (kept + row.kept, dropped + row.dropped)
    return found


def test_every_way_of_being_refused_has_its_count() -> None:
    client, raw = Client(), stripe_body()
    client.get(STRIPE_URL)
    client.post("/webhooks/stripe/nobody/", data=raw, content_type="application/json")
    client.post("/webhooks/wp-login.php", data=raw, content_type="application/json")
    post(raw, {}, CONTENT_LENGTH="-1")
    post(raw, {}, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    post(b"x" * (256 * 1024 + 1), {})
    post(raw, {})
    send_stripe(raw, secret="wrong_" * 4)
    send_stripe(raw, at=clock.utc_now() - timedelta(hours=1))
    good = send_stripe(raw)

    assert good.status_code == 200
    assert counted() == {
        ("stripe/demo", "wrong_method"): (0, 1),
        ("", "unknown_address"): (0, 2),
        ("stripe/demo", "length_malformed"): (0, 1),
        ("stripe/demo", "length_missing"): (0, 1),
        ("stripe/demo", "too_large"): (0, 1),
        ("stripe/demo", "header_missing"): (1, 0),
        ("stripe/demo", "signature_mismatch"): (1, 0),
        ("stripe/demo", "timestamp_stale"): (1, 0),
    }


def test_what_the_cap_drops_is_counted_and_survives_the_process(monkeypatch: Any) -> None:
    bucket = throttle_module.Bucket(per_s=0.0, burst=3)
    monkeypatch.setattr(throttle_module, "Bucket", lambda: bucket)

    for _ in range(20):
        send_stripe(stripe_body(), secret="wrong_" * 4)
    told = counted()
    noise.forget()

    assert told == {("stripe/demo", "signature_mismatch"): (3, 17)}
    assert Delivery.objects.filter(signature_ok=False).count() == 3
    assert counted() == told


def test_strangers_of_an_enforced_list_are_counted_as_such() -> None:
    with_networks("stripe", "203.0.113.7/32")
    with_settings("stripe", allowlist_mode="enforce")

    assert send_stripe(stripe_body()).status_code == 403

    assert counted() == {("stripe/demo", "ip_not_allowed"): (1, 0)}
    assert noise_module.KINDS["ip_not_allowed"] == noise_module.STRANGER


def test_counts_are_written_without_another_request(monkeypatch: Any) -> None:
    """The last burst of an attack is on the screen although nobody comes after it."""
    monkeypatch.setattr(noise_module, "FLUSH_AFTER_S", 0.05)
    send_stripe(stripe_body(), secret="wrong_" * 4)

    deadline = time.monotonic() + 10
    while not RefusalCount.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    row = RefusalCount.objects.get()
    assert (row.reason, row.kept, row.account) == ("signature_mismatch", 1, account_of("stripe"))


def test_many_processes_add_up_in_one_row() -> None:
    account_id = account_of("stripe").pk

    def one_process(number: int) -> int:
        own = Counters()
        for _ in range(5):
            own.count(account_id=account_id, reason="x", kept=False, now=MINUTE)
            own.count(account_id=None, reason="unknown_address", kept=False, now=MINUTE)
        try:
            return own.flush(now=MINUTE)
        finally:
            own.forget()

    assert race(8, one_process) == [2] * 8
    rows = RefusalCount.objects.order_by("reason").values_list("reason", "dropped", "minute")
    assert list(rows) == [("unknown_address", 40, MINUTE), ("x", 40, MINUTE)]


def test_a_database_that_is_away_loses_no_count(monkeypatch: Any) -> None:
    own = Counters()
    own.count(account_id=None, reason="unknown_address", kept=False, now=MINUTE)

    def away() -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patched:
        patched.setattr(noise_module.connection, "cursor", away)
        assert own.flush(now=MINUTE) == 0

    assert (own.flush(now=MINUTE), own.flush(now=MINUTE)) == (1, 0)
    assert RefusalCount.objects.get().dropped == 1
    own.forget()


def test_made_up_reasons_cannot_fill_the_memory(monkeypatch: Any) -> None:
    monkeypatch.setattr(noise_module, "KEYS_MAX", 3)
    own = Counters()
    for number in range(50):
        own.count(account_id=None, reason=f"reason-{number}", kept=False, now=MINUTE)

    assert own.flush(now=MINUTE) == 4
    assert RefusalCount.objects.get(reason="unknown_address").dropped == 47
    own.forget()


def test_old_counts_are_forgotten_and_young_ones_stay() -> None:
    for age in (1, 89, 91, 400):
        RefusalCount.objects.create(reason="x", minute=MINUTE - timedelta(days=age), dropped=1)

    assert noise_module.prune(now=MINUTE) == 2
    assert RefusalCount.objects.count() == 2


# ---- evidence ------------------------------------------------------------------------------


def test_evidence_that_cannot_be_had_is_503_and_leaves_nothing_wh_14(monkeypatch: Any) -> None:
    wanted = (Fetch(name="certificate", url="https://certs.example/one.pem"),)
    given: list[Any] = []

    def away(fetches: Any, *, account: Any, deadline_s: float) -> dict[str, bytes]:
        given.append((fetches, account.slug))
        raise EvidenceAway("timed_out")

    monkeypatch.setattr(StripeAdapter, "fetches", lambda self, **_: wanted)
    monkeypatch.setattr(views, "collect", away)
    raw = stripe_body()
    answer = post(raw, stripe_headers(raw))

    assert (answer.status_code, answer["Retry-After"], answer.content) == (503, "5", b"")
    assert given == [(wanted, "demo")]
    assert Delivery.objects.count() == 0
    assert counted() == {("stripe/demo", "evidence_away"): (0, 1)}


def test_fetched_evidence_reaches_the_adapter_by_name(monkeypatch: Any) -> None:
    wanted = (Fetch(name="certificate", url="https://certs.example/one.pem"),)
    seen: list[Any] = []
    real = StripeAdapter.authenticate

    def authenticate(self: StripeAdapter, **given: Any) -> Any:
        seen.append(given["fetched"])
        return real(self, **given)

    monkeypatch.setattr(StripeAdapter, "fetches", lambda self, **_: wanted)
    monkeypatch.setattr(StripeAdapter, "authenticate", authenticate)
    monkeypatch.setattr(views, "collect", lambda *_, **__: {"certificate": b"pem"})

    assert send_stripe(stripe_body()).status_code == 200
    assert seen == [{"certificate": b"pem"}]
