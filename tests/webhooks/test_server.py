"""The same edge behind the real server: framing, size, several processes (WH-1, WH-8, WH-24)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from payops.devstack.ports import free_port
from payops.psp.base import LIMITS
from payops.webhooks import selectors
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.races import race
from tests.webhooks.senders import STRIPE_URL, stripe_body, stripe_headers

pytestmark = pytest.mark.django_db(transaction=True)
CHECKOUT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 30
ANSWERS_WITHIN_S = 10


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    chosen = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "payops.wsgi:application"]
    command += ["--host", "127.0.0.1", "--port", str(chosen), "--no-ws"]
    command += ["--workers", "2", "--blocking-threads", "4"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.webhooks.server_settings"}
    server = subprocess.Popen(command, cwd=CHECKOUT, env=environment)
    try:
        _wait_for(chosen, server)
        yield chosen
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended while starting"
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/webhooks/", trust_env=False)
            return
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


def raw_request(port: int, *parts: bytes, half_close: bool = False) -> bytes:
    """Status line of the answer to hand-written bytes; empty when the server just hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWERS_WITHIN_S) as link:
        for part in parts:
            with contextlib.suppress(OSError):
                link.sendall(part)
        if half_close:
            link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            return link.recv(4096).partition(b"\r\n")[0]
    return b""


def head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {STRIPE_URL} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def signature(raw: bytes) -> str:
    return f"Stripe-Signature: {stripe_headers(raw)['stripe-signature']}"


def test_twelve_parallel_deliveries_over_http_are_twelve_receipts_and_one_event_wh_8(port):
    raw = stripe_body()
    headers = {**stripe_headers(raw), "content-type": "application/json"}
    url = f"http://127.0.0.1:{port}{STRIPE_URL}"

    def deliver(i: int) -> int:
        return httpx.post(url, content=raw, headers=headers, trust_env=False).status_code

    assert race(12, deliver) == [200] * 12
    assert ProviderEvent.objects.count() == 1
    assert Delivery.objects.count() == 12
    assert Delivery.objects.filter(duplicate=True).count() == 11
    assert selectors.raw_body(event=ProviderEvent.objects.get()) == raw


def test_chunked_body_is_read_because_the_server_ends_the_stream(port):
    raw = stripe_body()
    half = len(raw) // 2
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (raw[:half], raw[half:], b"")]

    status = raw_request(port, head(signature(raw), "Transfer-Encoding: chunked"), *chunks)

    assert status == b"HTTP/1.1 200 OK"
    assert selectors.raw_body(event=ProviderEvent.objects.get()) == raw


def test_declared_length_above_the_limit_is_413_although_no_body_was_sent(port):
    status = raw_request(port, head(f"Content-Length: {LIMITS.body_bytes_max + 1}"))

    assert status == b"HTTP/1.1 413 Payload Too Large"
    assert Delivery.objects.count() == 0


def test_chunked_body_above_the_limit_is_413(port):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    status = raw_request(port, head("Transfer-Encoding: chunked"), *([chunk] * 5), b"0\r\n\r\n")

    assert status == b"HTTP/1.1 413 Payload Too Large"
    assert Delivery.objects.count() == 0


def test_body_that_ends_before_its_length_is_never_acknowledged(port):
    raw = stripe_body()

    status = raw_request(
        port, head(signature(raw), f"Content-Length: {len(raw) + 5}"), raw, half_close=True
    )

    assert status in (b"", b"HTTP/1.1 400 Bad Request")
    assert ProviderEvent.objects.count() == Payload.objects.count() == 0


def test_length_and_chunks_together_never_smuggle_a_second_body(port):
    raw = stripe_body()
    framing = head(signature(raw), "Content-Length: 3", "Transfer-Encoding: chunked")

    status = raw_request(port, framing, b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw))

    assert status in (b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request")
    kept = [selectors.raw_body(event=event) for event in ProviderEvent.objects.all()]
    assert kept == ([raw] if status.endswith(b"OK") else [])


@pytest.mark.parametrize("length", ["abc", "-1", "1,1", "+3"])
def test_malformed_length_is_400(port, length):
    assert raw_request(port, head(f"Content-Length: {length}")) == b"HTTP/1.1 400 Bad Request"


def test_wrong_signature_unknown_address_and_get_over_http(port):
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(trust_env=False) as client:
        wrong = client.post(
            base + STRIPE_URL, content=stripe_body(), headers={"stripe-signature": "t=1"}
        )
        unknown = client.post(f"{base}/webhooks/stripe/nobody/", content=b"{}")
        read = client.get(base + STRIPE_URL)

    assert (wrong.status_code, wrong.content) == (401, b"")
    assert unknown.status_code == 404
    assert read.status_code == 405
