"""django-hordak through its public API: entries one by one and in bulk, balances, all accounts.

Runs in an environment of its own (`BENCH_HORDAK_PYTHON`) on a database of its own and prints one
JSON object. Every figure is checked: legs written against entries asked for, sums against zero.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["BENCH_PEER_DATABASE"])
settings.configure(
    SECRET_KEY="bench",  # noqa: S106
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DEFAULT_CURRENCY="EUR",
    CURRENCIES=["EUR"],
    HORDAK_CURRENCIES=["EUR"],
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "mptt",
        "hordak",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "PASSWORD": url.password,
            "HOST": url.hostname,
            "PORT": url.port,
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from hordak.models import Account, AccountType, Leg, Transaction  # noqa: E402
from moneyed import Money  # noqa: E402

ACCOUNTS, BULK, READS = 20, 500, 7
TODAY = datetime.now(UTC).date()
chance = random.Random(11)


def main() -> None:
    """`prepare`, or `single N`, `bulk N`, `balance LEGS`: one JSON object on the last line."""
    act, *given = sys.argv[1:]
    told = ACTS[act](*(int(each) for each in given))
    print(json.dumps(told))


def prepare() -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    for number in range(ACCOUNTS):
        kind = AccountType.asset if number % 2 else AccountType.income
        Account.objects.create(name=f"Account {number}", type=kind, currencies=["EUR"])
    return {"accounts": Account.objects.count()}


def single(count: int) -> dict[str, Any]:
    """Each in a transaction of its own, as `transfer_to` does it."""
    accounts, before = list(Account.objects.order_by("pk")), Leg.objects.count()
    accounts[2].transfer_to(accounts[3], Money(1, "EUR"))
    began = time.perf_counter()
    for _ in range(count):
        one, other = chance.sample(accounts[2:], 2)
        one.transfer_to(other, Money(chance.randint(1, 9999), "EUR"), date=TODAY)
    seconds = time.perf_counter() - began
    return {"per_s": count / seconds, "correct": _whole(before + 2 * (count + 1))}


def bulk(count: int) -> dict[str, Any]:
    """bulk_create of transactions and legs, 500 entries each; its triggers fire as always.

    The instances are made beforehand, as our postings are.
    """
    accounts, before = list(Account.objects.order_by("pk")), Leg.objects.count()
    seconds = 0.0
    for _ in range(count // BULK):
        entries = [Transaction(date=TODAY) for _ in range(BULK)]
        legs = []
        for entry in entries:
            (one, other), amount = chance.sample(accounts[2:], 2), chance.randint(1, 9999)
            legs.append(Leg(transaction=entry, account=one, credit=Money(amount, "EUR")))
            legs.append(Leg(transaction=entry, account=other, debit=Money(amount, "EUR")))
        began = time.perf_counter()
        with transaction.atomic():
            Transaction.objects.bulk_create(entries)
            Leg.objects.bulk_create(legs)
        seconds += time.perf_counter() - began
    return {"per_s": count / seconds, "correct": _whole(before + 2 * count)}


def balance(legs: int) -> dict[str, Any]:
    """One account with so many legs, filled by SQL; then all accounts with their balances."""
    hot, other = Account.objects.order_by("pk")[:2]
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM hordak_transaction")
        last = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO hordak_transaction (uuid, timestamp, date, description)"
            " SELECT gen_random_uuid(), now(), current_date, '' FROM generate_series(1, %s)",
            [legs - Leg.objects.filter(account=hot).count()],
        )
        cursor.execute("ALTER TABLE hordak_leg DISABLE TRIGGER USER")
        for account, side in ((hot, "credit"), (other, "debit")):
            cursor.execute(
                f"INSERT INTO hordak_leg (uuid, transaction_id, account_id, {side}, currency,"
                " description) SELECT gen_random_uuid(), id, %s, 1, 'EUR', ''"
                " FROM hordak_transaction WHERE id > %s",
                [account.pk, last],
            )
        cursor.execute("ALTER TABLE hordak_leg ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE hordak_leg")
    return {
        "balance_ms": _median_ms(hot.get_balance),
        "trial_ms": _median_ms(lambda: list(Account.objects.with_balances())),
        "correct": abs(hot.get_balance()["EUR"].amount) == _plain(hot) == legs,
    }


def _median_ms(act: Callable[[], Any]) -> float:
    seen = []
    for _ in range(READS):
        began = time.perf_counter()
        act()
        seen.append((time.perf_counter() - began) * 1000)
    return statistics.median(seen)


def _plain(account: Account) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(credit) FROM hordak_leg WHERE account_id = %s", [account.pk])
        return int(cursor.fetchone()[0])


def _whole(legs: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(credit), 0) - coalesce(sum(debit), 0) FROM hordak_leg"
        )
        return cursor.fetchone() == (legs, 0)


ACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "single": single,
    "bulk": bulk,
    "balance": balance,
}

if __name__ == "__main__":
    main()
