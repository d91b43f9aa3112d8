"""An id of ours leads to its page, whatever screen it stands on (OB-5)."""

from __future__ import annotations

import pytest
from django.urls import resolve

from payops.console.formats import PAGES, address_of
from payops.core import ids

SERIAL = "0190d3a1b2c37d4e8f90a1b2c3d4e5f6"


@pytest.mark.parametrize("prefix", PAGES)
def test_every_page_of_the_table_exists(prefix: str) -> None:
    public_id = f"{prefix}_{SERIAL}"

    found = resolve(address_of(public_id))

    assert found.kwargs["public_id"] == public_id
    assert prefix in ids.PREFIXES


def test_an_alert_leads_to_its_page() -> None:
    assert address_of(f"al_{SERIAL}") == f"/monitoring/alerts/al_{SERIAL}/"
