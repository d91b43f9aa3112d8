"""When the receipt cannot be made durable, and what nobody can take back (WH-14, D15, I1)."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from django.db import Error, connection, connections, transaction

from payops.core import wake
from payops.core.models import DataKey
from payops.webhooks import statement
from payops.webhooks.directory import directory
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from payops.webhooks.outage import outage
from tests.webhooks.senders import send_stripe, stripe_body

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database_down(monkeypatch):
    """New connections go to a port where nothing listens; this thread keeps its own."""
    monkeypatch.setitem(connections.settings["default"], "PORT", "1")


def from_a_new_thread(act):
    result = []

    def run():
        try:
            result.append(act())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=30)
    return result[0]


def test_database_down_is_503_and_the_retry_succeeds_wh_14(monkeypatch):
    assert send_stripe(stripe_body(1)).status_code == 200

    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["default"], "PORT", "1")
        down = from_a_new_thread(lambda: send_stripe(stripe_body(2)))
    outage.end()
    again = from_a_new_thread(lambda: send_stripe(stripe_body(2)))

    assert (down.status_code, down["Retry-After"], down.content) == (503, "5", b"")
    assert again.status_code == 200
    assert Delivery.objects.count() == 2


def test_while_the_database_is_away_senders_are_turned_off_without_trying_again(monkeypatch):
    """WH-14: an outage costs no queue; who still has a connection is served."""
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["default"], "PORT", "1")
        assert from_a_new_thread(lambda: send_stripe(stripe_body(1))).status_code == 503

    turned_off = from_a_new_thread(lambda: send_stripe(stripe_body(2)))
    connection.ensure_connection()
    served = send_stripe(stripe_body(3))
    monkeypatch.setattr(outage, "_until_s", time.monotonic() - 0.001)
    afterwards = from_a_new_thread(lambda: send_stripe(stripe_body(2)))

    assert (turned_off.status_code, turned_off["Retry-After"]) == (503, "5")
    assert (served.status_code, afterwards.status_code) == (200, 200)
    assert Delivery.objects.count() == 2


def test_database_down_before_anything_is_known_is_503(database_down):
    directory.forget()

    assert from_a_new_thread(lambda: send_stripe(stripe_body())).status_code == 503


def test_refusal_that_cannot_be_recorded_is_503(monkeypatch):
    assert send_stripe(stripe_body()).status_code == 200
    monkeypatch.setitem(connections.settings["default"], "PORT", "1")

    down = from_a_new_thread(lambda: send_stripe(stripe_body(), secret="wrong_" * 4))

    assert down.status_code == 503


def test_dead_connection_is_replaced_and_nothing_is_stored_twice():
    send_stripe(stripe_body(1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    killed = from_a_new_thread(lambda: _terminate(pid))
    answer = send_stripe(stripe_body(2))

    assert killed is True
    assert answer.status_code == 200
    assert Delivery.objects.count() == ProviderEvent.objects.count() == 2


def _terminate(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        return cursor.fetchone()[0]


def test_statement_sent_twice_after_an_unclear_commit_stores_once(monkeypatch):
    run = statement.run

    def twice(bodies):
        run(bodies)
        return run(bodies)

    monkeypatch.setattr(statement, "run", twice)

    assert send_stripe(stripe_body()).status_code == 200

    assert Delivery.objects.get().duplicate is False
    assert ProviderEvent.objects.count() == Payload.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_message")
        assert cursor.fetchone()[0] == 0


def test_data_key_that_a_restore_took_away_is_made_again(owner):
    send_stripe(stripe_body(1))
    owner.execute("TRUNCATE webhooks_payload, webhooks_providerevent, webhooks_delivery CASCADE")
    owner.execute("DELETE FROM core_datakey WHERE scope LIKE 'webhooks:%'")

    answer = send_stripe(stripe_body(2))

    assert answer.status_code == 200
    assert DataKey.objects.filter(scope__startswith="webhooks:").count() == 1
    assert Delivery.objects.count() == 1


def test_wake_up_that_fails_after_the_commit_changes_no_answer_d15(monkeypatch):
    def broken(lane):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wake, "wake", broken)

    assert send_stripe(stripe_body()).status_code == 200
    assert ProviderEvent.objects.count() == 1


def test_wake_up_names_the_lane_of_the_new_event_only(monkeypatch):
    lanes: list[str] = []
    monkeypatch.setattr(wake, "wake", lanes.append)

    send_stripe(stripe_body())
    first = list(lanes)
    send_stripe(stripe_body())

    assert first == ["high"]
    assert lanes[1:] == ["bulk"]


@pytest.mark.parametrize("table", ["webhooks_delivery", "webhooks_payload"])
@pytest.mark.parametrize(
    "act", ["UPDATE {} SET created_at = now()", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_app_role_can_neither_change_delete_nor_truncate_receipts_and_bytes(table, act):
    send_stripe(stripe_body())

    with pytest.raises(Error, match="permission denied"), transaction.atomic():
        connection.cursor().execute(act.format(table))

    assert Delivery.objects.count() == Payload.objects.count() == 1


@pytest.mark.parametrize("table", ["webhooks_delivery", "webhooks_payload"])
def test_even_the_owner_cannot_change_a_receipt(owner, table):
    send_stripe(stripe_body())

    for act in (f"UPDATE {table} SET sha256 = ''", f"DELETE FROM {table}"):
        with pytest.raises(psycopg.Error, match="append-only"):
            owner.execute(act)
