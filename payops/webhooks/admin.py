"""Inspection of receipts and events; bodies and secrets are never shown here."""

from __future__ import annotations

from payops.core.admin import inspect
from payops.webhooks import models

inspect(
    models.Delivery,
    "created_at",
    "account",
    "provider_event_id",
    "signature_ok",
    "duplicate",
    "status_sent",
)
inspect(models.ProviderEvent, "created_at", "account", "type", "state", "attempts", "outcome")
inspect(models.Payload, "created_at", "sha256", "size_bytes", hidden=("ciphertext",))
inspect(
    models.Secret, "account", "hint", "active_from", "retired_at", hidden=("ciphertext", "data_key")
)
