"""A broker that takes connections and never answers costs no acknowledgement (D4, D15, WH-1).

The real web process, with wake-ups on, under a steady rate of signed events: the 99th percentile
stays under two seconds, every event is stored, and the sweep finds all the work. The two seconds
are a promise of correctness (a provider gives up on us), not a measure of speed. With
`PAYOPS_LONG=1` the rate is held for a minute.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from payops.devstack.ports import free_port
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests import builders
from tests.webhooks.four_providers import capture
from tests.webhooks.senders import STRIPE_URL, stripe_headers
from tests.webhooks.test_server import CHECKOUT, _wait_for

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS_PER_S = 50
SECONDS = 60 if os.environ.get("PAYOPS_LONG") == "1" else 12
ACKNOWLEDGED_WITHIN_S = 2.0
SENDERS = 16
WARMING = 64


class HungBroker:
    """Accepts every connection, reads nothing, says nothing, and never closes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.held.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.held:
            link.close()


@pytest.fixture
def broker() -> Iterator[HungBroker]:
    hung = HungBroker()
    yield hung
    hung.close()


@contextmanager
def web_process(broker: HungBroker) -> Iterator[int]:
    """As the stack starts it: the product's own settings, two workers, wake-ups on."""
    chosen = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "payops.wsgi:application"]
    command += ["--host", "127.0.0.1", "--port", str(chosen), "--no-ws"]
    command += ["--workers", "2", "--blocking-threads", "4"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.webhooks.woken_settings",
        "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
    }
    server = subprocess.Popen(command, cwd=CHECKOUT, env=environment)
    try:
        _wait_for(chosen, server)
        yield chosen
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_hung_broker_delays_no_acknowledgement_and_loses_nothing(broker: HungBroker) -> None:
    count = EVENTS_PER_S * SECONDS
    with web_process(broker) as port, httpx.Client(trust_env=False, timeout=30) as client:
        url = f"http://127.0.0.1:{port}{STRIPE_URL}"

        def deliver(number: int) -> tuple[int, float]:
            """Sent at its own moment; what the sender itself is late counts as well."""
            due = started + number / EVENTS_PER_S
            raw = _body(number)
            headers = {**stripe_headers(raw), "content-type": "application/json"}
            time.sleep(max(0.0, due - time.monotonic()))
            status = client.post(url, content=raw, headers=headers).status_code
            return status, time.monotonic() - due

        with ThreadPoolExecutor(SENDERS) as pool:
            # A process that has just started is slow for reasons of its own.
            started = time.monotonic()
            warm = list(pool.map(deliver, range(-WARMING, 0)))
            started = time.monotonic() + 0.2
            answers = list(pool.map(deliver, range(count)))
        lasted = time.monotonic() - started

    took = sorted(seconds for _, seconds in answers)
    p50, p99 = took[count // 2], took[count * 99 // 100]
    print(f"\nhung broker: {count} events in {lasted:.1f} s, acknowledged p50 {p50 * 1000:.0f} ms,")
    print(f"p99 {p99 * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms; {len(broker.held)} attempts")
    assert [status for status, _ in warm + answers] == [200] * (WARMING + count)
    assert p99 < ACKNOWLEDGED_WITHIN_S
    assert len(broker.held) >= 2, "nobody tried to wake a worker: the broker was not asked at all"
    stored = WARMING + count
    assert Delivery.objects.filter(signature_ok=True, duplicate=False).count() == stored
    assert ProviderEvent.objects.filter(state="RECEIVED").count() == stored
    assert Payload.objects.count() == stored

    builders.drain()

    assert ProviderEvent.objects.filter(state="PROCESSED").count() == stored


def _body(number: int) -> bytes:
    return json.dumps(capture("stripe", f"B{WARMING + number:06d}")).encode()
