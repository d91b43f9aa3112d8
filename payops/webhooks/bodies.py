"""The stored bodies of a batch of events, decrypted: two statements whatever its size (I1)."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from payops.core import crypto
from payops.core.models import DataKey
from payops.webhooks.models import Payload, ProviderEvent


def bodies_of(events: Iterable[ProviderEvent]) -> dict[UUID, bytes]:
    """Raw bytes by payload key; a body is read once even when it holds many items."""
    wanted = Payload.objects.filter(pk__in={event.payload_id for event in events})
    stored = list(wanted.values_list("pk", "data_key_id", "ciphertext"))
    keys = DataKey.objects.in_bulk({data_key for _, data_key, _ in stored})
    return {key: crypto.open_sealed(keys[of], sealed) for key, of, sealed in stored}
