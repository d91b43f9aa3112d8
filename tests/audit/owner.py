"""The owner's connection as the default one: to break on purpose what the app role cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from payops.commands.bootstrap import as_owner


@pytest.fixture
def owners_world(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), as_owner():
        block = transaction.atomic()
        block._from_testcase = True  # what the product declares durable may run inside
        with block:
            yield
            transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def anchored_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test writes heads where a running stack keeps its own."""
    directory = tmp_path / "anchors"
    monkeypatch.setenv("PAYOPS_ANCHOR_DIR", str(directory))
    return directory
