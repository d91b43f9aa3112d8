"""SE-2: data keys move under a new master key while the product runs; the old one can then go."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from django.core.management import call_command
from django.db import transaction

from payops.core import actors, clock, crypto, rewrapping
from payops.core.models import AuditEvent, Book, DataKey
from payops.webhooks.secrets import active_secrets
from tests.accounts import account_of
from tests.builders import seller
from tests.conftest import STRIPE_SECRET

pytestmark = pytest.mark.django_db(transaction=True)
NEW = base64.b64encode(b"n" * 32).decode()


def forget() -> None:
    crypto.master_keys.cache_clear()
    crypto._unwrapped.cache_clear()
    crypto._hash_key.cache_clear()


@pytest.fixture(autouse=True)
def fresh_master_keys() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def both(settings: Any) -> Any:
    """The old master key and a new one; the answer is a function that puts the old one away."""
    settings.PAYOPS_MASTER_KEYS = f"{settings.PAYOPS_MASTER_KEYS},2:{NEW}"
    forget()

    def without_the_old_one() -> None:
        settings.PAYOPS_MASTER_KEYS = f"2:{NEW}"
        forget()

    return without_the_old_one


def rewrap(**options: Any) -> dict[str, int]:
    out = io.StringIO()
    call_command("rewrap_keys", json=True, stdout=out, **options)
    told: dict[str, int] = json.loads(out.getvalue())
    return told


def key_of(scope: str) -> DataKey:
    return crypto.data_key(book=Book.objects.get(code="meridian"), scope=scope)


def test_everything_still_opens_when_the_old_master_key_is_gone(both: Any) -> None:
    """Webhook secrets, bank details, payloads; and the hashes that payees are found by."""
    old_version = DataKey.objects.values_list("master_version", flat=True).distinct().get()
    keys = DataKey.objects.count()
    payee, hashed = seller(), crypto.keyed_hash("DE02 1203")
    before = {key.pk: bytes(key.wrapped) for key in DataKey.objects.all()}

    told = rewrap(batch=3)

    assert (old_version, told) == (1, {"rewrapped": keys, "left": 0, "erased": 0, "version": 2})
    both()
    assert crypto.keyed_hash("DE02 1203") == hashed
    fresh = seller()
    opened = json.loads(crypto.open_sealed(fresh.data_key, fresh.bank_ciphertext))
    assert (opened["holder"], fresh.bank_hash) == (payee.name, payee.bank_hash)
    secrets = active_secrets(account=account_of("stripe"), now=clock.utc_now())
    assert [each.value for each in secrets] == [STRIPE_SECRET]
    assert all(bytes(key.wrapped) != before.get(key.pk) for key in DataKey.objects.all())
    assert set(DataKey.objects.values_list("master_version", flat=True)) == {2}


def test_without_rewrapping_nothing_opens_any_more(both: Any) -> None:
    """The test above would see it."""
    key = key_of("left behind")
    DataKey.objects.filter(pk=key.pk).delete()
    payee = seller()
    both()

    with pytest.raises((KeyError, InvalidTag)):
        crypto.open_sealed(payee.data_key, payee.bank_ciphertext)


def test_stopped_in_the_middle_it_goes_on_where_it_stopped(both: Any) -> None:
    keys = DataKey.objects.count()
    actor, now = actors.service("rewrap-keys", channel="command"), clock.utc_now()
    with transaction.atomic():
        assert rewrapping.rewrap_batch(actor=actor, now=now, size=2) == 2
    with pytest.raises(RuntimeError), transaction.atomic():
        rewrapping.rewrap_batch(actor=actor, now=now, size=2)
        raise RuntimeError("the process dies before its commit")

    assert rewrapping.left() == rewrapping.Left(live=keys - 2, erased=0, newest=2)
    assert rewrap()["rewrapped"] == keys - 2
    assert rewrap()["rewrapped"] == 0
    trail = AuditEvent.objects.filter(action="data_keys.rewrapped").order_by("created_at")
    assert [row.evidence["keys"] for row in trail] == [2, keys - 2]
    assert {(row.subject_id, row.service) for row in trail} == {("master-key:2", "rewrap-keys")}


def test_erased_keys_stay_as_they_are(both: Any) -> None:
    gone = seller().data_key
    gone.erased_at = clock.utc_now()
    gone.save(update_fields=["erased_at"])
    wrapped = bytes(gone.wrapped)

    told = rewrap()

    kept = DataKey.objects.get(pk=gone.pk)
    assert (kept.master_version, bytes(kept.wrapped), told["erased"]) == (1, wrapped, 1)
    assert told["left"] == 0
    with pytest.raises(crypto.KeyErased):
        crypto.open_sealed(kept, b"x" * 40)


def test_sealing_and_opening_go_on_while_keys_are_rewrapped(both: Any) -> None:
    """A process that holds the row as it was still seals what everybody opens afterwards."""
    held = [DataKey.objects.get(pk=pk) for pk in DataKey.objects.values_list("pk", flat=True)]
    sealed: list[tuple[DataKey, bytes]] = []
    stop = threading.Event()

    def seals() -> None:
        while not stop.is_set():
            for key in held:
                sealed.append((key, crypto.seal(key, b"while it ran")))

    worker = threading.Thread(target=seals)
    worker.start()
    try:
        rewrap(batch=1)
    finally:
        stop.set()
        worker.join(timeout=30)
    both()

    assert len(sealed) >= len(held)
    now_rows = {key.pk: key for key in DataKey.objects.all()}
    assert {crypto.open_sealed(now_rows[key.pk], body) for key, body in sealed} == {b"while it ran"}


def test_a_key_that_does_not_open_stops_the_batch_and_nothing_is_written(both: Any) -> None:
    broken = DataKey.objects.order_by("pk")[1]
    DataKey.objects.filter(pk=broken.pk).update(wrapped=b"\x00" * len(bytes(broken.wrapped)))

    with pytest.raises(InvalidTag):
        rewrap(batch=10)

    assert not DataKey.objects.filter(master_version=2).exclude(scope=crypto.HASH_SCOPE).exists()
