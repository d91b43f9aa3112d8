"""`manage.py test`: checks and pytest on throwaway servers, which are gone afterwards.

The database is migrated once and then copied for every parallel worker. Servers given by the
environment are never used here: a test run empties tables.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from payops.devstack.checks import CHECKS, run_checks
from payops.devstack.datadir import CHECKOUT, DataDir
from payops.devstack.environment import Addresses, product_environment
from payops.devstack.errors import Stopped
from payops.devstack.output import say
from payops.devstack.ports import free_port
from payops.devstack.postgres import Postgres
from payops.devstack.recipe import PRODUCT
from payops.devstack.secretfile import load_secrets
from payops.devstack.steps import run_step
from payops.devstack.stopping import StopRequest
from payops.devstack.supervisor import Supervisor, die_with_parent
from payops.devstack.valkey import Valkey

DATABASE = "payops_test"
SETTINGS = "tests.settings"
WORKERS_BY_DEFAULT = ("-n", "2", "--dist", "loadgroup")
WORKERS_MAX = 32
# Options that pick some of the tests: no checks then, and no workers to wait for.
NARROWING = ("-k", "-m", "--lf", "--last-failed", "--ff", "--failed-first", "--sw", "--stepwise")
NOT_OF_THE_CALLER = ("DATABASE_", "REDIS_", "PAYOPS_", "DJANGO_", "PG")
KEPT_OF_THE_CALLER = (
    "PAYOPS_VENV",
    "PAYOPS_PG_ACCOUNT",
    "PAYOPS_CHROMIUM",
    "PAYOPS_REQUIRE_BROWSER",
    "PAYOPS_LOCALSTRIPE",
    "PAYOPS_HLEDGER",
    "PAYOPS_BEAN_CHECK",
)


def run_tests(*, arguments: Sequence[str]) -> int:
    """Exit code of pytest; 1 when pytest passed and a check did not."""
    stopping = StopRequest().on_signals()
    directory = Path(tempfile.mkdtemp(prefix="payops-test-"))
    datadir = DataDir(path=directory)
    datadir.acquire()
    supervisor = Supervisor(log_directory=datadir.logs, stopping=stopping)
    postgres: Postgres | None = None
    try:
        secrets = load_secrets(directory=directory)
        postgres = Postgres(home=directory / "postgres", secrets=secrets, is_throwaway=True)
        valkey = Valkey(home=directory / "valkey", secrets=secrets)
        postgres.start(supervisor)
        valkey.start(supervisor)
        postgres.create_database(DATABASE)
        web_port = free_port()
        addresses = Addresses(
            host="127.0.0.1",
            web_port=web_port,
            simulator_port=free_port(),
            database=postgres.urls(DATABASE),
            broker=valkey.url(),
        )
        environment = product_environment(
            base=cleaned(os.environ), var=directory, addresses=addresses, secrets=secrets
        ) | {"DJANGO_SETTINGS_MODULE": SETTINGS}
        run_step(
            PRODUCT.migrate, name="migrate", environment=environment, meanwhile=supervisor.pause
        )
        for worker in range(worker_count(with_defaults(arguments))):
            postgres.create_database(f"{DATABASE}_gw{worker}", template=DATABASE)
        say("throwaway servers ready, database migrated")

        failed = (
            [] if is_narrowed(arguments) else run_checks(environment=environment, checks=CHECKS)
        )
        if stopping.is_made():
            raise Stopped
        code = _run_pytest(with_defaults(arguments), environment=environment, stopping=stopping)
        if failed:
            say(f"failed checks: {', '.join(failed)}")
        return code or int(bool(failed))
    except Stopped:
        return 130
    finally:
        supervisor.stop({"broker"})
        supervisor.stop({"database"})
        datadir.release()
        if postgres:
            postgres.throw_away()
        shutil.rmtree(directory, ignore_errors=True)


def is_narrowed(arguments: Sequence[str]) -> bool:
    """Whether the caller picked some of the tests, by expression or by path."""
    return any(
        argument.startswith(NARROWING)
        if argument.startswith("-")
        else (CHECKOUT / argument.partition("::")[0]).exists()
        for argument in arguments
    )


def with_defaults(arguments: Sequence[str]) -> list[str]:
    """Two workers for a whole run, unless the caller said how many."""
    says_how_many = any(a.startswith(("-n", "--numprocesses")) for a in arguments)
    if says_how_many or is_narrowed(arguments):
        return list(arguments)
    return [*WORKERS_BY_DEFAULT, *arguments]


def worker_count(arguments: Sequence[str]) -> int:
    """How many databases pytest-xdist will want; for `auto` as many as it could ever take."""
    wanted = "0"
    for position, argument in enumerate(arguments):
        if argument in ("-n", "--numprocesses"):
            wanted = arguments[position + 1] if position + 1 < len(arguments) else "0"
        elif argument.startswith("--numprocesses="):
            wanted = argument.partition("=")[2]
        elif argument.startswith("-n"):
            wanted = argument[2:].lstrip("=")
    if wanted in ("auto", "logical"):
        wanted = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or str(os.cpu_count() or 1)
    return min(int(wanted), WORKERS_MAX) if wanted.isdigit() else 0


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what the caller configured for a real stack."""
    return {
        name: value
        for name, value in environ.items()
        if name in KEPT_OF_THE_CALLER or not name.startswith(NOT_OF_THE_CALLER)
    }


def _run_pytest(
    arguments: Sequence[str], *, environment: Mapping[str, str], stopping: StopRequest
) -> int:
    """In the terminal of the caller, so that Ctrl-C and a debugger reach it directly."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        env=dict(environment),
        cwd=CHECKOUT,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    is_asked = False
    while True:
        try:
            return child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if stopping.is_made() and not is_asked:
                is_asked = True
                if stopping.number != signal.SIGINT:  # Ctrl-C went to pytest as well
                    child.send_signal(signal.SIGINT)
