"""A certificate authority of our own, for PayPal's offline verification."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIVE_NAME = "messageverificationcerts.paypal.com"
SANDBOX_NAME = "messageverificationcerts.sandbox.paypal.com"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """A key with its certificate; `signs` is RSA with SHA-256, as PayPal signs."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signs(self, text: bytes) -> bytes:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(text, ec.ECDSA(hashes.SHA256()))
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())


@cache
def rsa_key(purpose: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per purpose and test process: making them is what takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def root(name: str = "Test root") -> Issued:
    key = rsa_key(name)
    return Issued(key, _certificate(name, key, None, ca=True))


@cache
def issuer() -> Issued:
    key = rsa_key("Test issuing")
    return Issued(key, _certificate("Test issuing", key, root(), ca=True))


def leaf(
    *,
    by: Issued | None = None,
    key: Key | None = None,
    name: str = LIVE_NAME,
    starts: datetime = NOW - timedelta(days=30),
    ends: datetime = NOW + timedelta(days=30),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Issued:
    held = key or rsa_key("leaf")
    certificate = _certificate(
        name, held, by or issuer(), ca=False, starts=starts, ends=ends, usage=usage
    )
    return Issued(held, certificate)


@cache
def good() -> Issued:
    return leaf()


def self_signed() -> Issued:
    key = rsa_key("self")
    return Issued(key, _certificate(LIVE_NAME, key, None, ca=False, san=LIVE_NAME))


def chain(*issued: Issued) -> bytes:
    return b"".join(each.pem for each in issued)


def _certificate(
    name: str,
    key: Key,
    by: Issued | None,
    *,
    ca: bool,
    starts: datetime = NOW - timedelta(days=365),
    ends: datetime = NOW + timedelta(days=365),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    san: str = "",
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName(san or name)])
        builder = builder.add_extension(names, critical=False).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())
