"""Acting as the schema's owner: for the audited bootstrap alone, never in the running product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections


@contextmanager
def as_owner() -> Iterator[None]:
    """Point the default connection at the owner's role until the block ends."""
    default = connections["default"]
    default.close()
    kept = {name: default.settings_dict[name] for name in ("USER", "PASSWORD")}
    owner = connections["owner"].settings_dict
    default.settings_dict.update({name: owner[name] for name in ("USER", "PASSWORD")})
    try:
        yield
    finally:
        default.close()
        default.settings_dict.update(kept)
