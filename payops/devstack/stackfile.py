"""`stack.json`: what a running stack tells the outside (docs/interfaces.md), and `stack.env`.

Both are 0600, lie in the data directory, are rewritten whenever a pid changes and are gone after a
clean stop. `people.json` keeps the passwords of the seeded people over restarts: the database only
knows their hashes.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payops.devstack.environment import Addresses
from payops.devstack.errors import StackError
from payops.devstack.privatefiles import read_json, write_private, write_private_json

FILE = "stack.json"
ENVIRONMENT_FILE = "stack.env"
PEOPLE_FILE = "people.json"
_ENVIRONMENT_PREFIXES = ("DATABASE_", "REDIS_URL", "PAYOPS_")
SEEDED_ACCOUNTS = (
    "stripe/demo",
    "adyen/demo",
    "paypal/demo",
    "standard/demo",
    "servicenow/support",
)


@dataclass(frozen=True)
class Seeded:
    """Sign-ins of the seeded people and the API key of the seeded internal system."""

    people: dict[str, Any]
    api_key: str | None


def write_stack(
    *,
    directory: Path,
    addresses: Addresses,
    environment: Mapping[str, str],
    seeded: Seeded,
    pids: Mapping[str, int],
) -> None:
    """Exactly the promised shape; an address nobody serves is null."""
    secrets = {
        account: environment[f"PAYOPS_SEED_WEBHOOK_SECRET_{account.replace('/', '_').upper()}"]
        for account in SEEDED_ACCOUNTS
    }
    content = {
        "web": addresses.web,
        "simulator": addresses.simulator if "simulator" in pids else None,
        "broker": addresses.broker,
        "database": {
            "owner": addresses.database.owner,
            "app": addresses.database.app,
            "facts": addresses.database.facts,
        },
        "pids": dict(pids),
        "webhooks": {
            account: {"url": f"{addresses.web}/webhooks/{account}/", "secrets": [secret]}
            for account, secret in secrets.items()
        },
        "people": seeded.people,
        "api_key": seeded.api_key,
    }
    write_private_json(path=directory / FILE, content=content)


def write_environment(*, directory: Path, environment: Mapping[str, str]) -> None:
    """For other commands of this checkout, and for a shell (`set -a; . var/stack.env`)."""
    lines = [
        f"{name}={shlex.quote(value)}\n"
        for name, value in sorted(environment.items())
        if name.startswith(_ENVIRONMENT_PREFIXES)
    ]
    write_private(path=directory / ENVIRONMENT_FILE, text="".join(lines))


def read_environment(*, directory: Path) -> dict[str, str]:
    text = (directory / ENVIRONMENT_FILE).read_text(encoding="utf-8")
    return dict(part.split("=", 1) for part in shlex.split(text))


def remove(*, directory: Path) -> None:
    (directory / FILE).unlink(missing_ok=True)
    (directory / ENVIRONMENT_FILE).unlink(missing_ok=True)


def load_seeded(*, directory: Path) -> Seeded:
    stored = read_json(path=directory / PEOPLE_FILE)
    return Seeded(people=stored.get("people", {}), api_key=stored.get("api_key"))


def merge_seeded(*, directory: Path, output: str) -> Seeded:
    """Take over the last line the seed command printed; what it no longer knows stays stored."""
    last_line = output.strip().rpartition("\n")[2]
    try:
        printed = json.loads(last_line)
        people, api_key = printed["people"], printed["api_key"]
    except (ValueError, KeyError, TypeError):
        raise StackError(
            f"the seed command must end with a JSON object of people and api_key: {last_line[:200]}"
        ) from None
    stored = load_seeded(directory=directory)
    merged = Seeded(
        people={
            name: row | {"password": row.get("password") or _password_of(stored, name)}
            for name, row in people.items()
        },
        api_key=api_key or stored.api_key,
    )
    write_private_json(
        path=directory / PEOPLE_FILE,
        content={"people": merged.people, "api_key": merged.api_key},
    )
    return merged


def one_login_per_role(seeded: Seeded) -> list[tuple[str, str, str]]:
    """(role, user name, password), the first person of each role, roles in their own order."""
    chosen: dict[str, tuple[str, str]] = {}
    for name, row in seeded.people.items():
        for role in row["roles"]:
            chosen.setdefault(role, (name, row["password"] or "(changed)"))
    return [(role, name, password) for role, (name, password) in chosen.items()]


def _password_of(stored: Seeded, name: str) -> str | None:
    password = stored.people.get(name, {}).get("password")
    return None if password is None else str(password)
