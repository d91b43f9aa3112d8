"""From a stored receipt to its journal entry, with the product's own worker code.

Captured payments are put in through the edge's own statement, then drained by the real inbox
queue; entries are counted against events. Runs in a process of its own, because it needs the
product configured. The peer is the same code one event at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench import benchlib as b

LIMIT_MS = 100.0
STEADY_PER_S = 500


def journal(servers: b.Servers, events: int, seconds: float) -> dict[str, b.Metric]:
    environment = servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"}
    b.say("receipt to journal entry")
    ran = subprocess.run(
        [sys.executable, "-m", "bench.webhooks_drain", str(events), str(seconds)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=b.CHECKOUT,
    )
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["it wrote nothing"])[-1][:160]
        b.say(f"receipt to journal entry was skipped: {reason}")
        return {
            "journal_per_s": b.Metric(None, "events/s", words=f"skipped: {reason}"),
            "journal_p99_ms": b.Metric(None, "ms", words="skipped"),
        }
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    return {
        "journal_per_s": b.Metric(
            told["per_s"],
            "events/s",
            told["one_by_one_per_s"],
            None,
            told["entries_correct"],
            "peer: the same code one event at a time",
        ),
        "journal_p99_ms": b.Metric(
            told["p99_ms"],
            "ms",
            None,
            LIMIT_MS,
            told["steady_correct"],
            f"at {STEADY_PER_S} events/s, p50 {told['p50_ms']:.1f} ms; limit: the promise",
        ),
    }
