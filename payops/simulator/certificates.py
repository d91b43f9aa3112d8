"""PayPal's certificates: an authority of this simulator alone, and the leaf that signs webhooks.

Made at the first start and kept with mode 0600, so that a restart signs as before. The authority's
own certificate lies in `paypal-ca.pem` for whoever wants to trust it. Serves WH-1 and WH-23.
"""

import datetime
import ipaddress
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "messageverificationcerts.paypal.com"
ROOT_FILE, SIGNER_FILE = "paypal-ca.pem", "paypal-signer.pem"
KEY_BITS = 2048
ROOT_DAYS, LEAF_DAYS, RENEW_DAYS = 3650, 398, 30
_CHAIN_MARK = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class Signer:
    """The key webhooks are signed with and the chain its certificate is served with."""

    key: rsa.RSAPrivateKey
    chain: bytes

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that belongs to the key."""
        return x509.load_pem_x509_certificate(self.chain)

    @property
    def name(self) -> str:
        """The name it is served under; another certificate has another name."""
        return f"CERT-360caa42-{self.leaf.serial_number:040x}"[:38]


def open_signer(directory: Path, *, clock: Callable[[], float] = time.time) -> Signer:
    """The stored signer, or a new authority and signer; an old leaf is made anew."""
    now = datetime.datetime.fromtimestamp(clock(), datetime.UTC)
    path = directory / SIGNER_FILE
    if path.exists() and (directory / ROOT_FILE).exists():
        signer = _read(path.read_bytes())
        if signer.leaf.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS):
            return signer
    return _make(directory, now)


def stranger() -> rsa.RSAPrivateKey:
    """A key nobody's certificate vouches for."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _make(directory: Path, now: datetime.datetime) -> Signer:
    """Root, issuing authority and leaf; the authorities' keys are thrown away after their use."""
    root_key, issuer_key, leaf_key = stranger(), stranger(), stranger()
    root = _certificate("Payment provider simulator root", root_key, None, root_key, now)
    issuer = _certificate("Payment provider simulator issuing", issuer_key, root, root_key, now)
    leaf = _certificate(HOST, leaf_key, issuer, issuer_key, now)
    chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, issuer))
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The root goes last: whoever sees it may rely on the signer being there.
    _write(directory / SIGNER_FILE, key + chain)
    _write(directory / ROOT_FILE, root.public_bytes(serialization.Encoding.PEM))
    return Signer(key=leaf_key, chain=chain)


def _read(stored: bytes) -> Signer:
    key, mark, chain = stored.partition(_CHAIN_MARK)
    loaded = serialization.load_pem_private_key(key, password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise OSError(f"{SIGNER_FILE} does not hold an RSA key")
    return Signer(key=loaded, chain=mark + chain)


def _certificate(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: rsa.RSAPrivateKey,
    now: datetime.datetime,
) -> x509.Certificate:
    is_leaf = name == HOST
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    days = LEAF_DAYS if is_leaf else ROOT_DAYS
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        # Positive, and of full length whatever the dice say.
        .serial_number(1 << 158 | secrets.randbits(158))
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        .add_extension(_usage(is_leaf), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if is_leaf:
        names = [x509.DNSName(HOST), x509.DNSName("localhost")]
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([*names, address]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(is_leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=is_leaf,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not is_leaf,
        crl_sign=not is_leaf,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
