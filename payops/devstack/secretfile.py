"""Secrets of one data directory: generated once, kept 0600, the same after every restart.

A value given in the environment always wins over the generated one (see environment.py).
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from payops.devstack.privatefiles import read_json, write_private_json

FILE = "secrets.json"


@dataclass(frozen=True)
class Secrets:
    """Field name = name in the file."""

    postgres_superuser: str
    postgres_owner: str
    postgres_app: str
    postgres_facts: str
    broker: str
    secret_key: str
    master_keys: str
    psp_key: str
    webhook_stripe_demo: str
    webhook_standard_demo: str
    webhook_adyen_demo: str
    webhook_paypal_demo: str
    webhook_servicenow_support: str


def load_secrets(*, directory: Path) -> Secrets:
    """The stored secrets; what is missing is generated and stored."""
    path = directory / FILE
    stored = read_json(path=path)
    complete = {
        field.name: stored.get(field.name) or _GENERATORS.get(field.name, _password)()
        for field in fields(Secrets)
    }
    if complete != stored:
        write_private_json(path=path, content=complete)
    return Secrets(**complete)


def _password() -> str:
    return secrets.token_urlsafe(24)


def _key_of_32_bytes() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


_GENERATORS: dict[str, Callable[[], str]] = {
    "secret_key": lambda: secrets.token_urlsafe(50),
    "master_keys": lambda: f"1:{_key_of_32_bytes()}",
    "psp_key": lambda: f"sk_test_{secrets.token_hex(16)}",
    # Stripe signs with the whole text of the secret, Standard Webhooks with the decoded part.
    "webhook_stripe_demo": lambda: f"whsec_{secrets.token_hex(24)}",
    "webhook_standard_demo": lambda: f"whsec_{_key_of_32_bytes()}",
    # Adyen's keys are 32 bytes in hex; PayPal signs with a certificate and names its webhook.
    "webhook_adyen_demo": lambda: secrets.token_hex(32).upper(),
    "webhook_paypal_demo": lambda: secrets.token_hex(9).upper()[:17],
}
