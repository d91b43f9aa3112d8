"""The bare reservation: two processes of plain psycopg that lock a charge, insert and count.

No policy, no trail, no history, no guard: what a correct reservation costs by itself.
"""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg

PROCESSES = 2
CAPTURED, AMOUNT = 10_000, 3_000
TABLES = """
DROP TABLE IF EXISTS refund, charge;
CREATE TABLE charge (id bigint PRIMARY KEY, captured bigint NOT NULL, reserved bigint NOT NULL
  DEFAULT 0, CHECK (reserved <= captured));
CREATE TABLE refund (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), charge_id bigint NOT NULL
  REFERENCES charge, amount bigint NOT NULL, key text NOT NULL UNIQUE);
CREATE INDEX ON refund (charge_id);
"""


def prepare(address: str, *, charges: int) -> None:
    with psycopg.connect(address, autocommit=True) as link:
        link.execute(TABLES)
        link.execute(
            "INSERT INTO charge (id, captured) SELECT n, %s FROM generate_series(0, %s - 1) n",
            [CAPTURED, charges],
        )
        link.execute("ANALYZE")


def rate(address: str, *, first: int, each: int) -> float:
    """Reservations a second of both processes together; the slower one ends the round."""
    command = [sys.executable, "-m", "bench.peers.reserving", address]
    made = [
        subprocess.Popen(
            [*command, str(first + number * each), str(each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in made:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
    for process in made:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    spent = [float(process.communicate()[0]) for process in made]
    with psycopg.connect(address) as link:
        row = link.execute(
            "SELECT sum(reserved) FROM charge WHERE id >= %s AND id < %s",
            [first, first + PROCESSES * each],
        ).fetchone()
        assert row is not None and row[0] == PROCESSES * each * AMOUNT
    return PROCESSES * each / max(spent)


def reserve(address: str, first: int, each: int) -> None:
    with psycopg.connect(address, autocommit=True) as link:
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        for key in range(first, first + each):
            with link.transaction():
                link.execute("SELECT reserved FROM charge WHERE id = %s FOR UPDATE", [key])
                link.execute(
                    "INSERT INTO refund (charge_id, amount, key) VALUES (%s, %s, %s)",
                    [key, AMOUNT, f"k:{key}"],
                )
                link.execute(
                    "UPDATE charge SET reserved = (SELECT sum(amount) FROM refund WHERE"
                    " charge_id = %s) WHERE id = %s",
                    [key, key],
                )
        print(time.perf_counter() - start)


if __name__ == "__main__":
    reserve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
