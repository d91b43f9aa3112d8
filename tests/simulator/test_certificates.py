"""PayPal's signer is made once, kept private, and made anew before it expires (WH-1)."""

import stat
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from payops.simulator.certificates import HOST, ROOT_FILE, SIGNER_FILE, Signer, open_signer

DAY_S = 86_400


def check(directory: Path, signer: Signer) -> int:
    """The length of the chain that holds against the root; raises VerificationError."""
    root = x509.load_pem_x509_certificate((directory / ROOT_FILE).read_bytes())
    leaf, *between = x509.load_pem_x509_certificates(signer.chain)
    policy = PolicyBuilder().store(Store([root]))
    return len(policy.build_server_verifier(x509.DNSName(HOST)).verify(leaf, between))


def test_first_start_makes_a_chain_and_later_ones_keep_it(tmp_path: Path) -> None:
    first, second = open_signer(tmp_path), open_signer(tmp_path)

    assert (first.chain, first.name) == (second.chain, second.name)
    assert first.key.private_numbers() == second.key.private_numbers()
    assert first.key.public_key() == first.leaf.public_key()
    assert check(tmp_path, first) == 3
    for name in (ROOT_FILE, SIGNER_FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [ROOT_FILE, SIGNER_FILE]


def test_signer_that_ends_soon_is_made_anew_under_another_name(tmp_path: Path) -> None:
    first = open_signer(tmp_path)

    kept = open_signer(tmp_path, clock=lambda: time.time() + 360 * DAY_S)
    renewed = open_signer(tmp_path, clock=lambda: time.time() + 380 * DAY_S)

    assert kept.name == first.name
    assert renewed.name != first.name


def test_authority_of_another_simulator_is_not_trusted(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    open_signer(tmp_path / "ours")
    stranger = open_signer(tmp_path / "theirs")

    with pytest.raises(VerificationError):
        check(tmp_path / "ours", stranger)
