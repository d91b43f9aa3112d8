"""What tests of screens share: a browser signed in as somebody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.people import login

Browser = Callable[[str], Client]


@pytest.fixture
def as_() -> Browser:
    """`as_("lena")` is a browser in which Lena has signed in."""

    def signed_in(username: str) -> Client:
        client = Client()
        client.force_login(login(username))
        return client

    return signed_in
