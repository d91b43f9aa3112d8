"""Allowlists and account settings change through others' decision alone (D5, WH-3, WH-15, SE-1).

Through the flow, through the ORM and by SQL as the app role; a second login is the same person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import AuditEvent, ProviderAccount, RoleGrant, User
from payops.flows import accounts, governance
from payops.flows.account_changes import AccountChangeRefused
from payops.webhooks import allowlist
from payops.webhooks.models import AllowlistEntry, AllowlistName, Delivery
from tests.accounts import account_of, with_networks, with_settings
from tests.builders import decide, drain, post_standard, standard_event
from tests.guards.approval_attacks import refused, run
from tests.people import actor, login, person

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "an allowlist changes only through its granted approval"
SETTINGS = "account settings change only through their granted approval"
HOME, OFFICE = "203.0.113.7/32", "203.0.113.0/24"


def ask_list(*networks: str, by: str = "eli", **change: Any) -> ApprovalRequest:
    account, now = account_of("standard"), clock.utc_now()
    if networks:
        change |= {"label": "page", "networks": networks}
    facts = accounts.allowlist_facts(account=account, now=now, **change)
    return accounts.propose_allowlist(
        account=account, facts=facts, reason="the provider's page", actor=actor(by), now=now
    )


def ask_settings(by: str = "eli", **values: Any) -> ApprovalRequest:
    return accounts.propose_settings(
        account=account_of("standard"),
        values=values,
        reason="the provider asked",
        actor=actor(by),
        now=clock.utc_now(),
    )


def live() -> list[str]:
    rows = AllowlistEntry.objects.filter(removed_at=None)
    return sorted(rows.values_list("network", flat=True))


def entry(network: str = HOME, **change: Any) -> AllowlistEntry:
    account = account_of("standard")
    values: dict[str, Any] = {"network": network, "source": "text", "origin": "page", **change}
    return AllowlistEntry.objects.create(book=account.book, account=account, **values)


def test_a_list_is_in_force_once_another_person_approved_it_and_leaves_a_trail() -> None:
    approval = ask_list(HOME, OFFICE)
    assert (live(), approval.seats) == ([], ["ops_lead"])

    decide(approval, "lena")
    drain()

    assert live() == [OFFICE, HOME]
    assert {e.approval_id for e in AllowlistEntry.objects.all()} == {approval.public_id}
    trail = AuditEvent.objects.get(action="allowlist.changed")
    assert (trail.subject_id, trail.reason) == ("standard/demo", "the provider's page")
    assert (trail.evidence["added"], trail.evidence["approval_id"]) == (2, approval.public_id)

    second = ask_list(HOME)
    assert (second.facts["adds"], second.facts["removes"]) == ([], [OFFICE])
    decide(second, "lena")
    drain()
    assert live() == [HOME]
    gone = AllowlistEntry.objects.get(network=OFFICE)
    assert gone.removal_approval_id == second.public_id


def test_the_requester_never_decides_with_whatever_login() -> None:
    """AP-4: eli is made an operations lead with a second login; still the same person."""
    with as_owner():
        RoleGrant.objects.create(
            person=person("eli"),
            role="ops_lead",
            granted_at=clock.utc_now() - timedelta(days=60),
        )
        User.objects.create(username="eli-2", password=login("eli").password, person=person("eli"))
    approval = ask_list(HOME)

    for username in ("eli", "eli-2"):
        with pytest.raises(ApprovalRefused):
            decide(approval, username)
    for username in ("noor", "amara", "audrey", "root"):
        with pytest.raises(ApprovalRefused):
            decide(approval, username)

    drain()
    assert (live(), ApprovalRequest.objects.get().state) == ([], "PENDING")


@pytest.mark.parametrize("by", ["lena", "amara", "marco", "audrey", "ada", "root"])
def test_only_an_engineer_even_asks(by: str) -> None:
    with pytest.raises(governance.ChangeRefused, match="may not manage_account"):
        ask_list(HOME, by=by)
    with pytest.raises(governance.ChangeRefused, match="may not manage_account"):
        ask_settings(by=by, calls_per_s=5)

    assert ApprovalRequest.objects.count() == 0


def test_no_entry_comes_changes_or_goes_past_the_approval() -> None:
    """WH-3: by ORM and by SQL, also with the id of a request that is only pending, or spent."""
    pending = ask_list(HOME)
    for approval_id in ("", pending.public_id):
        with refused(LIST):
            entry(approval_id=approval_id)
    decide(pending, "lena")
    drain()
    spent = pending.public_id
    for change in (
        {"network": HOME, "approval_id": spent},
        {"network": OFFICE, "approval_id": spent},
        {"network": HOME, "approval_id": spent, "origin": "other"},
        {
            "network": "198.51.100.1/32",
            "approval_id": spent,
            "source": "dns",
            "origin": "a.example",
        },
    ):
        with refused(LIST):
            entry(**change)
    table = "webhooks_allowlistentry"
    for statement in (
        f"UPDATE {table} SET network = '198.51.100.0/24'",
        f"UPDATE {table} SET removed_at = now()",
        f"UPDATE {table} SET removed_at = now(), removal_approval_id = '{spent}'",
        f"UPDATE {table} SET approval_id = ''",
    ):
        with refused(LIST):
            run(statement)
    with refused("never deleted"):
        AllowlistEntry.objects.all().delete()
    with refused(LIST):
        AllowlistName.objects.create(
            book=account_of("standard").book,
            account=account_of("standard"),
            name="out.provider.example",
            approval_id=spent,
        )
    other = account_of("stripe")
    with refused(LIST):
        AllowlistEntry.objects.create(
            book=other.book,
            account=other,
            network=HOME,
            source="text",
            origin="page",
            approval_id=spent,
        )

    assert live() == [HOME]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("allowlist_mode", "enforce"),
        ("verify_policy", "always"),
        ("calls_per_s", 900),
        ("listing_every_s", 60),
        ("park_deadline_s", 61),
        ("settings", {"cert_hosts": "evil.example"}),
    ],
)
def test_no_setting_changes_past_the_approval(column: str, value: Any) -> None:
    """D5: a granted change of one column carries no other, and is good once."""
    decide(ask_list(HOME), "lena")
    approval = ask_settings(calls_per_s=7)
    decide(approval, "lena")
    decide(approval, "marco")
    drain()
    assert account_of("standard").calls_per_s == 7
    rows = ProviderAccount.objects.filter(provider="standard", slug="demo")
    for spent in ("", approval.public_id, AllowlistEntry.objects.get().approval_id):
        with refused(SETTINGS):
            rows.update(**{column: value, "approval_id": spent})
    with refused(SETTINGS):
        rows.update(**{column: value})
    with refused(SETTINGS):
        rows.update(approval_id="")
    with refused("keeps its book, address and mode"):
        rows.update(live=True)

    assert account_of("standard").calls_per_s == 7


def test_settings_need_both_seats_and_say_what_they_were() -> None:
    approval = ask_settings(verify_policy="when_money_moves", settings={"merchant_account": "M"})
    assert approval.seats == ["ops_lead", "finance_manager"]
    assert approval.facts == {
        "provider_account": "standard/demo",
        "verify_policy": "when_money_moves",
        "verify_policy_before": "never",
        "settings": {"merchant_account": "M"},
        "settings_before": {},
    }

    decide(approval, "lena")
    drain()
    assert account_of("standard").verify_policy == "never"

    decide(approval, "marco")
    drain()
    account = account_of("standard")
    assert (account.verify_policy, account.settings) == (
        "when_money_moves",
        {"merchant_account": "M"},
    )
    assert account.approval_id == approval.public_id
    assert AuditEvent.objects.filter(action="account.settings_changed").count() == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"calls_per_s": 0}, "calls per s 0: 1 to 1000 calls a second fit"),
        ({"park_deadline_s": 604_801}, "60 to 604800 seconds fit"),
        ({"listing_every_s": -1}, "0 to 86400 seconds fit"),
        ({"listing_every_s": 59}, "every 59 s is too often: at least 60 s apart, or 0 to list"),
        ({"listing_every_s": 1}, "every 1 s is too often"),
        ({"verify_policy": "sometimes"}, "not one of never, when_money_moves, always"),
        ({"calls_per_s": 20}, "nothing would change"),
        ({"settings": {"x": 1}}, "names and texts"),
    ],
)
def test_senseless_settings_are_refused_with_numbers(values: Any, words: str) -> None:
    with pytest.raises(AccountChangeRefused, match=words):
        ask_settings(**values)
    assert ApprovalRequest.objects.count() == 0


def test_an_empty_list_is_never_enforced() -> None:
    """Neither by the mode nor by taking the last network away."""
    with pytest.raises(AccountChangeRefused, match="enforced with 0 networks"):
        ask_list(mode="enforce")
    with_networks("standard", HOME, label="page")
    with_settings("standard", allowlist_mode="enforce")
    account = account_of("standard")
    with pytest.raises(AccountChangeRefused, match="enforced with 0 networks"):
        accounts.allowlist_facts(account=account, now=clock.utc_now(), label="page", networks=())


def test_enforcing_is_asked_for_with_the_numbers_of_who_would_be_refused() -> None:
    """WH-3: 2 verified receipts came from 127.0.0.1, which is not on the list."""
    for _ in range(2):
        assert post_standard(standard_event("unheard.of", {"id": "x"})) == 200
    with_networks("standard", HOME)

    approval = ask_list(mode="enforce")

    assert approval.facts["warning"] == (
        "2 of 2 verified receipts of the last 7 days came from 1 address not on the list: "
        "127.0.0.1 (2)"
    )
    assert approval.title == "Allowlist of standard/demo: observe → enforce"
    decide(approval, "lena")
    drain()
    assert account_of("standard").allowlist_mode == "enforce"
    assert post_standard(standard_event("unheard.of", {"id": "x"})) in (200, 403)
    assert Delivery.objects.filter(signature_ok=True).count() >= 2


def test_a_followed_name_is_approved_and_then_keeps_itself_up() -> None:
    """WH-3: resolving adds what DNS answers; a failure removes nothing; dropping removes all."""
    decide(ask_list(names=["out.provider.example"]), "lena")
    drain()
    assert AllowlistName.objects.get().name == "out.provider.example"

    def answers(name: str) -> list[str]:
        return ["203.0.113.7", "2001:db8::7"]

    def fails(name: str) -> list[str]:
        raise OSError("no such host")

    told = accounts.resolve_names(now=clock.utc_now(), resolve=answers)
    assert [(added, removed, error) for _, added, removed, error in told] == [
        (["2001:db8::7/128", HOME], [], "")
    ]
    for broken in (fails, lambda name: []):
        ((_, added, removed, error),) = accounts.resolve_names(
            now=clock.utc_now() + timedelta(days=30), resolve=broken
        )
        assert (added, removed, bool(error)) == ([], [], True)
    assert live() == ["2001:db8::7/128", HOME]

    decide(ask_list(drops=["out.provider.example"]), "lena")
    drain()
    assert live() == []
    with refused(LIST), transaction.atomic():
        allowlist._entry(
            account_of("standard"),
            HOME,
            "dns",
            "out.provider.example",
            AllowlistName.objects.get().approval_id,
            clock.utc_now(),
        ).save()
