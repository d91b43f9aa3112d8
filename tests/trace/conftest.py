"""Tests here act as the database's owner, inside one transaction that is rolled back."""

from __future__ import annotations

from tests.audit.owner import anchored_elsewhere, owners_world

__all__ = ["anchored_elsewhere", "owners_world"]
