"""The restore drill: dump, restore into a fresh cluster, rebase, check, repeat (RB-8).

Real PostgreSQL, the wheel's own pg_dump and pg_restore, roles and grants as in production: the test
run's database is the one that is lost. The runbook is docs/runbooks/restore.md; this is its proof.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from payops.devstack.datadir import CHECKOUT
from payops.devstack.environment import Addresses, product_environment
from payops.devstack.pgbinaries import binaries_for
from payops.devstack.ports import free_port
from payops.devstack.postgres import Postgres
from payops.devstack.secretfile import Secrets, load_secrets
from payops.devstack.stopping import StopRequest
from payops.devstack.supervisor import Supervisor
from tests.devstack import restored_world

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("devstack"),  # one heavy stack at a time on two cores
]
TIMEOUT_S = 240
PROGRAM = (
    "import django; django.setup(); from tests.devstack import restored_world;"
    " restored_world.main()"
)


@contextmanager
def cluster(home: Path, secrets: Secrets) -> Iterator[Postgres]:
    """A fresh cluster with the roles of production and an empty database of the owner."""
    home.mkdir(mode=0o755)
    supervisor = Supervisor(log_directory=home / "logs", stopping=StopRequest())
    (home / "logs").mkdir()
    postgres = Postgres(home=home / "postgres", secrets=secrets, is_throwaway=True)
    try:
        postgres.start(supervisor)
        yield postgres
    finally:
        supervisor.stop({"database"})
        postgres.throw_away()


def inside(postgres: Postgres, secrets: Secrets, var: Path) -> dict[str, Any]:
    """Come back as the product over this cluster's database; see `restored_world.back`."""
    var.mkdir()
    addresses = Addresses(
        host="127.0.0.1",
        web_port=free_port(),
        simulator_port=free_port(),
        database=postgres.urls(),
        broker="redis://127.0.0.1:1/0",
    )
    environment = product_environment(
        base=os.environ, var=var, addresses=addresses, secrets=secrets
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=CHECKOUT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTEST_XDIST_WORKER": ""},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def tool(binaries: Path, name: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [binaries / name, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stderr) == (0, "")


def grants(address: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(address) as connection:
        return connection.execute(
            "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE table_schema IN ('public', 'facts') ORDER BY 1, 2, 3"
        ).fetchall()


def owner_of_the_test_run() -> str:
    told = connections["owner"].settings_dict
    password = f":{told['PASSWORD']}" if told["PASSWORD"] else ""
    return f"postgresql://{told['USER']}{password}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


def test_a_restored_database_refuses_to_start_is_rebased_and_counts_nothing_twice() -> None:
    began = restored_world.begin()
    assert (began["answered"], began["replayed"]) == (200, False)
    assert began["balances"]["1100 standard/demo EUR"] == 99_700
    assert began["balances"]["2000 S-1001 EUR"] == -95_000

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="payops-restore-")))
        directory.chmod(0o755)
        secrets, dump = load_secrets(directory=directory), directory / "books.dump"
        fresh = stack.enter_context(cluster(directory / "fresh", secrets))
        binaries = binaries_for(account=fresh.account, home=fresh.home)
        lost, owner = owner_of_the_test_run(), fresh.urls().owner

        tool(binaries, "pg_dump", "--format=custom", "--exclude-schema=seed", "-f", dump, lost)
        tool(binaries, "pg_restore", "--exit-on-error", "--single-transaction", "-d", owner, dump)
        back = inside(fresh, secrets, directory / "var")

        assert grants(owner) == grants(lost)
    for words in back["refused"].values():
        assert "it was restored from elsewhere" in words
        assert "run `manage.py rebase_after_restore`" in words
    assert "every balance is the sum of its lines" in back["said"]
    assert back["started"] == {"web": "", "worker": "", "up": ""}
    assert back["broken"] == []
    assert (back["exits"], back["exits_again"]) == ([0, 0], [0])
    for name in ("entries", "lines", "keys", "events", "receipts", "balances"):
        assert back["restored"][name] == began[name], name

    # The controlled replay: the same event and the same key once more, and no second effect.
    assert (back["answered"], back["replayed"]) == (200, True)
    for name in ("entries", "lines", "keys", "events", "balances"):
        assert back["again"][name] == began[name], name
    assert back["again"]["receipts"] == began["receipts"] + 1
