"""What children are told: given servers win, one role is refused, the simulator knows little."""

import json
import re
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
    assert made["PAYOPS_PSP_ADYEN_URL"] == "http://127.0.0.1:8001/adyen"
    assert made["PAYOPS_PSP_PAYPAL_KEY"] == f"payops-sandbox:{secrets.psp_key}"


def test_paypal_is_trusted_through_the_simulator_unless_it_is_elsewhere(tmp_path: Path) -> None:
    secrets = load_secrets(directory=tmp_path)

    def made(**base: str) -> dict[str, str]:
        return product_environment(base=base, var=tmp_path, addresses=ADDRESSES, secrets=secrets)

    ours, theirs = made(), made(PAYOPS_PSP_PAYPAL_URL="https://api-m.sandbox.paypal.com")
    assert ours["PAYOPS_PAYPAL_CA_FILE"] == str(tmp_path / "simulator" / "paypal-ca.pem")
    assert ours["PAYOPS_PAYPAL_CERT_HOSTS"] == "127.0.0.1:8001"
    assert ours["PAYOPS_PAYPAL_CERT_HOSTS"] in ours["PAYOPS_HTTP_ALLOW"].split(",")
    assert not {name for name in theirs if name.startswith("PAYOPS_PAYPAL_")}
    assert made(PAYOPS_PAYPAL_CA_FILE="/mine.pem")["PAYOPS_PAYPAL_CA_FILE"] == "/mine.pem"


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
    assert told["SIM_ADYEN_SECRET"] == secrets.webhook_adyen_demo
    assert told["SIM_ADYEN_KEY"] == product["PAYOPS_PSP_ADYEN_KEY"]
    assert told["SIM_PAYPAL_WEBHOOK_ID"] == secrets.webhook_paypal_demo
    assert told["SIM_PAYPAL_KEY"] == product["PAYOPS_PSP_PAYPAL_KEY"]


def test_simulator_stays_off_when_every_provider_is_elsewhere(tmp_path: Path) -> None:
    names = ("STRIPE", "ADYEN", "PAYPAL", "STANDARD")
    base = {f"PAYOPS_PSP_{name}_URL": f"https://{name.lower()}.example" for name in names}
    secrets = load_secrets(directory=tmp_path)

    product = product_environment(base=base, var=tmp_path, addresses=ADDRESSES, secrets=secrets)
    del base["PAYOPS_PSP_ADYEN_URL"]
    one = product_environment(base=base, var=tmp_path, addresses=ADDRESSES, secrets=secrets)

    assert starts_simulator(product=product, addresses=ADDRESSES) is False
    assert starts_simulator(product=one, addresses=ADDRESSES) is True


def test_secrets_stay_the_same_and_private(tmp_path: Path) -> None:
    first = load_secrets(directory=tmp_path)

    assert load_secrets(directory=tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(vars(first).values())) == 13


def test_an_older_file_of_secrets_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    first = load_secrets(directory=tmp_path)
    path = tmp_path / "secrets.json"
    stored = json.loads(path.read_text())
    for name in ("webhook_adyen_demo", "webhook_paypal_demo"):
        del stored[name]
    path.write_text(json.dumps(stored))

    second = load_secrets(directory=tmp_path)

    assert {**vars(second), **stored} == vars(second)
    assert re.fullmatch("[0-9A-F]{64}", second.webhook_adyen_demo)
    assert re.fullmatch("[0-9A-F]{17}", second.webhook_paypal_demo)
    assert second.webhook_adyen_demo != first.webhook_adyen_demo
    assert load_secrets(directory=tmp_path) == second
