#!/usr/bin/env python3
"""Entry point of every command; works right after a clone with nothing but Python.

Builds its own virtual environment (.venv, or PAYOPS_VENV) from requirements.lock, then hands over:
`up`, `demo` and `test` to payops.devstack, everything else to Django. Never installs anything
outside that environment, and leaves an environment it already runs in as it is.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parent
LOCK = CHECKOUT / "requirements.lock"
VENV = pathlib.Path(os.environ.get("PAYOPS_VENV") or CHECKOUT / ".venv").absolute()
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".lock-sha256"
STACK_COMMANDS = ("up", "demo", "test")


def main():
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets a sentence, not a trace
        sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0])
    if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
        install_locked_dependencies()
        os.execv(str(PYTHON), [str(PYTHON), *sys.argv])

    if sys.argv[1:2] and sys.argv[1] in STACK_COMMANDS:
        from payops.devstack.cli import main as stack_main

        sys.exit(stack_main(sys.argv[1:]))

    from payops.devstack.running import adopt_running_stack

    adopt_running_stack(environ=os.environ)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payops.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def install_locked_dependencies():
    """Bring the environment in line with the lock; a second start waits for the first."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if is_current(wanted):
        return
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with one_builder_at_a_time():
        if is_current(wanted):
            return
        print(f"[setup] installing locked dependencies into {VENV} (about 25 s)", flush=True)
        STAMP.unlink(missing_ok=True)
        install_with_uv() if shutil.which("uv") else install_with_pip()
        STAMP.write_text(wanted)


def is_current(wanted):
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted


@contextlib.contextmanager
def one_builder_at_a_time():
    with open(f"{VENV}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_with_uv():
    run("uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
    run("uv", "pip", "sync", "--quiet", "--require-hashes", "--python", PYTHON, LOCK)


def install_with_pip():
    run(sys.executable, "-m", "venv", VENV, hint="apt-get install python3-venv, or install uv")
    quiet = ("--quiet", "--disable-pip-version-check")
    run(PYTHON, "-m", "pip", "install", *quiet, "--require-hashes", "-r", LOCK)


def run(*command, hint="see the lines above"):
    if subprocess.run([str(part) for part in command]).returncode:
        sys.exit(f"[setup] failed: {' '.join(str(part) for part in command)} ({hint})")


if __name__ == "__main__":
    main()
