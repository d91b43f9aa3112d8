"""Where a PayPal signing certificate may come from, and whether it is PayPal's.

Owns the pinning of the certificate address and the verification of the chain: up to a trust
anchor we were given, valid at the moment of receipt, issued to a pinned PayPal name, an RSA key of
2048 bits or more. Never fetches anything and reads no file. Serves WH-2, SE-1 and SE-2.
"""

import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

LIVE_HOSTS = ("api.paypal.com", "api-m.paypal.com")
SANDBOX_HOSTS = ("api.sandbox.paypal.com", "api-m.sandbox.paypal.com")
LIVE_NAMES = ("messageverificationcerts.paypal.com",)
SANDBOX_NAMES = ("messageverificationcerts.sandbox.paypal.com",)
PEM_BYTES_MAX = 64 * 1024
CHAIN_MAX = 8
KEY_BITS_MIN = 2048
ADDRESS = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?)(/[A-Za-z0-9._/-]{1,300})",
    re.ASCII,
)
DNS_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}", re.ASCII)
LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3})(?::[0-9]{1,5})?", re.ASCII)
PEM_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII
)


class CertificateRefused(ValueError):
    """The certificate proves nothing; the reason is a machine code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def listed(settings: Mapping[str, str], key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The entries of a comma list in the account's settings, else the default."""
    entries = tuple(part.strip() for part in str(settings.get(key) or "").split(","))
    return tuple(filter(None, entries)) or default


def url_is_pinned(url: str, *, settings: Mapping[str, str], live: bool) -> bool:
    """Whether a certificate may be fetched from there: the whole address is matched, host exactly.

    No user, port, query or fragment gets through; http only to a loopback host that is listed both
    as a certificate host and as one that may be called without TLS.
    """
    found = ADDRESS.fullmatch(url)
    if found is None or ".." in found[3]:
        return False
    scheme, host = found[1], found[2]
    hosts = LIVE_HOSTS if live else LIVE_HOSTS + SANDBOX_HOSTS
    if host not in listed(settings, "cert_hosts", hosts):
        return False
    if scheme == "https":
        return True
    return bool(LOOPBACK.fullmatch(host)) and host in listed(settings, "http_hosts")


def signing_key(
    pem: bytes, *, settings: Mapping[str, str], live: bool, now: datetime
) -> rsa.RSAPublicKey:
    """The public key of the verified certificate. Raises CertificateRefused."""
    leaf, *others = _chain(pem)
    anchors = _anchors(str(settings.get("trust_anchors") or ""))
    if anchors is None:
        raise CertificateRefused("trust_anchors_missing")
    names = listed(settings, "cert_names", LIVE_NAMES if live else LIVE_NAMES + SANDBOX_NAMES)
    if not any(_proves(leaf, others, anchors, name, now) for name in names):
        raise CertificateRefused("certificate_untrusted")
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise CertificateRefused("certificate_key_refused")
    return key


def _proves(
    leaf: x509.Certificate,
    others: list[x509.Certificate],
    anchors: verification.Store,
    name: str,
    now: datetime,
) -> bool:
    if not DNS_NAME.fullmatch(name):
        return False
    policy = verification.PolicyBuilder().store(anchors).time(now).max_chain_depth(CHAIN_MAX)
    try:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, others)
    except (verification.VerificationError, ValueError):
        return False
    return True


def _chain(pem: bytes) -> list[x509.Certificate]:
    blocks = PEM_BLOCK.findall(pem) if len(pem) <= PEM_BYTES_MAX else []
    if not 0 < len(blocks) <= CHAIN_MAX:
        raise CertificateRefused("certificate_unreadable")
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError as error:
        raise CertificateRefused("certificate_unreadable") from error


@lru_cache(maxsize=8)
def _anchors(pem_text: str) -> verification.Store | None:
    """The trust store; public bundles hold a few roots that newer parsers refuse: those are left.

    Remembered by its text, because a bundle has more than a hundred certificates.
    """
    found = []
    for block in PEM_BLOCK.findall(pem_text.encode("ascii", "replace")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                found.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            continue
    return verification.Store(found) if found else None
