"""What children are told: given servers win, one role is refused, the simulator knows little."""

from pathlib import Path

import pytest

from payops.devstack.environment import (
    Addresses,
    DatabaseUrls,
    given_database,
    product_environment,
    simulator_environment,
    starts_simulator,
)
from payops.devstack.errors import StackError
from payops.devstack.secretfile import load_secrets

ADDRESSES = Addresses(
    host="127.0.0.1",
    web_port=8000,
    simulator_port=8001,
    database=DatabaseUrls(owner="postgresql://o", app="postgresql://a", facts="postgresql://f"),
    broker="redis://b",
)


def test_without_a_database_url_the_stack_brings_its_own() -> None:
    assert given_database(environ={"DATABASE_OWNER_URL": "postgresql://o"}) is None


def test_three_given_roles_are_used() -> None:
    environ = {"DATABASE_URL": "a", "DATABASE_OWNER_URL": "o", "DATABASE_FACTS_URL": "f"}

    assert given_database(environ=environ) == DatabaseUrls(owner="o", app="a", facts="f")


def test_one_role_alone_is_refused_unless_accepted() -> None:
    with pytest.raises(StackError, match="DATABASE_OWNER_URL is not"):
        given_database(environ={"DATABASE_URL": "a"})

    accepted = {"DATABASE_URL": "a", "PAYOPS_SINGLE_ROLE": "1"}
    assert given_database(environ=accepted) == DatabaseUrls(owner="a", app="a", facts="a")


def test_callers_values_win_over_generated_ones_but_not_over_our_servers(tmp_path: Path) -> None:
    secrets = load_secrets(directory=tmp_path)
    base = {
        "PAYOPS_SECRET_KEY": "mine",
        "PAYOPS_MASTER_KEYS": "",
        "PAYOPS_HTTP_ALLOW": "10.0.0.7:443",
        "REDIS_URL": "redis://stale",
    }

    made = product_environment(base=base, var=tmp_path, addresses=ADDRESSES, secrets=secrets)

    assert made["PAYOPS_SECRET_KEY"] == "mine"
    assert made["PAYOPS_MASTER_KEYS"] == secrets.master_keys
    assert made["PAYOPS_HTTP_ALLOW"] == "10.0.0.7:443,127.0.0.1:8001"
    assert made["REDIS_URL"] == "redis://b"
    assert made["PAYOPS_PSP_STRIPE_URL"] == "http://127.0.0.1:8001/stripe"


def test_simulator_is_told_no_address_or_key_of_the_database(tmp_path: Path) -> None:
    secrets = load_secrets(directory=tmp_path)
    product = product_environment(
        base={"PATH": "/bin"}, var=tmp_path, addresses=ADDRESSES, secrets=secrets
    )

    told = simulator_environment(product=product, addresses=ADDRESSES)

    assert {name for name in told if not name.startswith("SIM_")} == {"PATH", "PYTHONUNBUFFERED"}
    assert told["SIM_TARGET"] == "http://127.0.0.1:8000"
    assert told["SIM_STANDARD_SECRET"] == secrets.webhook_standard_demo
    assert told["SIM_API_KEY"] == product["PAYOPS_PSP_STANDARD_KEY"]


def test_simulator_stays_off_when_both_providers_are_elsewhere(tmp_path: Path) -> None:
    base = {
        "PAYOPS_PSP_STRIPE_URL": "https://stripe.example",
        "PAYOPS_PSP_STANDARD_URL": "https://psp.example",
    }
    secrets = load_secrets(directory=tmp_path)

    product = product_environment(base=base, var=tmp_path, addresses=ADDRESSES, secrets=secrets)

    assert starts_simulator(product=product, addresses=ADDRESSES) is False


def test_secrets_stay_the_same_and_private(tmp_path: Path) -> None:
    first = load_secrets(directory=tmp_path)

    assert load_secrets(directory=tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(vars(first).values())) == 10
