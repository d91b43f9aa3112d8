"""`check_invariants`: its JSON, its exit code, and the provider's log as the witness of I7."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from payops.commands.invariants import witness
from tests.audit.sealing import seal_everything
from tests.audit.story import break_rule, seal_all, tell

ROW = {
    "seq": 1,
    "provider": "stripe",
    "kind": "payout",
    "direction": "out",
    "object_id": "po_1",
    "reference": "po_" + "1" * 32,
    "merchant_reference": None,
    "amount": 1240000,
    "currency": "EUR",
    "idempotency_key": None,
    "at": 1767225600.5,
}


@pytest.fixture
def provider(settings: Any) -> Iterator[list[str]]:
    """A provider that answers its log in two pages; the list holds what was asked."""
    asked: list[str] = []

    class Log(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            first = "after=0" in self.path
            page = {"movements": [ROW], "next_after": 1} if first else {"movements": []}
            body = json.dumps({"next_after": None, **page}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Log)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    settings.PSP = {"stripe": {"base_url": f"http://{host}/stripe", "api_key": "x"}}
    settings.HTTP_ALLOW = frozenset({host})
    yield asked
    server.shutdown()
    server.server_close()


def _run(*arguments: str) -> tuple[int, dict[str, Any]]:
    told, code = StringIO(), 0
    try:
        call_command("check_invariants", "--json", *arguments, stdout=told)
    except SystemExit as end:
        code = int(str(end.code))
    return code, json.loads(told.getvalue())


def test_the_providers_log_is_read_page_by_page(provider: list[str]) -> None:
    movements, note = witness.movements()

    assert movements is not None
    assert [(m.object_id, m.amount_minor, m.idempotency_key) for m in movements] == [
        ("po_1", 1240000, "")
    ]
    assert note == "compared with the logs of stripe"
    assert [path.split("?")[0] for path in provider] == ["/control/movements"] * 2


def test_without_a_log_the_check_says_so(settings: Any) -> None:
    settings.PSP = {"stripe": {"base_url": "https://api.stripe.com", "api_key": "x"}}
    settings.HTTP_ALLOW = frozenset()

    movements, note = witness.movements()

    assert movements is None
    assert note == "no provider offers its log of movements; intents compared with calls alone"


def test_a_log_that_does_not_answer_is_said_so(settings: Any) -> None:
    settings.PSP = {"stripe": {"base_url": "http://127.0.0.1:9/stripe", "api_key": "x"}}
    settings.HTTP_ALLOW = frozenset({"127.0.0.1:9"})

    movements, note = witness.movements()

    assert movements is None
    assert note.startswith("stripe's log of movements did not answer (")


@pytest.mark.django_db(transaction=True)
def test_the_seeded_database_holds_every_invariant_for_the_app_role(settings: Any) -> None:
    settings.HTTP_ALLOW = frozenset()
    seal_everything()

    code, told = _run()

    breaks = {key: row["breaks"] for key, row in told["invariants"].items() if row["breaks"]}
    assert (breaks, told["ok"], code) == ({}, True, 0)


@pytest.mark.usefixtures("owners_world")
def test_a_break_exits_with_one(settings: Any) -> None:
    settings.HTTP_ALLOW = frozenset()
    story = tell()
    seal_all()
    break_rule(
        "payments_payout",
        "UPDATE payments_payout SET state = 'PAID' WHERE id = %s",
        [story.payout.pk],
    )

    code, told = _run("--only", "I10", "I18")

    assert code == 1
    assert (told["ok"], told["invariants"]["I10"]["ok"]) == (False, True)
    assert told["invariants"]["I18"]["breaks"] == [
        f"{story.payout.public_id} is PAID, but its history ends in EXCEPTION"
    ]
