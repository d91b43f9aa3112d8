"""GET /healthz: 200 with each part's state when ready, 503 without the database."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError, transaction
from django.test import Client

from payops.core import audit
from payops.core.actors import service
from payops.core.clock import utc_now
from payops.core.models import Book
from payops.monitoring import health
from tests import builders
from tests.audit.sealing import seal_everything


@pytest.mark.django_db(transaction=True)
def test_ready_names_every_part_and_needs_no_session():
    answer = Client().get("/healthz")

    said = answer.json()
    assert (answer.status_code, said["ready"]) == (200, True)
    assert set(said["parts"]) == {
        "database",
        "broker",
        "books",
        "migrations",
        "audit",
        "lanes",
        "schedule",
        "topics",
    }
    assert said["parts"]["lanes"]["state"] == "ready"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db(transaction=True)
def test_waiting_events_and_unsealed_audit_show_their_age():
    body = builders.standard_event("payout.paid", {"id": "spo_x", "object": "payout"})
    assert builders.post_standard(body) == 200
    late = service("health-test")
    book = Book.objects.get(code="meridian")
    seal_everything()
    with transaction.atomic():
        old = utc_now() - timedelta(seconds=90)
        audit.record([audit.event(book=book, actor=late, action="x", subject_id="x", now=old)])

    parts = Client().get("/healthz").json()["parts"]

    ages = [lane["inbox_s"] for lane in parts["lanes"]["oldest_waiting"].values()]
    assert [age for age in ages if age is not None] != []
    assert parts["audit"]["state"] == "late"
    assert parts["audit"]["oldest_unsealed_s"] >= 90


@pytest.mark.django_db
def test_without_the_database_the_answer_is_503_and_says_nothing_more():
    away = OperationalError("password=secret host=db")
    with mock.patch.object(health.connection, "cursor", side_effect=away):
        answer = Client().get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["database"] == {"state": "away"}
    assert "secret" not in answer.content.decode()


@pytest.mark.django_db
def test_pending_migrations_are_not_ready():
    with (
        mock.patch.object(health._Migrated, "done", False),
        mock.patch.object(health.MigrationExecutor, "migration_plan", return_value=[1, 2]),
    ):
        answer = Client().get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["migrations"] == {"state": "pending", "count": 2}
