"""GET /metrics: what it says is true, who may read it, and nobody's data is among the labels."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from payops.core import clock
from payops.monitoring import metrics, selectors
from tests import builders, stories
from tests.monitoring.series import put
from tests.monitoring.test_folds import fold

pytestmark = pytest.mark.django_db(transaction=True)


def scraped(**headers: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) → value."""
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_what_waits_is_counted_by_state_lane_and_queue() -> None:
    body = builders.standard_event("payment.captured", {"id": "spm_x", "object": "payment"})
    assert builders.post_standard(body) == 200

    said = scraped()
    assert said[("payops_events", "RECEIVED")] == 1
    assert said[("payops_events", "DEAD")] == 0
    lanes = {key[1] for key, count in said.items() if key[0] == "payops_lane_ready" and count}
    assert len(lanes) == 1
    lane = lanes.pop()
    assert said[("payops_lane_ready", lane, "inbox")] == 1
    assert 0 <= said[("payops_lane_oldest_seconds", lane, "inbox")] < 60

    builders.drain()
    assert scraped()[("payops_events", "DEAD")] == 1
    assert scraped()[("payops_dead_letters", "inbox")] == 1


def test_cases_alerts_and_finished_events_are_told() -> None:
    payout = stories.paid_payout()
    failed = builders.payout_object(payout, "failed", failure_code="account_closed")
    assert builders.post_standard(builders.standard_event("payout.failed", failed)) == 200
    builders.drain()
    fold()

    said = scraped()
    assert said[("payops_cases_open", "payout_failure")] == 1
    assert ("payops_cases_overdue", "payout_failure") not in said
    assert said[("payops_events_finished_5m", "payout", "processed")] >= 1
    assert said[("payops_event_latency_seconds", "payout", "from_receipt", "0.99")] > 0


def test_labels_are_few_and_no_id_amount_or_person_is_among_them() -> None:
    """Bounded cardinality, no personal data."""
    for number in range(3):
        builders.capture(100_000 + number)
    fold()
    put("small_failed", "stripe/demo|S-1001", {clock.utc_now(): 50})
    text = Client().get("/metrics").content.decode()

    ours = [line for line in text.splitlines() if line.startswith("payops_")]
    assert 20 < len(ours) < 700
    assert not re.search(
        r"[0-9a-f]{32}|spm_|ORDER-|S-1001|Jane|Amara|@|127\.0\.0\.1", "".join(ours)
    )


@pytest.mark.parametrize(
    ("token", "headers", "address", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "10.0.0.7", 404),
        ("", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 404),
        ("", {"Forwarded": "for=127.0.0.1"}, "127.0.0.1", 404),
        ("", {"Authorization": "Bearer "}, "10.0.0.7", 404),
        ("s3cret-token", {"Authorization": "Bearer s3cret-token"}, "10.0.0.7", 200),
        ("s3cret-token", {"Authorization": "bearer s3cret-token"}, "10.0.0.7", 200),
        ("s3cret-token", {"Authorization": "Bearer s3cret-tokem"}, "10.0.0.7", 404),
        ("s3cret-token", {"Authorization": "Bearer é"}, "10.0.0.7", 404),
        ("s3cret-token", {"Authorization": "Basic s3cret-token"}, "10.0.0.7", 404),
        ("s3cret-token", {}, "127.0.0.1", 404),
    ],
)
def test_only_loopback_or_the_token_reads(
    settings: Any, token: str, headers: dict[str, str], address: str, status: int
) -> None:
    settings.METRICS_TOKEN = token

    answer = Client().get("/metrics", headers=headers, REMOTE_ADDR=address)

    assert answer.status_code == status
    assert (b"payops_" in answer.content) == (status == 200)


def test_a_database_that_is_away_is_503_without_details(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: Any) -> None:
        raise OperationalError("connection to 10.1.2.3 refused")

    monkeypatch.setattr(selectors, "waiting", away)

    answer = Client().get("/metrics")

    assert (answer.status_code, answer.content) == (503, b"")


def test_a_scrape_reads_only() -> None:
    collector = metrics.FromDatabase()

    assert {family.name for family in collector.collect()} >= set(metrics.COUNTED)


def test_requests_are_timed_by_part_and_status_only() -> None:
    Client().post("/webhooks/stripe/no-such-account/")
    Client().get("/cases/cs_" + "0" * 32 + "/")

    said = scraped()
    assert said[("payops_request_seconds_count", "webhooks", "4xx")] >= 1
    assert said[("payops_request_seconds_count", "console", "3xx")] >= 1
    parts = {key[1] for key in said if key[0] == "payops_request_seconds_count"}
    assert parts <= {"webhooks", "api", "static", "metrics", "healthz", "console"}


def test_several_web_processes_are_told_as_one(tmp_path: Path) -> None:
    """Two processes write, a third one answers for both."""
    write = (
        "import django; django.setup()\n"
        "from django.test import RequestFactory\n"
        "from django.http import HttpResponse\n"
        "from payops.monitoring.request_times import RequestTimes\n"
        "timed = RequestTimes(lambda request: HttpResponse(status=503))\n"
        "for _ in range(5): timed(RequestFactory().post('/webhooks/stripe/demo/'))"
    )
    read = (
        "import django; django.setup()\n"
        "from prometheus_client import generate_latest\n"
        "from payops.monitoring.metrics import _of_processes\n"
        "print(generate_latest(_of_processes()).decode())"
    )
    shared = tmp_path / "metrics"

    def run(code: str) -> str:
        import os

        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(write)
    run(write)

    assert 'payops_request_seconds_count{part="webhooks",status="5xx"} 10.0' in run(read)
