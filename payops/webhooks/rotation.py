"""Changing a webhook secret without losing an event: its format, the overlap, the numbers (WH-30).

Owns what each provider's secret looks like and how long an old one has to stay beside the new one:
the provider's own retries and a margin, counted from the last receipt it verified. Writes nothing.
"""

from __future__ import annotations

import base64
import re
import secrets as randomness
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from payops.core import clock
from payops.core.models import ProviderAccount
from payops.psp import registry
from payops.webhooks import secret_use
from payops.webhooks.models import Secret

MARGIN = timedelta(days=1)
STANDARD_BYTES = (24, 64)


class RotationRefused(ValueError):
    """The value does not fit, or the secret is still needed; the text has the numbers."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a provider writes a secret. `make` is None where only the provider makes one."""

    pattern: re.Pattern[str]
    words: str
    make: Callable[[], str] | None
    at_provider: str


@dataclass(frozen=True, slots=True)
class SecretState:
    """A live secret beside what it verified and until when it is needed."""

    secret: Secret
    use: secret_use.Use
    others: int
    receipts: int
    needed_until: datetime | None

    def refusal(self, now: datetime) -> str:
        """Why it cannot be retired now; "" when it can."""
        if not self.others:
            return (
                f"…{self.secret.hint} is the only live secret of {self.secret.account.address}: "
                "without it every event is refused. Add the new secret first"
            )
        if self.needed_until is None or self.needed_until <= now or self.use.last_at is None:
            return ""
        return (
            f"…{self.secret.hint} verified {self.receipts} receipt"
            f"{'' if self.receipts == 1 else 's'} within the overlap, the last one at "
            f"{self.use.last_at:%Y-%m-%d %H:%M} UTC. The provider may still use it until "
            f"{self.needed_until:%Y-%m-%d %H:%M} UTC; retire it then, or force it with a reason"
        )


TICKET_FORM = re.compile(r"[!-~]{24,200}")
TICKET_FORM_WORDS = "24 to 200 visible characters"
FORMATS = {
    "stripe": Format(
        re.compile(r"whsec_[A-Za-z0-9_+/=-]{10,200}"),
        "whsec_ and the characters Stripe shows",
        lambda: f"whsec_{randomness.token_hex(16)}",
        "Stripe Dashboard, Developers, Webhooks: roll the signing secret of this address and let "
        "the old one live as long as Stripe allows",
    ),
    "standard": Format(
        re.compile(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}"),
        "whsec_ and base64 of 24 to 64 bytes",
        lambda: f"whsec_{base64.b64encode(randomness.token_bytes(32)).decode()}",
        "The sender's settings of this address: add it as a further secret, then make it the first",
    ),
    "adyen": Format(
        re.compile(r"[0-9A-Fa-f]{64}"),
        "64 hexadecimal digits",
        lambda: randomness.token_hex(32).upper(),
        "Adyen Customer Area, Developers, Webhooks: the HMAC key of this webhook",
    ),
    "paypal": Format(
        re.compile(r"[A-Za-z0-9]{16,64}"),
        "the webhook id PayPal shows, letters and digits",
        None,
        "PayPal Developer Dashboard, Apps, Webhooks: create the webhook for this address there and "
        "enter its id here",
    ),
    "jira": Format(
        TICKET_FORM,
        TICKET_FORM_WORDS,
        lambda: randomness.token_urlsafe(32),
        "Jira, System, WebHooks: the secret of this webhook",
    ),
    "servicenow": Format(
        TICKET_FORM,
        TICKET_FORM_WORDS,
        lambda: randomness.token_urlsafe(32),
        "ServiceNow, the credential that the business rule of this address sends or signs with",
    ),
}


def generated(account: ProviderAccount) -> str:
    """A fresh value in the provider's format. Raises RotationRefused."""
    make = FORMATS[account.provider].make
    if make is None:
        raise RotationRefused(
            f"{account.provider} makes this value itself: {FORMATS[account.provider].at_provider}"
        )
    return make()


def checked(account: ProviderAccount, value: str) -> str:
    """The value as it is kept. Raises RotationRefused."""
    found, shape = value.strip(), FORMATS[account.provider]
    if not shape.pattern.fullmatch(found):
        raise RotationRefused(
            f"a secret of {account.provider} is {shape.words}; {len(found)} characters given "
            "do not have that form"
        )
    if account.provider == "standard":
        low, high = STANDARD_BYTES
        try:
            size = len(base64.b64decode(found.removeprefix("whsec_"), validate=True))
        except ValueError:
            size = 0
        if not low <= size <= high:
            raise RotationRefused(f"{size} bytes behind whsec_; {low} to {high} fit")
    return found


def overlap(account: ProviderAccount) -> timedelta:
    """How long an old secret stays: the provider's retries and a margin."""
    return registry.provider(account.provider).retry_window + MARGIN


def states(*, account: ProviderAccount, now: datetime) -> list[SecretState]:
    """Every secret that is live, was, or waits, newest first, with what it verified."""
    window = overlap(account)
    used = secret_use.uses(account=account, now=now)
    rows = list(Secret.objects.filter(account=account).order_by("-created_at", "-pk"))
    live = [row for row in rows if is_live(row, now)]
    since = clock.business_day(now - window, time_zone=account.book.time_zone)
    answer = []
    for row in rows:
        row.account = account
        use = used.get(row.pk, secret_use.NEVER)
        answer.append(
            SecretState(
                secret=row,
                use=use,
                others=len([each for each in live if each.pk != row.pk]),
                receipts=use.receipts_since(since),
                needed_until=use.last_at + window if use.last_at is not None else None,
            )
        )
    return answer


def is_live(secret: Secret, now: datetime) -> bool:
    good = secret.active_from is not None and secret.active_from <= now
    return good and (secret.retired_at is None or now < secret.retired_at)


def is_waiting(secret: Secret) -> bool:
    """Kept for a request that is not decided yet."""
    return secret.active_from is None and secret.retired_at is None
