"""hledger and bean-check as processes: where they are, and the balances they read from a file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from payops.core.money import exponent_of

TIMEOUT_S = 120
Balances = dict[tuple[str, str], int]
# Runs inside beancount's own environment, which this product never imports.
BEANCOUNT_BALANCES = """
import json, sys
from beancount import loader
from beancount.core import data
entries, errors, options = loader.load_file(sys.argv[1])
assert not errors, errors
sums = {}
for entry in entries:
    if isinstance(entry, data.Transaction):
        for posting in entry.postings:
            key = posting.account + "|" + posting.units.currency
            sums[key] = sums.get(key, 0) + posting.units.number
print(json.dumps({key: str(total) for key, total in sums.items()}))
"""


def hledger() -> str:
    """Its path, or why there is none, in brackets."""
    found = os.environ.get("PAYOPS_HLEDGER") or shutil.which("hledger")
    return found or "[hledger is not installed, and PAYOPS_HLEDGER names none]"


def bean_check() -> str:
    found = os.environ.get("PAYOPS_BEAN_CHECK") or shutil.which("bean-check")
    return found or "[bean-check is not installed, and PAYOPS_BEAN_CHECK names none]"


def run(*command: str) -> str:
    """What it printed; its own complaint when it refuses the file."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hledger_balances(program: str, file: Path) -> Balances:
    """(account, currency) → minor units, from `hledger balance` itself."""
    run(program, "check", "--strict", "-f", str(file))
    told = json.loads(
        run(program, "balance", "--flat", "--no-total", "-O", "json", "-f", str(file)),
        parse_float=Decimal,
    )
    return {
        (row[0], amount["acommodity"]): _minor(_exact(amount["aquantity"]), amount["acommodity"])
        for row in told[0]
        for amount in row[3]
        if _exact(amount["aquantity"])
    }


def beancount_balances(program: str, file: Path) -> Balances:
    run(program, str(file))
    python = Path(program).with_name("python")
    told = json.loads(run(str(python), "-c", BEANCOUNT_BALANCES, str(file)))
    return {
        (account, currency): _minor(Decimal(total), currency)
        for key, total in told.items()
        for account, _, currency in [key.rpartition("|")]
        if Decimal(total)
    }


def _exact(quantity: dict[str, int]) -> Decimal:
    return Decimal(quantity["decimalMantissa"]).scaleb(-quantity["decimalPlaces"])


def _minor(amount: Decimal, currency: str) -> int:
    scaled = amount.scaleb(exponent_of(currency))
    assert scaled == scaled.to_integral_value(), f"{amount} {currency} has a fraction of a cent"
    return int(scaled)


def skipped(program: str) -> str:
    """The reason to skip, printed so that a run without the peer says so."""
    if program.startswith("["):
        print(f"not compared: {program[1:-1]}", file=sys.stderr)
        return program[1:-1]
    return ""
