"""Encryption at rest: data keys per book and scope, wrapped by a versioned master key (SE-2).

A new master version wraps new data keys while older versions still open theirs, until they are
re-wrapped (`payops/core/rewrapping.py`); erasing a data key makes its rows unreadable while the
rows and their hashes stay. Ciphertext is nonce (12 bytes) and
AES-256-GCM output.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from functools import cache, lru_cache
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payops.core.models import Book, DataKey

NONCE_BYTES = 12
CACHED_KEYS_MAX = 4096
HASH_SCOPE = "keyed-hash"


class KeyErased(LookupError):
    """The data key was erased; what it sealed cannot be read any more."""


@cache
def master_keys() -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    for part in filter(None, settings.PAYOPS_MASTER_KEYS.split(",")):
        version, _, text = part.strip().partition(":")
        keys[int(version)] = base64.b64decode(text)
    if not keys or any(len(key) != 32 for key in keys.values()):
        raise ImproperlyConfigured("PAYOPS_MASTER_KEYS needs '<version>:<base64 of 32 bytes>'")
    return keys


def data_key(*, book: Book, scope: str) -> DataKey:
    """The key row of a scope, created on first use; safe under concurrent first use."""
    existing = DataKey.objects.filter(book=book, scope=scope).first()
    if existing is not None:
        return existing
    return _fresh(book, scope, os.urandom(32))


def seal(key: DataKey, plain: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plain, None)


def open_sealed(key: DataKey, ciphertext: bytes | memoryview) -> bytes:
    sealed = bytes(ciphertext)
    return _cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)


def keyed_hash(text: str) -> str:
    """A searchable stand-in for a sensitive value (bank account numbers)."""
    return hmac.new(_hash_key(), text.encode(), hashlib.sha256).hexdigest()


def rewrap(key: DataKey, *, version: int) -> None:
    """Wrap the same key under another master version, tried before it counts; the caller saves."""
    assert key.erased_at is None, "an erased key stays erased"
    plain = _unwrap(key.scope, key.master_version, bytes(key.wrapped))
    wrapped = _wrap(key.scope, version, plain)
    assert _unwrap(key.scope, version, wrapped) == plain, "a key that would not open is not kept"
    key.master_version, key.wrapped = version, wrapped


def pin_hash_key(*, book: Book) -> DataKey:
    """Keep the key of `keyed_hash` as a data key of its own, so that hashes outlive master keys.

    Its value is that of the oldest master key, with which the hashes so far were made.
    """
    known = DataKey.objects.filter(scope=HASH_SCOPE).first()
    return known or _fresh(book, HASH_SCOPE, master_keys()[min(master_keys())])


@cache
def _hash_key() -> bytes:
    """Read once: the oldest master key and the pinned one are the same while both are there."""
    pinned = DataKey.objects.filter(scope=HASH_SCOPE).first()
    if pinned is None:
        return master_keys()[min(master_keys())]
    return _unwrap(pinned.scope, pinned.master_version, bytes(pinned.wrapped))


def _fresh(book: Book, scope: str, plain: bytes) -> DataKey:
    version = max(master_keys())
    wrapped = _wrap(scope, version, plain)
    fresh = DataKey(book=book, scope=scope, master_version=version, wrapped=wrapped)
    DataKey.objects.bulk_create([fresh], ignore_conflicts=True)
    return DataKey.objects.get(book=book, scope=scope)


def _cipher(key: DataKey) -> AESGCM:
    if key.erased_at is not None:
        raise KeyErased(f"data key {key.scope} was erased at {key.erased_at:%Y-%m-%d %H:%M}")
    return _unwrapped(key.pk, key.scope, key.master_version, bytes(key.wrapped))


@lru_cache(maxsize=CACHED_KEYS_MAX)
def _unwrapped(key_id: UUID, scope: str, master_version: int, wrapped: bytes) -> AESGCM:
    return AESGCM(_unwrap(scope, master_version, wrapped))


def _wrap(scope: str, master_version: int, plain: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master_keys()[master_version]).encrypt(nonce, plain, scope.encode())


def _unwrap(scope: str, master_version: int, wrapped: bytes) -> bytes:
    master = AESGCM(master_keys()[master_version])
    return master.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], scope.encode())
