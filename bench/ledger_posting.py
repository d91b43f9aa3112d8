"""The process behind `ledger.py`: posts entries through the product's own path; prints JSON.

`single`, `batch` and `posters` take how many entries; every answer is checked against the tables:
entries, lines that are nil in sum, keys, audit rows, and a replay that answers the same entries.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import django

django.setup()

from django.db import DatabaseError, connection, connections, transaction  # noqa: E402

from ledger.accounts import ensure_chart  # noqa: E402
from ledger.matrix import legs  # noqa: E402
from ledger.posting import Posting, Refs, post, post_many  # noqa: E402
from payops.core import clock, ids  # noqa: E402
from payops.core.actors import service  # noqa: E402
from payops.core.models import Book  # noqa: E402

BATCH = 1000
SELLERS = 1000
ACTOR = service("bench")
COUNTED = """
SELECT (SELECT count(*) FROM ledger_journalentry WHERE book_id = %(book)s),
  (SELECT count(*) FROM ledger_journalline WHERE book_id = %(book)s),
  (SELECT coalesce(sum(amount_minor), 0) FROM ledger_journalline WHERE book_id = %(book)s),
  (SELECT count(*) FROM ledger_postingkey k JOIN ledger_journalentry e ON e.id = k.entry_id
   WHERE k.book_id = %(book)s),
  (SELECT count(*) FROM core_auditevent WHERE book_id = %(book)s AND action = 'ledger.posted')"""
chance = random.Random()


def main() -> None:
    """`single N`, `batch N`, `posters N HOW_MANY hot|cold AT`: the answer on the last line."""
    act, count, *more = sys.argv[1:]
    print(json.dumps(ACTS[act](int(count), *more)))


def single(count: int) -> dict[str, Any]:
    """Each in a transaction of its own."""
    book = _book()
    _alone(_captures(book, 20))
    before = _counted(book)
    given = _captures(book, count)
    seconds = _alone(given)
    return {"per_s": count / seconds, "correct": _whole(book, before, given)}


def batch(count: int, at: str = "0") -> dict[str, Any]:
    """In batches of a thousand, each a transaction; starts `at` a moment, together with others."""
    book = _book()
    _together(_captures(book, BATCH))
    before = _counted(book)
    given = _captures(book, count)
    time.sleep(max(0.0, float(at) - time.time()))
    began = time.time()
    _together(given)
    ended = time.time()
    return {
        "count": count,
        "began": began,
        "ended": ended,
        "correct": _whole(book, before, given) and _guarded(book),
    }


def posters(count: int, how_many: str, where: str, at: str) -> dict[str, Any]:
    """Several connections at once; hot: one party of each account; cold: everyone its own."""
    book, many = _book(), int(how_many)
    each = count // many
    shares = [
        _captures(book, each, party="" if where == "hot" else ids.uuid7().hex[:12])
        for _ in range(many)
    ]
    before = _counted(book)
    faults: list[BaseException] = []

    def work(share: Sequence[Posting]) -> None:
        try:
            _alone(share)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[share]) for share in shares]
    time.sleep(max(0.0, float(at) - time.time()))
    began = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.time()
    given = [posting for share in shares for posting in share]
    right = not faults and _whole(book, before, given)
    return {"count": each * many, "began": began, "ended": ended, "correct": right}


def _captures(book: Book, count: int, *, party: str | None = None) -> list[Posting]:
    """Payments captured without a fee: two lines. `party` "" is one seller and one provider."""
    sellers = [ids.render("be", ids.uuid7()) for _ in range(1 if party is not None else SELLERS)]
    if party == "":
        sellers = ["be_" + "0" * 32]
    now, made = clock.utc_now(), []
    for _ in range(count):
        payment, amount = ids.render("pa", ids.uuid7()), chance.randint(1, 99_999)
        lines = legs(
            "payment.captured",
            amounts={"gross": amount, "seller_share": amount},
            currency="EUR",
            parties={
                "seller": chance.choice(sellers),
                "provider_account": f"stripe/{party or 'demo'}",
            },
        )
        made.append(
            Posting(
                book=book,
                event_class="payment.captured",
                subject_id=payment,
                movement_ref=f"ch_{payment[3:27]}",
                legs=lines,
                occurred_at=now,
                description="Payment captured",
                refs=Refs(payment_id=payment, event_id=f"ev_{payment[3:]}", trace_id=payment[3:]),
            )
        )
    return made


def _alone(given: Sequence[Posting]) -> float:
    began = time.perf_counter()
    for posting in given:
        with transaction.atomic(durable=True):
            post(posting, actor=ACTOR, now=clock.utc_now())
    return time.perf_counter() - began


def _together(given: Sequence[Posting]) -> None:
    for start in range(0, len(given), BATCH):
        with transaction.atomic(durable=True):
            post_many(given[start : start + BATCH], actor=ACTOR, now=clock.utc_now())


def _whole(book: Book, before: tuple[int, ...], given: Sequence[Posting]) -> bool:
    """Every posting left one entry, two lines, one key and one audit row; a replay, nothing."""
    after, count = _counted(book), len(given)
    more = tuple(now - then for now, then in zip(after, before, strict=True))
    with transaction.atomic(durable=True):
        replayed = post_many([given[0], given[-1]], actor=ACTOR, now=clock.utc_now())
    return (
        more == (count, 2 * count, 0, count, count)
        and all(outcome.replayed for outcome in replayed)
        and _counted(book) == after
    )


def _guarded(book: Book) -> bool:
    """The balance trigger is on: a line too many by a cent is refused by the database."""
    statement = (
        "INSERT INTO ledger_journalline (id, created_at, book_id, entry_id, position, account_id,"
        " party, amount_minor, currency, reporting_minor, posting_on)"
        " SELECT gen_random_uuid(), created_at, book_id, entry_id, position, account_id, party,"
        " 1, currency, 1, posting_on FROM ledger_journalline WHERE book_id = %s LIMIT 1"
    )
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(statement, [book.pk])
    except DatabaseError as error:
        return "out of balance by 1 EUR" in str(error)
    return False


def _counted(book: Book) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, {"book": book.pk})
        return tuple(int(each) for each in cursor.fetchone())


def _book() -> Book:
    """A book of its own for every process, with its month opened."""
    book = Book.objects.create(code=f"bench-{ids.uuid7().hex[-12:]}", name="Bench")
    ensure_chart(book)
    _alone(_captures(book, 1))
    return book


ACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "single": single,
    "batch": batch,
    "posters": posters,
}

if __name__ == "__main__":
    main()
