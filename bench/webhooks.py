"""Webhooks: how fast a delivery is accepted, and how fast it becomes a journal entry.

`python bench/webhooks.py [--quick] [--json]`. Accept is measured through HTTP against a bare
Django view and dj-stripe on the same servers, in turns. Every metric checks itself: rows stored
against answers given, entries against events.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from bench import webhooks_journal
from bench.peers import tables
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

PATH = "/webhooks/stripe/demo/"
PAYOUT_FAILED, BALANCE_AVAILABLE = "payout.failed", "balance.available"
PEER_DATABASE, DJSTRIPE_DATABASE = "bench_peer", "bench_djstripe"
REQUESTS_PER_S_MAX = 6000
COUNT_OURS = (
    "SELECT (SELECT count(*) FROM webhooks_providerevent),"
    " (SELECT count(*) FROM webhooks_delivery), (SELECT count(*) FROM webhooks_payload),"
    " (SELECT count(*) FROM core_message WHERE topic = 'delivery.repeated')"
)


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float
    latency_seconds: float
    journal_events: int
    journal_seconds: float


QUICK = Plan(rounds=2, seconds=3, latency_seconds=5, journal_events=3000, journal_seconds=5)
FULL = Plan(rounds=5, seconds=6, latency_seconds=15, journal_events=20000, journal_seconds=20)


def main() -> int:
    given = b.options(__doc__ or "")
    plan = QUICK if given.quick else FULL
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        run_step(
            PRODUCT.migrate, name="migrate", environment=servers.environment, meanwhile=_breathe
        )
        run_step(
            PRODUCT.seed_people, name="seed", environment=servers.environment, meanwhile=_breathe
        )
        for name in (PEER_DATABASE, DJSTRIPE_DATABASE):
            servers.postgres.create_database(name)
        with servers.owner() as link:
            on = b.machine(link)
        metrics = accept(servers, plan)
        metrics |= webhooks_journal.journal(servers, plan.journal_events, plan.journal_seconds)
    return b.report(metrics, on=on, as_json=given.json)


def accept(servers: b.Servers, plan: Plan) -> dict[str, b.Metric]:
    """Ours, the bare view, the empty view and dj-stripe in turns; medians over the rounds."""
    secret = servers.secrets.webhook_stripe_demo
    ours_env = servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"}
    peer_env = _peer_environment(servers, PEER_DATABASE)
    ours: list[b.Load] = []
    bare: list[b.Load] = []
    empty: list[b.Load] = []
    theirs: list[b.Load] = []
    correct = {"ours": True, "bare": True, "theirs": True}
    djstripe_path = _prepare_djstripe(servers)
    with servers.owner() as link, _peer_link(servers) as peer_link:
        for number in range(plan.rounds):
            b.say(f"accept, round {number + 1} of {plan.rounds}")
            with b.web("payops.wsgi:application", ours_env, ready="/webhooks/") as port:
                seen, right = _counted(servers, link, port, secret, plan.seconds)
                ours.append(seen)
                correct["ours"] &= right
            with b.web("bench.peers.bare:application", peer_env, ready="/nothing/") as port:
                _send(servers, port, "/bare/", secret, seconds=1)
                before = _one(peer_link, "SELECT count(*) FROM bench_event")
                bare.append(_send(servers, port, "/bare/", secret, seconds=plan.seconds))
                stored = _one(peer_link, "SELECT count(*) FROM bench_event") - before
                correct["bare"] &= stored == bare[-1].accepted == bare[-1].answers
                empty.append(_send(servers, port, "/nothing/", secret, seconds=2))
            if djstripe_path:
                seen, right = _djstripe(servers, djstripe_path, secret, plan.seconds)
                theirs.append(seen)
                correct["theirs"] &= right
        rate = b.median([seen.rate for seen in ours])
        with b.web("payops.wsgi:application", ours_env, ready="/webhooks/") as port:
            b.say("accept at half load, and repetitions")
            _send(servers, port, PATH, secret, seconds=1)
            half = _send(servers, port, PATH, secret, seconds=plan.latency_seconds, rate=rate / 2)
            repeated, repeats_right = _repeated(servers, link, port, secret, plan.seconds)
    bare_rate = b.median([seen.rate for seen in bare])
    empty_rate = b.median([seen.rate for seen in empty])
    their_rate = b.median([seen.rate for seen in theirs]) if theirs else None
    right = correct["ours"] and correct["bare"]
    return {
        "accept_per_s": b.Metric(
            rate,
            "req/s",
            bare_rate,
            empty_rate,
            right,
            "peer: bare one-row view; limit: empty view",
        ),
        "accept_per_s_djstripe": b.Metric(
            rate,
            "req/s",
            their_rate,
            empty_rate,
            correct["ours"] and correct["theirs"],
            "peer: dj-stripe" if theirs else "peer: dj-stripe is not installed",
        ),
        "accept_p99_half_load_ms": b.Metric(
            half.p99_ms,
            "ms",
            None,
            25.0,
            half.accepted == half.answers > 0,
            f"at {rate / 2:,.0f} req/s, p50 {half.p50_ms:.1f} ms; limit: the promise",
        ),
        "repeat_per_s": b.Metric(
            repeated.rate,
            "req/s",
            rate,
            empty_rate,
            repeats_right,
            "peer: our own first deliveries",
        ),
    }


def requests(
    path: str, secret: str, *, count: int, tag: str, kind: str = PAYOUT_FAILED
) -> list[bytes]:
    """Distinct signed deliveries of about 1.2 kB, as bytes on the wire."""
    stamp, prepared = str(int(time.time())), []
    for number in range(count):
        raw = body(f"evt_{tag}{number:07d}", kind=kind)
        mac = hmac.new(secret.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            f"Stripe-Signature: t={stamp},v1={mac}\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        prepared.append(head.encode() + raw)
    return prepared


def body(event_id: str, *, kind: str) -> bytes:
    event = {
        "id": event_id,
        "object": "event",
        "api_version": "2024-06-20",
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "type": kind,
        "request": {"id": "req_bench", "idempotency_key": "key-bench"},
        "data": {"object": _payout(event_id) if kind == PAYOUT_FAILED else _balance()},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _payout(event_id: str) -> dict[str, object]:
    return {
        "id": f"po_{event_id}",
        "object": "payout",
        "amount": 123456,
        "currency": "eur",
        "status": "failed",
        "failure_code": "account_closed",
        "metadata": {"note": "x" * 700},
    }


def _balance() -> dict[str, object]:
    """An object that dj-stripe takes from the event instead of asking the provider for it."""
    part = [{"amount": 123456, "currency": "eur", "source_types": {"card": 123456}}]
    return {
        "object": "balance",
        "livemode": False,
        "available": part,
        "pending": part,
        "metadata": {"note": "x" * 600},
    }


def _counted(
    servers: b.Servers, link: b.psycopg.Connection, port: int, secret: str, seconds: float
) -> tuple[b.Load, bool]:
    """First deliveries: every 2xx is one event, one receipt, one payload, no message."""
    _send(servers, port, PATH, secret, seconds=1)
    before = _row(link, COUNT_OURS)
    seen = _send(servers, port, PATH, secret, seconds=seconds)
    more = [now - then for now, then in zip(_row(link, COUNT_OURS), before, strict=True)]
    return seen, more == [seen.accepted] * 3 + [0] and seen.accepted == seen.answers


def _repeated(
    servers: b.Servers, link: b.psycopg.Connection, port: int, secret: str, seconds: float
) -> tuple[b.Load, bool]:
    """500 known events sent over and over: receipts and messages grow, events do not."""
    known = requests(PATH, secret, count=500, tag=_tag())
    b.load(port, known, directory=servers.directory, seconds=30)
    before = _row(link, COUNT_OURS)
    many = known * (int(REQUESTS_PER_S_MAX * seconds) // len(known))
    seen = b.load(port, many, directory=servers.directory, seconds=seconds)
    more = [now - then for now, then in zip(_row(link, COUNT_OURS), before, strict=True)]
    return seen, more == [0] + [seen.accepted] * 3 and seen.accepted == seen.answers


def _send(
    servers: b.Servers,
    port: int,
    path: str,
    secret: str,
    *,
    seconds: float,
    rate: float | None = None,
    kind: str = PAYOUT_FAILED,
) -> b.Load:
    count = int((rate or REQUESTS_PER_S_MAX) * seconds) + 1
    prepared = requests(path, secret, count=count, tag=_tag(), kind=kind)
    return b.load(port, prepared, directory=servers.directory, seconds=seconds, rate=rate)


def _djstripe(servers: b.Servers, path: str, secret: str, seconds: float) -> tuple[b.Load, bool]:
    environment = _peer_environment(servers, DJSTRIPE_DATABASE)
    python = os.environ.get("BENCH_PEER_PYTHON", sys.executable)
    count = "SELECT count(*) FROM djstripe_webhookeventtrigger"
    with (
        b.web(
            "bench.peers.djstripe:application", environment, python=python, ready="/stripe/"
        ) as port,
        b.psycopg.connect(environment["BENCH_PEER_DATABASE"], autocommit=True) as link,
    ):
        _send(servers, port, path, secret, seconds=1, kind=BALANCE_AVAILABLE)
        before = _one(link, count)
        seen = _send(servers, port, path, secret, seconds=seconds, kind=BALANCE_AVAILABLE)
        stored = _one(link, count) - before
        return seen, stored == seen.accepted == seen.answers


def _prepare_djstripe(servers: b.Servers) -> str:
    """The endpoint's path, or "" where dj-stripe is not installed."""
    environment = _peer_environment(servers, DJSTRIPE_DATABASE)
    python = os.environ.get("BENCH_PEER_PYTHON", sys.executable)
    found = (
        Path(python).exists()
        and not subprocess.run(
            [python, "-c", "import djstripe"], capture_output=True, check=False
        ).returncode
    )
    if not found:
        b.say("dj-stripe is not installed here (BENCH_PEER_PYTHON may name a Python that has it)")
        return ""
    made = subprocess.run(
        [python, "-m", "bench.peers.djstripe"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=b.CHECKOUT,
    )
    if made.returncode:
        b.say("dj-stripe does not start:\n" + "\n".join(made.stderr.splitlines()[-5:]))
        return ""
    return made.stdout.strip().splitlines()[-1]


def _peer_environment(servers: b.Servers, database: str) -> dict[str, str]:
    return servers.environment | {
        "BENCH_PEER_DATABASE": servers.postgres.urls(database).owner,
        "BENCH_SECRET": servers.secrets.webhook_stripe_demo,
    }


def _peer_link(servers: b.Servers) -> b.psycopg.Connection:
    link = b.psycopg.connect(servers.postgres.urls(PEER_DATABASE).owner, autocommit=True)
    link.execute(tables.BARE)
    return link


def _row(link: b.psycopg.Connection, statement: str) -> tuple[int, ...]:
    return link.execute(statement).fetchone() or ()


def _one(link: b.psycopg.Connection, statement: str) -> int:
    return int(_row(link, statement)[0])


def _tag() -> str:
    return hashlib.sha256(os.urandom(16)).hexdigest()[:10]


def _breathe() -> None:
    time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
