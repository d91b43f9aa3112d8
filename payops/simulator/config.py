"""Settings of the simulator process, read once from the environment.

Owns names, defaults and bounds. Never guesses a secret: a missing one of Stripe or the standard
provider stops the start, one of Adyen or PayPal leaves that provider out, because an unsigned or
unauthenticated provider would prove nothing (WH-1, I7).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

STRIPE = "stripe"
ADYEN = "adyen"
PAYPAL = "paypal"
STANDARD = "standard"
PROVIDERS = (STRIPE, ADYEN, PAYPAL, STANDARD)

BODY_MAX = 64 * 1024
COPIES_MAX = 200
TRIES_MAX = 1_000
SETTLE_MAX_S = 86_400.0
DEFAULT_BACKOFF_S = "1,2,5,10,20,30"
DEFAULT_TRIES = "40"
# How long each provider remembers a key, as it documents it; the standard one promises nothing.
DAY_S = 86_400.0
KEY_WINDOWS_S: Mapping[str, float] = {
    STRIPE: DAY_S,
    ADYEN: 7 * DAY_S,
    PAYPAL: 45 * DAY_S,
    STANDARD: DAY_S,
}
DEFAULT_MERCHANT = "MeridianDE"
DEFAULT_LOGIN_S = "32400"
EVENT_DAYS = 30


class ConfigError(Exception):
    """A setting is missing or malformed; the text names it."""


@dataclass(frozen=True)
class Endpoint:
    """Where one provider account's webhooks go, and the secrets that sign them.

    PayPal signs with a certificate: its one "secret" is the id of the webhook.
    """

    account: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """Everything the process was told at its start."""

    directory: Path
    target: str
    endpoints: Mapping[str, Endpoint]
    api_key: str
    adyen_key: str
    adyen_merchant: str
    paypal_key: str
    token_s: float
    settle_s: float
    backoff_s: tuple[float, ...]
    tries_max: int
    key_windows_s: Mapping[str, float]


def read_config(*, environ: Mapping[str, str], directory: Path) -> Config:
    """Settings from `environ`; raises ConfigError naming the variable that is wrong."""
    target = _required(environ, "SIM_TARGET").rstrip("/")
    if urlsplit(target).scheme not in ("http", "https") or not urlsplit(target).hostname:
        raise ConfigError("SIM_TARGET must be an http(s) address such as http://127.0.0.1:8000")
    standard = _endpoint(environ, "STANDARD")
    for secret in standard.secrets:
        _check_standard_secret(secret)
    endpoints = {STRIPE: _endpoint(environ, "STRIPE"), STANDARD: standard}
    if environ.get("SIM_ADYEN_SECRET"):
        endpoints[ADYEN] = _endpoint(environ, "ADYEN")
        for secret in endpoints[ADYEN].secrets:
            _check_hex_secret(secret)
    if webhook_id := environ.get("SIM_PAYPAL_WEBHOOK_ID", "").strip():
        account = environ.get("SIM_PAYPAL_ACCOUNT", "demo")
        endpoints[PAYPAL] = Endpoint(account=account, secrets=(webhook_id,))
    api_key = _required(environ, "SIM_API_KEY")
    paypal_key = environ.get("SIM_PAYPAL_KEY") or f"sim-client:{api_key}"
    if not all(paypal_key.partition(":")):
        raise ConfigError("SIM_PAYPAL_KEY must be a client id and a secret joined by a colon")
    return Config(
        directory=directory,
        target=target,
        endpoints=endpoints,
        api_key=api_key,
        adyen_key=environ.get("SIM_ADYEN_KEY") or api_key,
        adyen_merchant=environ.get("SIM_ADYEN_MERCHANT") or DEFAULT_MERCHANT,
        paypal_key=paypal_key,
        token_s=_seconds(environ, "SIM_PAYPAL_TOKEN_S", DEFAULT_LOGIN_S, low=0.1),
        settle_s=_seconds(environ, "SIM_SETTLE_S", "1.0"),
        backoff_s=_backoff(environ),
        tries_max=int(_seconds(environ, "SIM_TRIES", DEFAULT_TRIES, low=1, high=TRIES_MAX)),
        key_windows_s=_key_windows(environ),
    )


def _endpoint(environ: Mapping[str, str], name: str) -> Endpoint:
    secrets = tuple(s for s in _required(environ, f"SIM_{name}_SECRET").split(",") if s)
    return Endpoint(account=environ.get(f"SIM_{name}_ACCOUNT", "demo"), secrets=secrets)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set")
    return value


def _seconds(
    environ: Mapping[str, str], name: str, default: str, *, low: float = -1, high: float = 86_400
) -> float:
    try:
        value = float(environ.get(name) or default)
    except ValueError:
        raise ConfigError(f"{name} is not a number") from None
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low:g} and {high:g}")
    return value


def _key_windows(environ: Mapping[str, str]) -> Mapping[str, float]:
    """One window for all when it is named, else each provider's own."""
    if not environ.get("SIM_KEY_WINDOW_S"):
        return KEY_WINDOWS_S
    window_s = _seconds(environ, "SIM_KEY_WINDOW_S", "", high=1e8)
    return dict.fromkeys(PROVIDERS, window_s)


def _backoff(environ: Mapping[str, str]) -> tuple[float, ...]:
    try:
        pauses = tuple(
            float(p) for p in (environ.get("SIM_BACKOFF_S") or DEFAULT_BACKOFF_S).split(",")
        )
    except ValueError:
        raise ConfigError("SIM_BACKOFF_S must be a comma list of seconds") from None
    if not all(0.01 <= pause <= 86_400 for pause in pauses):
        raise ConfigError("SIM_BACKOFF_S must hold seconds between 0.01 and 86400")
    return pauses


def _check_hex_secret(secret: str) -> None:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", secret):
        raise ConfigError("SIM_ADYEN_SECRET must be 64 hex digits")


def _check_standard_secret(secret: str) -> None:
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        raise ConfigError("SIM_STANDARD_SECRET must be whsec_ followed by base64") from None
    if not 24 <= size <= 64:
        raise ConfigError("SIM_STANDARD_SECRET must decode to 24 to 64 bytes")
