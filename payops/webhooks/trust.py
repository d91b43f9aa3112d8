"""What a provider's proofs are held against: trust anchors, certificate hosts, webhook ids.

Owns the values that come from the environment or from the account's secrets and that an adapter,
which reads no file, needs in its settings. They win over what the account's own settings say.
Serves WH-2 and SE-2.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import httpx
from django.conf import settings

from payops.core.models import ProviderAccount
from payops.webhooks.secrets import LiveSecret

log = logging.getLogger(__name__)

CA_BYTES_MAX = 4 * 1024 * 1024


def facts_settings(account: ProviderAccount, secrets: Sequence[LiveSecret]) -> Mapping[str, str]:
    """The settings an adapter sees: the account's own, and for PayPal what it trusts."""
    own = {str(key): str(value) for key, value in account.settings.items()}
    if account.provider != "paypal":
        return own
    # The ids to ask for; which of them are live at a given moment, `authenticate` is told.
    ids = ",".join(each.secret.value for each in secrets)
    return own | {
        "trust_anchors": trust_anchors(settings.PAYPAL_CA_FILE),
        "http_hosts": ",".join(sorted(settings.HTTP_ALLOW)),
        **({"cert_hosts": settings.PAYPAL_CERT_HOSTS} if settings.PAYPAL_CERT_HOSTS else {}),
        **({"webhook_id": ids} if ids else {}),
    }


def trust_anchors(ca_file: str) -> str:
    """PEM text of a file, or of the public roots that outgoing calls trust; empty: trust nobody."""
    if not ca_file:
        return _public_roots()
    path = Path(ca_file)
    try:
        found = path.stat()
        if found.st_size > CA_BYTES_MAX:
            raise ValueError(f"{found.st_size} bytes, at most {CA_BYTES_MAX}")
        return _read(ca_file, found.st_mtime_ns, found.st_size)
    except (OSError, ValueError) as error:
        log.error("PAYOPS_PAYPAL_CA_FILE %s is not usable, nothing verifies: %s", ca_file, error)
        return ""


@lru_cache(maxsize=4)
def _read(ca_file: str, changed_ns: int, size: int) -> str:
    """Once for every state of the file."""
    return Path(ca_file).read_text(encoding="ascii", errors="replace")


@lru_cache(maxsize=1)
def _public_roots() -> str:
    context = httpx.create_ssl_context(trust_env=False)
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
