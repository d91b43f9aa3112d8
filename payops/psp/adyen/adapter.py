"""Reads what Adyen posts to one address: classic notifications and platform (transfer) webhooks.

The `HmacSignature` header says which of the two a body is; a body without it is believed only item
by item, each with a signature of its own. Neither scheme has a timestamp: the dedupe key is the
guard against replay. Serves WH-2, WH-4, WH-9, WH-26, WH-28 and SE-1.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from payops.psp import signing, strictjson
from payops.psp.adyen import notifications, signature, transfers
from payops.psp.base import (
    LIMITS,
    NO_SETTINGS,
    AccountFacts,
    Authentication,
    EventRefused,
    Fetch,
    NormalizedEvent,
    SecretValue,
)

SIGNATURE_HEADER = "hmacsignature"


class AdyenAdapter:
    """Many signed items per body, or one body signed as a whole; see `base.WebhookAdapter`."""

    name = "adyen"

    def fetches(
        self, *, raw: bytes, headers: Mapping[str, str], account: AccountFacts
    ) -> tuple[Fetch, ...]:
        return ()

    def authenticate(
        self,
        *,
        raw: bytes,
        headers: Mapping[str, str],
        secrets: Sequence[SecretValue],
        now: datetime,
        account: AccountFacts,
        fetched: Mapping[str, bytes] | None = None,
    ) -> Authentication:
        if len(raw) > LIMITS.body_bytes_max:
            return signing.refused("body_too_large")
        keys = signature.usable_keys(secrets)
        if not keys:
            return signing.refused("secret_missing")
        given, reason = signing.header(headers, SIGNATURE_HEADER)
        if given:
            secret_id = signature.verifying_secret(raw, given, keys)
            if secret_id is None:
                return signing.refused("signature_mismatch")
            return transfers.read(raw, secret_id, account, listed=False)
        if reason != "header_missing":
            return signing.refused(reason)
        try:
            body = strictjson.read_object(raw)
        except EventRefused as error:
            # The signatures are inside: what cannot be read cannot be believed.
            return signing.refused(f"body_{error.reason}")
        return notifications.authenticate(body, keys, account)

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        try:
            body = strictjson.read_object(raw)
        except EventRefused as error:
            return Authentication(ok=True, parse_error=error.reason)
        if notifications.ITEMS in body:
            return notifications.itemize(body)
        return transfers.read(raw, None, account, listed=True)

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """The canonical event. Raises EventRefused.

        `settings` of the account say whether an authorisation is captured at once.
        """
        body = strictjson.read_object(raw)
        if notifications.ITEMS in body:
            return notifications.normalize(body, item_index, settings)
        if item_index != 0:
            raise EventRefused("no_such_item")
        return transfers.normalize(body)

    def refusal_status(self, authentication: Authentication) -> int:
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b"[accepted]", "text/plain"
