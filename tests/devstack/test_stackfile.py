"""People of the seed keep their passwords over restarts, and logins are shown one per role."""

import json
from pathlib import Path

import pytest

from payops.devstack.environment import Addresses, DatabaseUrls, product_environment
from payops.devstack.errors import StackError
from payops.devstack.secretfile import load_secrets
from payops.devstack.stackfile import (
    Seeded,
    load_seeded,
    merge_seeded,
    one_login_per_role,
    read_environment,
    write_environment,
    write_stack,
)


def printed(password: str | None, api_key: str | None) -> str:
    people = {"maya": {"password": password, "roles": ["ops_lead", "auditor"]}}
    return "made 1 person\n" + json.dumps({"people": people, "api_key": api_key}) + "\n"


def test_password_the_second_seed_no_longer_knows_is_kept(tmp_path: Path) -> None:
    first = merge_seeded(directory=tmp_path, output=printed("maya-pass", "pk_1"))

    second = merge_seeded(directory=tmp_path, output=printed(None, None))

    assert second == first == load_seeded(directory=tmp_path)
    assert second.people["maya"]["password"] == "maya-pass"
    assert second.api_key == "pk_1"
    assert (tmp_path / "people.json").stat().st_mode & 0o777 == 0o600


def test_seed_that_ends_with_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="must end with a JSON object"):
        merge_seeded(directory=tmp_path, output="done\n")

    assert not (tmp_path / "people.json").exists()


def test_one_login_per_role(tmp_path: Path) -> None:
    seeded = merge_seeded(directory=tmp_path, output=printed("maya-pass", None))

    assert one_login_per_role(seeded) == [
        ("ops_lead", "maya", "maya-pass"),
        ("auditor", "maya", "maya-pass"),
    ]


def test_stack_file_names_the_webhooks_of_every_provider(tmp_path: Path) -> None:
    database = DatabaseUrls(owner="o", app="a", facts="f")
    addresses = Addresses(
        host="127.0.0.1", web_port=8000, simulator_port=8001, database=database, broker="redis://b"
    )
    secrets = load_secrets(directory=tmp_path)

    write_stack(
        directory=tmp_path,
        addresses=addresses,
        environment=product_environment(
            base={}, var=tmp_path, addresses=addresses, secrets=secrets
        ),
        seeded=Seeded(people={}, api_key=None),
        pids={"simulator": 1},
    )

    path = tmp_path / "stack.json"
    webhooks = json.loads(path.read_text())["webhooks"]
    demo = ["stripe/demo", "adyen/demo", "paypal/demo", "standard/demo"]
    assert list(webhooks) == [*demo, "servicenow/support"]
    assert webhooks["adyen/demo"] == {
        "url": "http://127.0.0.1:8000/webhooks/adyen/demo/",
        "secrets": [secrets.webhook_adyen_demo],
    }
    assert webhooks["paypal/demo"]["secrets"] == [secrets.webhook_paypal_demo]
    assert path.stat().st_mode & 0o777 == 0o600


def test_environment_file_survives_the_shell_and_leaves_the_rest_out(tmp_path: Path) -> None:
    value = 'it\'s $HOME & "more"'

    write_environment(
        directory=tmp_path, environment={"PAYOPS_SECRET_KEY": value, "HOME": "/nowhere"}
    )

    assert read_environment(directory=tmp_path) == {"PAYOPS_SECRET_KEY": value}
