"""The supervisor against real PostgreSQL and Valkey: start, refuse, restart, survive, stop."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
import redis

from payops.devstack.leftovers import is_alive
from payops.devstack.ports import free_port
from payops.devstack.running import adopt_running_stack
from tests.devstack.running_stack import RunningStack, eventually, tiny_stack

pytestmark = pytest.mark.xdist_group("devstack")  # they share one stack and two cores
PROCESSES = {"database", "broker", "web", "worker", "simulator"}


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """Not pytest's own directory: that one is private to root when root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="payops-devstack-"))
    directory.chmod(0o755)
    try:
        yield directory / "var"
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def var() -> Iterator[Path]:
    with data_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """One stack for the tests that leave it running."""
    with data_directory() as directory, tiny_stack(var=directory) as running:
        yield running


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_stack_file_tells_everything_and_is_private(stack: RunningStack) -> None:
    told = stack.told()

    assert set(told) == {
        *("web", "simulator", "broker", "database", "pids", "webhooks", "people", "api_key")
    }
    assert told["web"] == f"http://127.0.0.1:{stack.port}"
    assert set(told["database"]) == {"owner", "app", "facts"}
    assert set(told["pids"]) == PROCESSES
    demo = {"stripe/demo", "standard/demo", "adyen/demo", "paypal/demo"}
    assert set(told["webhooks"]) == {*demo, "servicenow/support"}
    assert told["webhooks"]["stripe/demo"]["url"] == f"{told['web']}/webhooks/stripe/demo/"
    [secret] = told["webhooks"]["standard/demo"]["secrets"]
    assert secret.startswith("whsec_")
    assert told["people"]["omar"] == {
        "password": "omar-pass",
        "roles": ["ops_agent", "ops_lead"],
    }
    assert told["api_key"] == "pk_tiny"
    private = ("stack.json", "stack.env", "secrets.json", "people.json", "processes.json")
    modes = {name: (stack.var / name).stat().st_mode & 0o777 for name in private}
    assert modes == dict.fromkeys(private, 0o600)


def test_three_roles_reach_the_database_and_none_is_a_superuser(stack: RunningStack) -> None:
    urls = stack.told()["database"]

    assert {name: value(url, "SELECT current_user") for name, url in urls.items()} == {
        "owner": "payops_owner",
        "app": "payops_app",
        "facts": "payops_facts",
    }
    powers = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles"
    assert not any(value(url, f"{powers} WHERE rolname = current_user") for url in urls.values())
    assert value(urls["app"], "SHOW fsync") == "on"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        value(urls["app"], "CREATE TABLE intruder (id int)")


def test_second_stack_over_the_same_data_is_refused_at_once_and_names_the_first(
    stack: RunningStack,
) -> None:
    before = stack.told()
    started_s = time.monotonic()

    code, output = RunningStack(var=stack.var, port=free_port()).result()

    assert code == 1
    assert f"another stack (pid {stack.child.pid}) is running over {stack.var}" in output
    assert time.monotonic() - started_s < 5
    assert stack.told() == before


@pytest.mark.parametrize("name", ["database", "broker", "web", "worker"])
def test_killed_process_comes_back_at_the_same_address(stack: RunningStack, name: str) -> None:
    before = stack.told()

    os.kill(before["pids"][name], signal.SIGKILL)
    stack.wait_for_new_pid(name, old=before["pids"][name])

    eventually(lambda: redis.Redis.from_url(before["broker"]).ping() is True, what="broker")
    eventually(lambda: answers(before["database"]["app"]), what="database")
    eventually(lambda: is_healthy(before["web"]), what="web")
    after = stack.told()
    assert {**after, "pids": None} == {**before, "pids": None}
    others = PROCESSES - {name}
    assert {n: after["pids"][n] for n in others} == {n: before["pids"][n] for n in others}


def test_clean_stop_leaves_no_process_and_no_stack_file_but_all_data(var: Path) -> None:
    with tiny_stack(var=var) as stack:
        first = stack.told()
        with psycopg.connect(first["database"]["owner"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 12400 AS amount_minor")

        code = stack.interrupt()

    assert code == 0
    assert "stopped" in stack.output
    assert [pid for pid in first["pids"].values() if lives(pid)] == []
    assert [n for n in ("stack.json", "stack.env", "processes.json") if (var / n).exists()] == []
    with tiny_stack(var=var) as again:
        second = again.told()
        assert value(second["database"]["owner"], "SELECT amount_minor FROM kept") == 12400
        assert (
            second["webhooks"]["stripe/demo"]["secrets"]
            == (first["webhooks"]["stripe/demo"]["secrets"])
        )


def test_after_kill_of_the_supervisor_a_new_one_takes_over_the_data(var: Path) -> None:
    with tiny_stack(var=var) as stack:
        killed = stack.told()["pids"]
        with psycopg.connect(stack.told()["database"]["owner"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

        stack.child.kill()
        stack.child.wait()

    with tiny_stack(var=var) as again:
        assert value(again.told()["database"]["owner"], "SELECT one FROM kept") == 1
        assert set(killed.values()).isdisjoint(again.told()["pids"].values())
        assert [name for name, pid in killed.items() if lives(pid)] == []


def test_reset_starts_empty_with_other_secrets(var: Path) -> None:
    with tiny_stack(var=var) as stack:
        first = stack.told()
        with psycopg.connect(first["database"]["owner"]) as connection:
            connection.execute("CREATE TABLE gone (id int)")
    (var / "note.txt").write_text("not ours")

    with tiny_stack(var=var, arguments=("--reset",)) as stack:
        second = stack.told()
        assert value(second["database"]["owner"], "SELECT to_regclass('gone')") is None
        assert second["webhooks"] != first["webhooks"]
    assert (var / "note.txt").read_text() == "not ours"


def test_port_in_use_is_refused_before_anything_starts(stack: RunningStack, var: Path) -> None:
    code, output = RunningStack(var=var, port=stack.port).result()

    assert code == 1
    assert f"port {stack.port} on 127.0.0.1 is in use" in output
    assert not (var / "postgres").exists()


def test_failing_migration_shows_its_last_lines_and_stops_the_servers(var: Path) -> None:
    code, output = RunningStack(
        var=var, port=free_port(), arguments=("--broken-migration",)
    ).result()

    assert code == 1
    assert "migrate failed with code 1" in output
    assert "no such table: payout" in output
    assert "stopped" in output
    assert not (var / "stack.json").exists()


def test_process_that_dies_while_starting_shows_its_last_lines(var: Path) -> None:
    code, output = RunningStack(var=var, port=free_port(), arguments=("--broken-web",)).result()

    assert code == 1
    assert "web ended (code 3) while starting. Its last lines" in output
    assert "    no such setting: BOOK" in output
    assert not (var / "stack.json").exists()


def test_data_of_another_postgresql_version_is_refused_with_a_hint(var: Path) -> None:
    with tiny_stack(var=var):
        pass
    (var / "postgres" / "cluster" / "PG_VERSION").write_text("15\n")

    code, output = RunningStack(var=var, port=free_port()).result()

    assert code == 1
    assert "was written by PostgreSQL 15, this is 18" in output
    assert "pg_dumpall" in output and "--reset" in output


def test_other_commands_find_the_running_stack_unless_told_otherwise(
    stack: RunningStack, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYOPS_VAR", str(stack.var))
    environ: dict[str, str] = {}
    assert adopt_running_stack(environ=environ) is True
    assert environ["DATABASE_URL"] == stack.told()["database"]["app"]
    assert environ["REDIS_URL"] == stack.told()["broker"]

    given = {"DATABASE_URL": "postgresql://elsewhere/books"}
    assert adopt_running_stack(environ=given) is False
    assert given == {"DATABASE_URL": "postgresql://elsewhere/books"}

    monkeypatch.setenv("PAYOPS_VAR", str(var))
    assert adopt_running_stack(environ={}) is False


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))


def answers(dsn: str) -> bool:
    with psycopg.connect(dsn, connect_timeout=2) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def is_healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
