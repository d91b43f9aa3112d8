"""Inspection of the journal in the plain admin; nothing can be written through it."""

from __future__ import annotations

from ledger import models
from payops.core.admin import inspect

inspect(models.Account, "code", "name", "kind", "party_kind", "book")
inspect(models.AccountingPeriod, "code", "starts_on", "ends_on", "state", "book")
inspect(models.JournalEntry, "posting_on", "event_class", "subject_id", "description")
inspect(models.JournalLine, "entry", "position", "account", "amount_minor", "currency")
inspect(models.PostingKey, "key", "fingerprint", "entry_id", "created_at")
