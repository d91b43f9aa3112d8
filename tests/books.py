"""The operating book with the settings a test needs, set by the schema's owner."""

from __future__ import annotations

from typing import Any

from payops.commands.bootstrap import as_owner
from payops.core.models import Book


def with_settings(**columns: Any) -> Book:
    """What a granted approval would do, at once; the running product may not (D5)."""
    with as_owner():
        book = Book.objects.get(is_system=False)
        for name, value in columns.items():
            setattr(book, name, value)
        book.save()
    return Book.objects.get(is_system=False)
