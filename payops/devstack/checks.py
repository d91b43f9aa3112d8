"""The checks that stand before the tests: one table, each row reported like a test."""

import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from payops.devstack.datadir import CHECKOUT
from payops.devstack.output import write_line
from payops.devstack.recipe import Command

TIMEOUT_S = 600
AT_ONCE = 2
_LINT_IMPORTS = (
    "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())"
)

# What a person calls it -> how this environment's Python runs it.
CHECKS: dict[str, Command] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format --check": ("-m", "ruff", "format", "--check", "."),
    "lint-imports": ("-c", _LINT_IMPORTS),
    "mypy": ("-m", "mypy"),
    "makemigrations --check": ("manage.py", "makemigrations", "--check", "--dry-run"),
}


def run_checks(*, environment: Mapping[str, str], checks: Mapping[str, Command]) -> list[str]:
    """Run every row, print one line each (all it said when it failed); returns the failed ones."""

    def run_check(arguments: Command) -> tuple[subprocess.CompletedProcess[str], float]:
        started_s = time.monotonic()
        finished = subprocess.run(
            [sys.executable, *arguments],
            env=dict(environment),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
        return finished, time.monotonic() - started_s

    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, (finished, seconds) in zip(
            checks, pool.map(run_check, checks.values()), strict=True
        ):
            verdict = "FAILED" if finished.returncode else "PASSED"
            write_line(f"{name:<24} {verdict} ({seconds:.1f} s)")
            if finished.returncode:
                failed.append(name)
                write_line(finished.stdout.rstrip())
    return failed
