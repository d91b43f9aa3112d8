"""PostgreSQL refuses to run as root: the unprivileged account it runs under instead.

Started by an ordinary user, everything runs as that user and this module has nothing to do.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payops.devstack.errors import StackError


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged_account() -> Account | None:
    """None when the caller is an ordinary user already."""
    if os.geteuid() != 0:
        return None
    name = os.environ.get("PAYOPS_PG_ACCOUNT") or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            f"started as root, PostgreSQL needs an unprivileged account, and {name!r} does not "
            "exist; name one in PAYOPS_PG_ACCOUNT"
        ) from None
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def can_be_entered_by_others(path: Path) -> bool:
    """Whether an account without rights of its own reaches this path through all its parents."""
    return all(
        parent.stat().st_mode & 0o001 for parent in path.resolve().parents if parent.exists()
    )


def give_to(*, account: Account, path: Path) -> None:
    """Hand over a file, or a directory with everything in it."""
    os.chown(path, account.uid, account.gid, follow_symlinks=False)
    for directory, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(os.path.join(directory, name), account.uid, account.gid, follow_symlinks=False)
