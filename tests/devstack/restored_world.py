"""What the restore drill does inside the product: before the dump in the test's own process, and
afterwards as a program over the fresh cluster, whose last line is JSON.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from celery.signals import worker_init
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from ledger import balances
from ledger.matrix import legs
from ledger.models import JournalEntry, JournalLine, PostingKey
from ledger.posting import Outcome, Posting, post_many
from payops.core import actors, audit, clock
from payops.core.models import Book
from payops.flows import balance_fold
from payops.webhooks.models import Delivery, ProviderEvent
from tests.builders import post_standard

AT = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
CAPTURED = {
    "id": "sev_restore_1",
    "type": "payment.captured",
    "created": int(AT.timestamp()),
    "live": False,
    "data": {
        "id": "spm_restore_1",
        "object": "payment",
        "reference": "ORDER-R1",
        "amount": 100_000,
        "currency": "EUR",
        "status": "captured",
        "fee": 300,
        "platform_fee": 5_000,
        "seller": "S-1001",
        "method": "card",
        "created": int(AT.timestamp()),
    },
    "previous": None,
    "request": None,
}


def begin() -> dict[str, Any]:
    """A captured payment and a posting under a key of its own, folded and sealed."""
    answered, posted = deliver(), post()
    balance_fold.fold_all(now=clock.utc_now())
    audit.seal(now=clock.utc_now())
    return {"answered": answered, "replayed": posted.replayed, **told()}


def start() -> dict[str, str]:
    """The words with which web, a worker and `up`'s first step refuse, "" when they start."""
    return {"web": _refused(_web), "worker": _refused(_worker), "up": _refused(_migrate)}


def back() -> dict[str, Any]:
    """Follows docs/runbooks/restore.md, then sends both once more."""
    said, invariants, chain = io.StringIO(), io.StringIO(), io.StringIO()
    refused = start()
    connections.close_all()
    call_command("rebase_after_restore", stdout=said)
    started = start()
    restored = told()
    exits = [
        _code("check_invariants", "--json", stdout=invariants),
        _code("verify_audit", "--json", stdout=chain),
    ]
    answered, posted = deliver(), post()
    balance_fold.fold_all(now=clock.utc_now())
    return {
        "refused": refused,
        "said": said.getvalue(),
        "started": started,
        "exits": exits,
        "broken": [
            each
            for row in json.loads(invariants.getvalue())["invariants"].values()
            for each in row["breaks"]
        ],
        "audit": json.loads(chain.getvalue())["words"],
        "restored": restored,
        "answered": answered,
        "replayed": posted.replayed,
        "again": told(),
        "exits_again": [_code("check_invariants", stdout=io.StringIO())],
    }


def deliver() -> int:
    answered = post_standard(CAPTURED)
    call_command("drain", stdout=io.StringIO())
    return answered


def post() -> Outcome:
    """One posting under one key, as an internal system would send it twice."""
    book = Book.objects.get(code="meridian")
    posting = Posting(
        book=book,
        event_class="psp.topup",
        subject_id="tr_restore_1",
        movement_ref="mv_restore_1",
        legs=legs(
            "psp.topup",
            variant="",
            amounts={"amount": 7_700},
            currency="EUR",
            parties={"bank_account": "main", "provider_account": "stripe/demo"},
        ),
        occurred_at=AT,
        description="Funds sent to the PSP",
    )
    with transaction.atomic():
        (outcome,) = post_many([posting], actor=actors.service("drill"), now=clock.utc_now())
    return outcome


def told() -> dict[str, Any]:
    book = Book.objects.get(code="meridian")
    return {
        "entries": JournalEntry.objects.count(),
        "lines": JournalLine.objects.count(),
        "keys": PostingKey.objects.count(),
        "events": ProviderEvent.objects.count(),
        "receipts": Delivery.objects.count(),
        "balances": {
            f"{row.account} {row.party} {row.currency}": row.balance_minor
            for row in balances.trial_balance(book=book, per_party=True)
        },
    }


def _web() -> None:
    import payops.wsgi  # noqa: F401


def _worker() -> None:
    worker_init.send(sender=None)


def _migrate() -> None:
    call_command("migrate", verbosity=0)


def _refused(act: Any) -> str:
    try:
        act()
    except (SystemExit, CommandError) as refusal:
        return str(refusal)
    return ""


def _code(*command: str, stdout: io.StringIO) -> int:
    try:
        call_command(*command, stdout=stdout)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def main() -> None:
    print(json.dumps(back()))
