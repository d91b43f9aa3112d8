"""WH-3: lists from a file and names from DNS, by command and by the clock."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from approvals.models import ApprovalRequest
from payops.core import clock
from payops.flows import accounts
from payops.webhooks.models import AllowlistEntry, AllowlistName, RefusalCount, SecretUse
from tests.accounts import account_of, with_name, with_networks
from tests.builders import decide, drain, post_standard, standard_event

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "out.provider.example"


def run(name: str, *args: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out, **options)
    return out.getvalue()


def live() -> list[str]:
    rows = AllowlistEntry.objects.filter(removed_at=None)
    return sorted(rows.values_list("network", flat=True))


def answering(*addresses: str) -> Callable[..., list[Any]]:
    def getaddrinfo(name: str, *args: Any, **kwargs: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror("Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in addresses]

    return getaddrinfo


def test_a_file_shows_its_change_and_asks_only_for_a_person(tmp_path: Path) -> None:
    with_networks("stripe", "198.51.100.0/24", label="page")
    file = tmp_path / "page.txt"
    file.write_text("# theirs\n203.0.113.7\n")

    shown = run("import_allowlist", "stripe/demo", str(file))
    assert shown.splitlines() == [
        "+ 203.0.113.7/32",
        "- 198.51.100.0/24",
        "1 added, 0 kept, 1 removed",
        "Nothing was asked for; add --login and --reason to ask.",
    ]
    assert ApprovalRequest.objects.count() == 0

    asked = run("import_allowlist", "stripe/demo", str(file), login="eli", reason="their page")
    approval = ApprovalRequest.objects.get()
    assert f"Asked for: {approval.public_id}." in asked
    assert approval.requested_channel == "command"
    decide(approval, "lena")
    drain()
    assert live() == ["203.0.113.7/32"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("203.0.113.7\nx\n", {}, "Line 2: 'x' is not a network"),
        ("203.0.113.7\n", {"login": "nobody", "reason": "r"}, "no person with the login nobody"),
        ("203.0.113.7\n", {"login": "lena", "reason": "r"}, "may not manage_account"),
        ("203.0.113.7\n", {"login": "eli", "reason": " "}, "Say why"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    tmp_path: Path, text: str, options: dict[str, str], words: str
) -> None:
    file = tmp_path / "page.txt"
    file.write_text(text)

    with pytest.raises(CommandError, match=words):
        run("import_allowlist", "stripe/demo", str(file), **options)
    with pytest.raises(CommandError, match="no provider account stripe/nobody"):
        run("resolve_allowlist", "stripe/nobody")

    assert (ApprovalRequest.objects.count(), live()) == (0, [])


def test_resolving_takes_public_addresses_alone_and_a_failure_removes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that suddenly answers with an inside address lets nobody inside send."""
    with_name("stripe", NAME)
    public = ("8.8.8.8", "2001:4860:4860::8888")
    inside = ("127.0.0.1", "10.0.0.9", "169.254.169.254", "fe80::1%eth0", "224.0.1.1", "::1")
    monkeypatch.setattr(socket, "getaddrinfo", answering(*public, *inside))

    told = run("resolve_allowlist")

    assert told == f"stripe/demo  {NAME}: 2 added, 0 removed\n"
    assert live() == ["2001:4860:4860::8888/128", "8.8.8.8/32"]
    for broken in (answering(), answering("10.0.0.9")):
        monkeypatch.setattr(socket, "getaddrinfo", broken)
        with pytest.raises(CommandError, match="1 of 1 names did not answer; nothing was removed"):
            run("resolve_allowlist", "stripe/demo")
    assert live() == ["2001:4860:4860::8888/128", "8.8.8.8/32"]
    assert AllowlistName.objects.get().error == "DNS answered with no public address"


def test_housekeeping_does_each_of_its_works_once_per_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WH-30, WH-31: two schedulers and many rounds are one resolution, one fold, one pruning."""
    with_name("stripe", NAME)
    asked: list[str] = []

    def getaddrinfo(name: str, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(name)
        return answering("8.8.8.8")(name)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert post_standard(standard_event("unheard.of", {"id": "x"})) == 200
    now = clock.utc_now().replace(minute=30, second=0) + timedelta(hours=1)
    RefusalCount.objects.create(reason="x", minute=now - timedelta(days=91), dropped=1)

    for second in range(3):
        accounts.keep_up(now + timedelta(seconds=second))

    assert asked == [NAME]
    assert (live(), RefusalCount.objects.count()) == (["8.8.8.8/32"], 0)
    assert SecretUse.objects.get(secret__account=account_of("standard")).receipts == 1
    accounts.keep_up(now + timedelta(hours=1))
    assert asked == [NAME, NAME]
