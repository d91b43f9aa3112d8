"""SE-2: data keys outlive a change of master key, and what an erased key sealed is gone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from payops.core import clock, crypto
from payops.core.models import Book, DataKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_master_keys() -> Iterator[None]:
    crypto.master_keys.cache_clear()
    yield
    crypto.master_keys.cache_clear()


def key_of(scope: str) -> DataKey:
    return crypto.data_key(book=Book.objects.get(code="meridian"), scope=scope)


def test_new_master_version_wraps_new_keys_and_old_ones_still_open(settings: Any) -> None:
    first = settings.PAYOPS_MASTER_KEYS
    old = key_of("before")
    sealed = crypto.seal(old, b"DE02 1203 0000 0000 2020 51")

    settings.PAYOPS_MASTER_KEYS = f"{first},9:{base64.b64encode(b'n' * 32).decode()}"
    crypto.master_keys.cache_clear()
    crypto._unwrapped.cache_clear()

    assert crypto.open_sealed(old, sealed) == b"DE02 1203 0000 0000 2020 51"
    assert (old.master_version, key_of("after").master_version) == (1, 9)


def test_erased_key_opens_nothing_any_more() -> None:
    key = key_of("payee:gone")
    sealed = crypto.seal(key, b"secret")
    key.erased_at = clock.utc_now()
    key.save(update_fields=["erased_at"])

    with pytest.raises(crypto.KeyErased, match="payee:gone was erased"):
        crypto.open_sealed(DataKey.objects.get(pk=key.pk), sealed)


def test_ciphertext_does_not_show_the_plain_text_and_a_changed_byte_is_refused() -> None:
    key = key_of("tamper")
    sealed = crypto.seal(key, b"12,400.00 EUR")

    assert b"12,400" not in sealed
    with pytest.raises(InvalidTag):
        crypto.open_sealed(key, sealed[:-1] + bytes([sealed[-1] ^ 1]))
