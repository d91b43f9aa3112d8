"""The embedded PostgreSQL: its data directory, its settings, its roles and its databases.

TCP on loopback with SCRAM only. It never runs as root, never listens on a socket file, and never
touches a data directory made by another major version.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from payops.devstack.accounts import can_be_entered_by_others, give_to, unprivileged_account
from payops.devstack.environment import DatabaseUrls
from payops.devstack.errors import StackError
from payops.devstack.pgbinaries import binaries_for, major_version
from payops.devstack.ports import LOOPBACK, free_port
from payops.devstack.secretfile import Secrets
from payops.devstack.supervisor import Program, Supervisor

NAME = "database"
SUPERUSER = "payops_superuser"
OWNER, APP, FACTS = "payops_owner", "payops_app", "payops_facts"
DATABASE = "payops"
PUBLIC_DIRECTORY = Path("/var/tmp")  # noqa: S108 - the directory made in it is 0700 and checked
READY_TIMEOUT_S = 90.0
CONNECT_TIMEOUT_S = 3
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    # A crashed server replays what came after its last checkpoint: a minute's work, not five.
    "checkpoint_timeout": "1min",
    "jit": "off",  # short statements pay for compiling and never earn it back
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    def __init__(self, *, home: Path, secrets: Secrets, is_throwaway: bool = False) -> None:
        self.account = unprivileged_account()
        self.home = _reachable_home(home) if self.account else home
        self.cluster = self.home / "cluster"
        self.port = free_port()
        self._secrets = secrets
        self._is_throwaway = is_throwaway

    def start(self, supervisor: Supervisor) -> None:
        """Create the cluster if there is none, start it, and bring roles and database in order."""
        self._prepare_home()
        binaries = binaries_for(account=self.account, home=self.home)
        if (self.cluster / "PG_VERSION").exists():
            self._check_version(binaries)
        else:
            self._create_cluster(binaries)
        supervisor.start(self._program(binaries))
        supervisor.wait_until(self._answers, name=NAME, timeout_s=READY_TIMEOUT_S)
        self._provision()

    def urls(self, database: str = DATABASE) -> DatabaseUrls:
        secrets = self._secrets
        return DatabaseUrls(
            owner=self._url(OWNER, secrets.postgres_owner, database),
            app=self._url(APP, secrets.postgres_app, database),
            facts=self._url(FACTS, secrets.postgres_facts, database),
        )

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """A database of the owner; with a template it is a copy, which nobody may be using."""
        with self._connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
                )
            )

    def throw_away(self) -> None:
        """Remove cluster and copied binaries; only while it does not run."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _program(self, binaries: Path) -> Program:
        settings = SETTINGS | {"port": str(self.port)}
        if self._is_throwaway:
            settings |= THROWAWAY_SETTINGS
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name=NAME,
            command=(str(binaries / "postgres"), "-D", str(self.cluster), *options),
            env=_bare_environment(),
            cwd=self.home,
            stop_signal=signal.SIGINT,  # fast shutdown: open sessions are ended, data is flushed
            account=self.account,
            is_shown=False,
            # After a kill its lock file or shared memory can outlive it for a moment.
            may_die_while_starting=True,
        )

    def _prepare_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.home.is_symlink():
            raise StackError(f"{self.home} is a symbolic link; the database needs a real directory")
        if self.account:
            if self.home.stat().st_uid not in (0, self.account.uid):
                raise StackError(f"{self.home} belongs to another account; remove it first")
            os.chown(self.home, self.account.uid, self.account.gid)
        self.home.chmod(0o700)

    def _check_version(self, binaries: Path) -> None:
        stored = (self.cluster / "PG_VERSION").read_text().strip()
        shipped = major_version(binaries=binaries)
        if stored != shipped:
            raise StackError(
                f"the data in {self.cluster} was written by PostgreSQL {stored}, this is "
                f"{shipped}. To keep it, dump it with PostgreSQL {stored} (pg_dumpall) and load it "
                "into a fresh stack; to start empty, use --reset"
            )

    def _create_cluster(self, binaries: Path) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)  # a half-made one has no PG_VERSION
        with self._password_file() as password_file:
            made = subprocess.run(
                [
                    *(binaries / "initdb", "--pgdata", self.cluster, "--username", SUPERUSER),
                    *("--auth", "scram-sha-256", "--pwfile", password_file, "--encoding", "UTF8"),
                    # Sorting by code point: the same order on every machine.
                    *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                    *("--locale", "C", *(["--no-sync"] if self._is_throwaway else [])),
                ],
                capture_output=True,
                text=True,
                cwd=self.home,
                env=_bare_environment(),
                start_new_session=True,  # Ctrl-C must not leave it half made
                **(self.account.popen_arguments() if self.account else {}),
            )
        if made.returncode:
            tail = "\n".join((made.stdout + made.stderr).splitlines()[-20:])
            shutil.rmtree(self.cluster, ignore_errors=True)
            raise StackError(f"the database could not be created:\n{tail}")

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[str]:
        descriptor, name = tempfile.mkstemp(dir=self.home)
        try:
            os.write(descriptor, self._secrets.postgres_superuser.encode())
            os.close(descriptor)
            if self.account:
                give_to(account=self.account, path=Path(name))
            yield name
        finally:
            os.unlink(name)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StackError(
                    f"the database in {self.cluster} does not know the password in secrets.json: "
                    "they belong to different data directories. Use --reset to start empty"
                ) from error
            return False
        return True

    def _provision(self) -> None:
        """Roles with the stored passwords, and the database; repeated at every start."""
        passwords = {
            OWNER: self._secrets.postgres_owner,
            APP: self._secrets.postgres_app,
            FACTS: self._secrets.postgres_facts,
        }
        with self._connect() as connection:
            present = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role, password in passwords.items():
                statement = "ALTER ROLE" if role in present else "CREATE ROLE"
                # Only the verifier travels, so that no log can ever show a password.
                verifier = connection.pgconn.encrypt_password(
                    password.encode(), role.encode(), b"scram-sha-256"
                ).decode()
                connection.execute(
                    sql.SQL("{} {} LOGIN PASSWORD {}").format(
                        sql.SQL(statement), sql.Identifier(role), sql.Literal(verifier)
                    )
                )
            databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if DATABASE not in databases:
            self.create_database(DATABASE)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            self._url(SUPERUSER, self._secrets.postgres_superuser, "postgres"),
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
        )

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"


def _reachable_home(home: Path) -> Path:
    """Under a directory private to root the unprivileged account could not reach its own data."""
    if can_be_entered_by_others(home):
        return home
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return PUBLIC_DIRECTORY / f"payops-database-{digest}"


def _bare_environment() -> dict[str, str]:
    """Without PGDATA, PGPORT and the like of the caller."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
