"""django-ledger through its public API: journal entries by `commit_txs`.

Runs in an environment of its own (`BENCH_DJANGO_LEDGER_PYTHON`) on a database of its own; prints
one JSON object. Checked: transactions written against entries asked for, debits against credits.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["BENCH_PEER_DATABASE"])
settings.configure(
    SECRET_KEY="bench",  # noqa: S106
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF="bench.peers.djangoledger_urls",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
    ],
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django_ledger",
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

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils.timezone import localtime  # noqa: E402
from django_ledger.models import EntityModel, LedgerModel  # noqa: E402

OTHERS = (
    "in_operational",
    "asset_ca_recv",
    "asset_ca_prepaid",
    "lia_cl_acc_payable",
    "lia_cl_def_rev",
)
chance = random.Random(11)


def prepare() -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    person = get_user_model().objects.create_superuser("bench", "bench@example.com", "x")
    entity = EntityModel.create_entity(
        name="Bench", use_accrual_method=True, admin=person, fy_start_month=1
    )
    entity.create_chart_of_accounts(assign_as_default=True, commit=True)
    entity.populate_default_coa(activate_accounts=True)
    entity.create_ledger(name="bench", posted=True)
    return {"ready": True}


def single(count: int) -> dict[str, Any]:
    """Each entry in a transaction of its own, posted."""
    entity, book = EntityModel.objects.get(), LedgerModel.objects.get()
    accounts = list(entity.get_default_coa_accounts(active=True))
    cash = next(account for account in accounts if account.role == "asset_ca_cash")
    others = [account for account in accounts if account.role in OTHERS]
    before = _count()
    _post(book, cash, others[0])
    began = time.perf_counter()
    for _ in range(count):
        _post(book, cash, chance.choice(others))
    seconds = time.perf_counter() - began
    return {"per_s": count / seconds, "correct": _count() - before == 2 * (count + 1) and _even()}


def _post(book: Any, cash: Any, other: Any) -> None:
    amount = Decimal(chance.randint(1, 9999))
    line = {"amount": amount, "description": "capture"}
    book.commit_txs(
        je_timestamp=localtime(),
        je_posted=True,
        je_desc="capture",
        je_txs=[
            {"account": cash, "tx_type": "debit", **line},
            {"account": other, "tx_type": "credit", **line},
        ],
    )


def _count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_ledger_transactionmodel")
        return int(cursor.fetchone()[0])


def _even() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(CASE tx_type WHEN 'debit' THEN amount ELSE -amount END), 0)"
            " FROM django_ledger_transactionmodel"
        )
        return bool(cursor.fetchone()[0] == 0)


if __name__ == "__main__":
    act, *given = sys.argv[1:]
    print(json.dumps(prepare() if act == "prepare" else single(int(given[0]))))
