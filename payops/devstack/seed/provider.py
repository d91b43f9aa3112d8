"""The simulator's control door, for the seed and the scripted day: what happens at the provider."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings

TIMEOUT_S = 15
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.1


class ProviderSilent(RuntimeError):
    """The simulator did not answer, or the product did not get there in time."""


class Provider:
    """One simulator process, found behind the PSP addresses of the settings."""

    def __init__(self) -> None:
        parts = urlsplit(settings.PSP["standard"]["base_url"])
        self.base = f"{parts.scheme}://{parts.netloc}/control"

    def tell(self, path: str, **said: Any) -> dict[str, Any]:
        """POST one control call. Raises ProviderSilent."""
        request = urllib.request.Request(
            self.base + path,
            data=json.dumps(said).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        return self._answer(request)

    def ask(self, path: str) -> dict[str, Any]:
        return self._answer(urllib.request.Request(self.base + path))

    def on_payout(self, our_ref: str, act: str, **said: Any) -> dict[str, Any]:
        return self.tell(f"/payouts/{quote(our_ref)}/{act}", **said)

    def _answer(self, request: urllib.request.Request) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ProviderSilent(f"{request.full_url}: {error.read()[:300]!r}") from error
        except (OSError, ValueError) as error:
            raise ProviderSilent(f"{request.full_url}: {error}") from error


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Look until the product got there. Raises ProviderSilent after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > until:
            raise ProviderSilent(f"after {PATIENCE_S:.0f} s still not: {what}")
        time.sleep(LOOK_EVERY_S)
