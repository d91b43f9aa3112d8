"""What the certificate of a PayPal transmission proves, and what proves nothing (WH-2, SE-2)."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from payops.psp.base import Fetch
from payops.psp.paypal import certificates
from payops.psp.paypal.certificates import url_is_pinned
from payops.psp.registry import adapter
from tests.psp import paypal_authority as authority
from tests.psp.paypal_authority import LIVE_NAME, NOW, SANDBOX_NAME, chain, leaf, rsa_key
from tests.psp.paypal_signed import (
    CERT_URL,
    PAID,
    account,
    event,
    headers_of,
    read,
)

LIVE_URL = "https://api.paypal.com/v1/notifications/certs/CERT-1"


def wanted(raw=PAID, headers=None, facts=None):
    return adapter("paypal").fetches(
        raw=raw,
        headers=headers_of(raw) if headers is None else headers,
        account=facts or account(),
    )


def test_certificate_is_what_must_be_fetched_first():
    assert wanted() == (Fetch(name="certificate", url=CERT_URL),)

    verdict = read(fetched={})

    assert (verdict.ok, verdict.reason) == (False, "evidence_missing")
    assert adapter("paypal").refusal_status(verdict) == 503


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (lambda: chain(leaf(ends=NOW - timedelta(seconds=1)), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(starts=NOW + timedelta(seconds=1)), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name="www.paypal.com"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name=f"{LIVE_NAME}.evil.example"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name=f"evil.{LIVE_NAME}"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(by=authority.root("Another root"))), "untrusted"),
        (lambda: chain(authority.self_signed()), "untrusted"),
        (lambda: chain(authority.good()), "untrusted"),
        (lambda: chain(authority.issuer(), authority.good()), "untrusted"),
        (lambda: chain(leaf(key=rsa_key("weak", 1024)), authority.issuer()), "key_refused"),
        (
            lambda: chain(leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH), authority.issuer()),
            "untrusted",
        ),
        (
            lambda: chain(
                leaf(by=leaf(name="sub.example.com", key=rsa_key("no authority"))),
                leaf(name="sub.example.com", key=rsa_key("no authority")),
                authority.issuer(),
            ),
            "untrusted",
        ),
        (lambda: b"", "unreadable"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "unreadable"),
        (lambda: b"<html>try again</html>", "unreadable"),
        (lambda: authority.good().pem + b"\n" * certificates.PEM_BYTES_MAX, "unreadable"),
        (lambda: chain(*[authority.good()] * 9), "unreadable"),
    ],
    ids=[
        "expired",
        "not yet valid",
        "other host",
        "our name inside another domain",
        "subdomain of our name",
        "other authority",
        "self-signed",
        "intermediate missing",
        "leaf not first",
        "weak key",
        "client certificate",
        "issued by a leaf",
        "empty",
        "not DER",
        "an error page",
        "too large",
        "too many",
    ],
)
def test_certificate_that_proves_nothing_is_refused(pem, reason):
    verdict = read(pem=pem())

    assert (verdict.ok, verdict.reason, verdict.items) == (False, f"certificate_{reason}", ())
    assert adapter("paypal").refusal_status(verdict) == 401


def test_key_of_another_kind_is_refused_though_its_certificate_is_trusted():
    held = leaf(key=ec.generate_private_key(ec.SECP256R1()))

    verdict = read(headers=headers_of(PAID, by=held), pem=chain(held, authority.issuer()))

    assert (verdict.ok, verdict.reason) == (False, "certificate_key_refused")


def test_dates_are_those_of_the_moment_of_receipt():
    held = leaf(ends=NOW + timedelta(hours=1))
    pem = chain(held, authority.issuer())
    later = NOW + timedelta(hours=2)

    assert read(pem=pem).ok
    assert read(pem=pem, now=later).reason == "certificate_untrusted"
    assert read(now=later).ok


def test_without_trust_anchors_nobody_is_trusted():
    assert read(facts=account(trust_anchors="")).reason == "trust_anchors_missing"
    assert read(facts=account(trust_anchors="not PEM")).reason == "trust_anchors_missing"


def test_anchor_may_be_the_issuing_authority_where_no_chain_is_served():
    facts = account(trust_anchors=authority.issuer().pem.decode())

    assert read(pem=chain(authority.good()), facts=facts).ok


def test_sandbox_certificate_says_nothing_to_a_live_account():
    sandbox = chain(leaf(name=SANDBOX_NAME), authority.issuer())
    raw = event("payout_item_succeeded", links=[], resource__links=[])
    live = account(live=True)

    assert read(pem=sandbox).ok
    verdict = read(raw, headers_of(raw, cert_url=LIVE_URL), pem=sandbox, facts=live)
    assert verdict.reason == "certificate_untrusted"
    assert read(raw, headers_of(raw, cert_url=LIVE_URL), facts=live).ok


def test_pinned_names_are_configurable():
    facts = account(cert_names="hooks.example.com, signer.example.com")

    assert read(pem=chain(leaf(name="signer.example.com"), authority.issuer()), facts=facts).ok
    assert read(facts=facts).reason == "certificate_untrusted"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://user@api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com@evil.example/certs/CERT-1",
        "https://api.sandbox.paypal.com:443@evil.example/certs/CERT-1",
        "https://api.sandbox.paypal.com.evil.example/certs/CERT-1",
        "https://evil.example/api.sandbox.paypal.com/CERT-1",
        "https://api.sandbox.paypal.com:8443/certs/CERT-1",
        "https://api.sandbox.paypal.com:443/certs/CERT-1",
        "https://api.sandbox.paypal.com./certs/CERT-1",
        "https://xapi.sandbox.paypal.com/certs/CERT-1",
        "https://paypal.com/certs/CERT-1",
        "https://www.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com\\@evil.example/certs/CERT-1",
        "https://evil.example#@api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com/certs/CERT-1#fragment",
        "https://api.sandbox.paypal.com/certs/CERT-1?to=https://evil.example",
        "https://api.sandbox.paypal.com/certs/../../redirect",
        "https://api.sandbox.paypal.com/certs/CERT%2e1",
        "https://api.sandbox.paypal.com",
        "https:///api.sandbox.paypal.com/certs/CERT-1",
        "https:api.sandbox.paypal.com/certs/CERT-1",
        "//api.sandbox.paypal.com/certs/CERT-1",
        "file:///etc/ssl/certs/ca-certificates.crt",
        "https://127.0.0.1/certs/CERT-1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/certs/CERT-1",
        " https://api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com/certs/CERT-1\n",
        "https://api.sandbox.paypal.com/certs/CERT-1\r\nHost: evil.example",
    ],
)
def test_certificate_address_that_is_not_pinned_is_never_fetched(url):
    headers = headers_of(PAID, cert_url=url)

    assert wanted(headers=headers) == ()
    verdict = read(headers=headers)
    assert (verdict.ok, verdict.reason) == (False, "certificate_url_refused")


def test_live_account_takes_certificates_from_live_hosts_only():
    live = account(live=True)

    assert wanted(facts=live) == ()
    assert wanted(headers=headers_of(PAID, cert_url=LIVE_URL), facts=live) == (
        Fetch(name="certificate", url=LIVE_URL),
    )


def test_plain_http_is_for_a_listed_loopback_host_alone():
    local = "http://127.0.0.1:8001/paypal/certs/CERT-1.pem"
    listed = {"cert_hosts": "127.0.0.1:8001", "http_hosts": "127.0.0.1:8001"}

    def pinned(url: str, **settings: str) -> bool:
        return url_is_pinned(url, settings=settings, live=False)

    assert pinned(local, **listed)
    assert not pinned(local, cert_hosts="127.0.0.1:8001")
    assert not pinned(local, http_hosts="127.0.0.1:8001")
    assert not pinned("http://127.0.0.1:8002/paypal/certs/CERT-1.pem", **listed)
    assert not pinned(
        "http://sim.example/c.pem", cert_hosts="sim.example", http_hosts="sim.example"
    )
    assert pinned("https://sim.example:9/c.pem", cert_hosts="sim.example:9")
    assert not pinned(CERT_URL, **listed)
