"""The data directory of a stack: who may use it, what lies in it, how it is thrown away.

One stack at a time holds its lock. Everything with a secret in it is 0600. `reset` removes the
entries of this table only, so a directory that holds other people's files keeps them.
"""

import fcntl
import os
import shutil
from pathlib import Path

import psutil

from payops.devstack.errors import StackError

LOCK = "lock"
ENTRIES = (
    "beat",
    "logs",
    "people.json",
    "postgres",
    "processes.json",
    "secrets.json",
    "seeding",
    "simulator",
    "stack.env",
    "stack.json",
    "valkey",
)
CHECKOUT = Path(__file__).resolve().parents[2]


def default_path() -> Path:
    return Path(os.environ.get("PAYOPS_VAR") or CHECKOUT / "var").absolute()


class DataDir:
    def __init__(self, *, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Become the only stack over this directory, or refuse at once and name the other one."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise StackError(
                f"{self.path} belongs to another account; set PAYOPS_VAR to a directory of your own"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise StackError(
                f"another stack (pid {lock_holder(path=self.path) or 'unknown'}) is running over "
                f"{self.path}; "
                "stop it first, or set PAYOPS_VAR to another directory"
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())
        self._prepare()

    def release(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def reset(self) -> None:
        """Throw the stack's own entries away; only for the holder of the lock."""
        assert self._lock is not None, "reset needs the lock"
        for name in ENTRIES:
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        self._prepare()

    def _prepare(self) -> None:
        if self.path.stat().st_uid == os.geteuid():
            # As root the database runs under another account, which has to pass through here.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for name in ("logs", "beat", "simulator"):
            (self.path / name).mkdir(mode=0o700, exist_ok=True)


def lock_holder(*, path: Path) -> int | None:
    """The pid of the live stack over this directory, or None."""
    try:
        pid = int((path / LOCK).read_text() or 0)
    except (FileNotFoundError, PermissionError, ValueError):
        return None
    return pid if pid and psutil.pid_exists(pid) else None
