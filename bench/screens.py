"""Screens: how long the inbox and the dead letters take at ten thousand rows and at two million.

`python bench/screens.py [--quick] [--json]`. Server time of whole pages through Django's test
client, beside the changelist of stock Django admin on the same rows. Every page is checked against
plain SQL: the same ids in the same order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from payops.devstack.datadir import CHECKOUT
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

AIM_MS = 50.0
# A share of the events is dead; a page must not care how large it is.
LOAD = """
INSERT INTO webhooks_providerevent (id, created_at, book_id, account_id, provider_event_id,
  dedupe_key, fingerprint, type, object_id, payload_id, item_index, state, outcome, reprocessable,
  subject_id, waits_for, lane, due_at, attempts, interruptions, last_error, failure_kind, cause,
  failures, first_failed_at, last_failed_at, operator_note, request_id, request_idempotency_key,
  currency, trace_id)
SELECT (lpad(to_hex((extract(epoch FROM s.at) * 1000)::bigint), 12, '0') || '7000'
    || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
  s.at, a.book_id, a.id, 'evt_' || n, 'evt_' || n || ':x', '', s.type, 'po_' || n %% 1000, p.id, 0,
  s.state, '', false, '', '', (ARRAY['high', 'standard', 'bulk'])[1 + (n %% 20 > 0)::int
    + (n %% 20 > 10)::int], s.at, CASE WHEN s.state = 'DEAD' THEN 10 ELSE 1 END, 0,
  CASE WHEN s.state = 'DEAD' THEN 'StructuralMismatch: cause ' || n %% 12 ELSE '' END,
  CASE WHEN s.state <> 'DEAD' THEN '' WHEN n %% 3 = 0 THEN 'transient' ELSE 'structural' END,
  CASE WHEN s.state = 'DEAD' THEN 'cause ' || chr(97 + (n %% 12)::int) ELSE '' END,
  '[]', CASE WHEN s.state = 'DEAD' THEN s.at END,
  CASE WHEN s.state = 'DEAD' THEN date_trunc('minute', s.at) END, '', '', '', '', ''
FROM (SELECT n, now() - (%(last)s - n) * interval '1 second' AS at,
    CASE WHEN n %% 2 = 0 THEN 'DEAD' WHEN n %% 1000 = 1 THEN 'PARKED' ELSE 'PROCESSED' END AS state,
    CASE WHEN n < 100 THEN 'rare.type' ELSE 'payout.' || (ARRAY['paid', 'failed', 'created',
      'returned'])[1 + n %% 4] END AS type
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) s,
  core_provideraccount a, webhooks_payload p
WHERE a.slug = 'demo' AND a.provider = CASE WHEN s.n %% 3 = 0 THEN 'stripe' ELSE 'standard' END
"""


@dataclass(frozen=True, slots=True)
class Plan:
    sizes: tuple[int, ...]
    rounds: int


QUICK = Plan(sizes=(10_000, 200_000), rounds=7)
FULL = Plan(sizes=(10_000, 100_000, 2_000_000), rounds=15)


def main() -> int:
    given = b.options(__doc__ or "")
    plan = QUICK if given.quick else FULL
    found: dict[int, dict[str, dict[str, object]]] = {}
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        steps = {"environment": servers.environment, "meanwhile": _breathe}
        run_step(PRODUCT.migrate, name="migrate", **steps)
        run_step(PRODUCT.seed_people, name="seed", **steps)
        with servers.owner() as link:
            on = b.machine(link)
            _payload(link)
            first = 1
            for size in plan.sizes:
                started = time.monotonic()
                _load(link, first, size)
                first = size + 1
                b.say(f"{size:,} events after {time.monotonic() - started:.0f} s; measuring")
                found[size] = _measured(servers.environment, plan.rounds)
    return b.report(_metrics(found), on=on, as_json=given.json)


def _breathe() -> None:
    time.sleep(0.2)


def _payload(link: object) -> None:
    link.execute(  # type: ignore[attr-defined]
        "INSERT INTO core_datakey (id, created_at, book_id, scope, master_version, wrapped)"
        " SELECT gen_random_uuid(), now(), id, 'bench', 1, ''::bytea FROM core_book"
        " WHERE NOT is_system LIMIT 1"
    )
    link.execute(  # type: ignore[attr-defined]
        "INSERT INTO webhooks_payload (id, created_at, book_id, sha256, size_bytes, data_key_id,"
        " ciphertext) SELECT gen_random_uuid(), now(), book_id, '', 0, id, ''::bytea"
        " FROM core_datakey WHERE scope = 'bench'"
    )


def _load(link: object, first: int, last: int) -> None:
    """Rows straight into the table, states included; triggers are for what the product writes."""
    run = link.execute  # type: ignore[attr-defined]
    run("ALTER TABLE webhooks_providerevent DISABLE TRIGGER USER")
    for start in range(first, last + 1, 250_000):
        run(LOAD, {"first": start, "last": min(start + 249_999, last)})
    run("ALTER TABLE webhooks_providerevent ENABLE TRIGGER USER")
    run("VACUUM ANALYZE webhooks_providerevent")


def _measured(environment: dict[str, str], rounds: int) -> dict[str, dict[str, object]]:
    command = [sys.executable, str(Path(__file__).parent / "screens_pages.py"), str(rounds)]
    env = environment | {"DJANGO_SETTINGS_MODULE": "payops.settings", "PYTHONPATH": str(CHECKOUT)}
    told = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(told.stdout)


def _metrics(found: dict[int, dict[str, dict[str, object]]]) -> dict[str, b.Metric]:
    metrics = {}
    sizes = sorted(found)
    for size in sizes:
        for name, page in found[size].items():
            if name.startswith("admin"):
                continue
            admin = found[size]["admin_dead" if name.startswith("dead") else "admin_inbox"]
            metrics[f"{name}_{size}_ms"] = b.Metric(
                ours=float(str(page["ms"])),
                unit="ms",
                peer=float(str(admin["ms"])),
                limit=AIM_MS,
                correct=bool(page["correct"]),
                words=f"web process {page['cpu_ms']} ms of it",
            )
    for name in found[sizes[0]]:
        if not name.startswith("admin"):
            few, many = found[sizes[0]][name], found[sizes[-1]][name]
            metrics[f"{name}_flat"] = b.Metric(
                ours=round(float(str(many["ms"])) / float(str(few["ms"])), 2),
                unit="x",
                correct=bool(few["correct"]) and bool(many["correct"]),
                words=f"time at {sizes[-1]:,} over time at {sizes[0]:,}",
            )
    return metrics


if __name__ == "__main__":
    sys.exit(main())
