"""`up` and `demo`: the whole stack of one data directory, from its lock to its clean stop.

Reads top-down in the order things happen. Knows no process by name except those it has to ask
whether they are ready (`web`, `simulator`); the processes are a table (recipe.py).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from payops.devstack import leftovers, stackfile
from payops.devstack.datadir import DataDir
from payops.devstack.environment import (
    SEEDING_MARK,
    SINGLE_ROLE_WARNING,
    Addresses,
    given_database,
    product_environment,
)
from payops.devstack.errors import StackError, Stopped
from payops.devstack.output import say
from payops.devstack.ports import near_port, web_port
from payops.devstack.postgres import Postgres
from payops.devstack.recipe import SIMULATOR, WEB, Recipe, Setting
from payops.devstack.secretfile import Secrets, load_secrets
from payops.devstack.steps import run_step
from payops.devstack.stopping import StopRequest
from payops.devstack.supervisor import Supervisor
from payops.devstack.valkey import Valkey

READY_TIMEOUT_S = 90.0
PROBE_TIMEOUT_S = 5.0
_SERVERS = ("broker", "database")


@dataclass(frozen=True)
class Options:
    var: Path
    with_demo_day: bool = False
    with_reset: bool = False
    with_seed: bool = False  # also into a database that was given from outside
    with_books: bool = True  # payments and payouts beside the people


def run(*, recipe: Recipe, options: Options) -> int:
    """Start everything, wait until asked to stop, stop everything. Returns the exit code."""
    stopping = StopRequest().on_signals()
    datadir = DataDir(path=options.var)
    datadir.acquire()
    try:
        _Stack(recipe=recipe, options=options, datadir=datadir, stopping=stopping).run()
    finally:
        datadir.release()
    return 0


class _Stack:
    def __init__(
        self, *, recipe: Recipe, options: Options, datadir: DataDir, stopping: StopRequest
    ) -> None:
        self._recipe = recipe
        self._options = options
        self._datadir = datadir
        self._var = datadir.path
        self._stopping = stopping
        self._supervisor = Supervisor(
            log_directory=datadir.logs, stopping=stopping, on_change=self._pids_changed
        )
        self._setting: Setting | None = None
        self._seeded = stackfile.Seeded(people={}, api_key=None)

    def run(self) -> None:
        try:
            self._start()
            self._supervisor.run_until_stopped()
        except Stopped:
            pass
        finally:
            self._stop()

    def _start(self) -> None:
        leftovers.stop_leftovers(directory=self._var)
        stackfile.remove(directory=self._var)
        host = os.environ.get("PAYOPS_HOST") or "127.0.0.1"
        port = web_port(host=host, wanted=os.environ.get("PAYOPS_PORT") or "8000")
        database = given_database(environ=os.environ)
        if database and database.app == database.owner:
            say(SINGLE_ROLE_WARNING)
        if self._options.with_reset:
            self._reset()

        secrets = load_secrets(directory=self._var)
        is_embedded = database is None
        if database is None:
            postgres = self._postgres(secrets)
            postgres.start(self._supervisor)
            say("database ready")
            database = postgres.urls()
        addresses = Addresses(
            host=host,
            web_port=port,
            simulator_port=near_port(wanted=port + 1),
            database=database,
            broker=os.environ.get("REDIS_URL") or self._start_broker(secrets),
        )
        environment = product_environment(
            base=os.environ, var=self._var, addresses=addresses, secrets=secrets
        )
        setting = Setting(addresses=addresses, environment=environment, var=self._var)
        stackfile.write_environment(directory=self._var, environment=environment)

        self._step("migrate", self._recipe.migrate, setting)
        self._seeded = stackfile.load_seeded(directory=self._var)
        is_seeded = is_embedded or self._options.with_seed
        if is_seeded:
            printed = self._step("seed_demo", self._recipe.seed_people, setting)
            self._seeded = stackfile.merge_seeded(directory=self._var, output=printed)
        with_books = is_seeded and self._options.with_books
        mark = self._var / SEEDING_MARK
        mark.touch() if with_books else mark.unlink(missing_ok=True)
        self._start_programs(setting)
        if with_books:
            say("bringing the demo company's books to life (about 15 s)")
            self._step("seed_books", self._recipe.seed_books, setting)
            mark.unlink()
        self._supervisor.started()
        self._introduce(setting)
        if self._options.with_demo_day:
            self._play_demo_day(setting)

    def _reset(self) -> None:
        """What the stack itself made; a database given from outside is not its to throw away."""
        self._postgres(load_secrets(directory=self._var)).throw_away()
        self._datadir.reset()
        say(f"threw away the data in {self._var}")

    def _postgres(self, secrets: Secrets) -> Postgres:
        return Postgres(home=self._var / "postgres", secrets=secrets)

    def _start_broker(self, secrets: Secrets) -> str:
        valkey = Valkey(home=self._var / "valkey", secrets=secrets)
        valkey.start(self._supervisor)
        say("broker ready")
        return valkey.url()

    def _step(self, name: str, command: tuple[str, ...], setting: Setting) -> str:
        printed = run_step(
            command, name=name, environment=setting.environment, meanwhile=self._tend_once
        )
        say(f"{name} done")
        return printed

    def _tend_once(self) -> None:
        self._supervisor.tend()
        self._supervisor.pause()

    def _start_programs(self, setting: Setting) -> None:
        self._setting = setting  # from here on stack.json is kept up to date
        programs = self._recipe.programs(setting)
        for program in programs:
            self._supervisor.start(program)
        ready_at = {WEB: setting.addresses.web, SIMULATOR: setting.addresses.simulator}
        for name in (program.name for program in programs if program.name in ready_at):
            self._supervisor.wait_until(
                _is_healthy(ready_at[name]), name=name, timeout_s=READY_TIMEOUT_S
            )
            say(f"{name} ready")

    def _introduce(self, setting: Setting) -> None:
        say(f"PayOps is ready at {setting.environment['PAYOPS_PUBLIC_URL']}")
        if SIMULATOR in self._supervisor.pids():
            say(f"the payment provider simulator is at {setting.addresses.simulator}")
        for role, name, password in stackfile.one_login_per_role(self._seeded):
            say(f"  {role:<17} {name:<17} {password}")
        say("Ctrl-C stops everything")

    def _play_demo_day(self, setting: Setting) -> None:
        """A day that fails is told, and the stack stays up to look at."""
        try:
            run_step(
                self._recipe.demo_day,
                name="demo_day",
                environment=setting.environment,
                meanwhile=self._tend_once,
                shown=True,
            )
        except StackError as error:
            say(str(error))

    def _pids_changed(self, pids: dict[str, int]) -> None:
        leftovers.remember(directory=self._var, pids=pids)
        if self._setting:
            stackfile.write_stack(
                directory=self._var,
                addresses=self._setting.addresses,
                environment=self._setting.environment,
                seeded=self._seeded,
                pids=pids,
            )

    def _stop(self) -> None:
        running = self._supervisor.pids()
        if running:
            say("stopping")
        # Whoever writes goes first, then what they write to.
        self._supervisor.stop(running.keys() - set(_SERVERS))
        for server in _SERVERS:
            self._supervisor.stop({server})
        stackfile.remove(directory=self._var)
        leftovers.forget(directory=self._var)
        if running:
            say("stopped")


def _is_healthy(address: str) -> Callable[[], bool]:
    def probe() -> bool:
        try:
            answer = httpx.get(f"{address}/healthz", timeout=PROBE_TIMEOUT_S, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 or _only_seeding(answer)

    return probe


def _only_seeding(answer: httpx.Response) -> bool:
    """Not ready for others yet, but ready to be seeded."""
    try:
        parts = answer.json()["parts"]
        waiting = {
            name for name in ("database", "migrations", "books") if not _is_ready(parts, name)
        }
    except (ValueError, KeyError, TypeError):
        return False
    return waiting == {"books"}


def _is_ready(parts: dict[str, dict[str, str]], name: str) -> bool:
    return parts[name]["state"] == "ready"
