"""WH-3, SE-1: who may send: the list as read, the address as counted, the verdict as kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import AuditEvent
from payops.webhooks import allowlist, views
from payops.webhooks import directory as directory_module
from payops.webhooks.allowlist import Allowlist, NetworkRefused, read_network, read_text
from payops.webhooks.models import (
    AllowlistEntry,
    AllowlistName,
    Delivery,
    Payload,
    ProviderEvent,
)
from payops.webhooks.wire import remote_address
from tests.accounts import account_of, with_name, with_networks, with_settings
from tests.webhooks.senders import post, stripe_body, stripe_headers

HOME, STRANGER = "203.0.113.7", "198.51.100.9"


# ---- reading -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("2001:DB8::/48", "2001:db8::/48"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("::1", "::1/128"),
        ("10.1.0.0/16", "10.1.0.0/16"),
    ],
)
def test_networks_are_kept_in_their_shortest_form(word: str, kept: str) -> None:
    assert read_network(word) == kept


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("0.0.0.0/0", "holds 4294967296 addresses"),
        ("::/0", "IPv6 is /32 or smaller"),
        ("10.0.0.0/15", "holds 131072 addresses; a network of IPv4 is /16 or smaller"),
        ("2001:d00::/31", "IPv6 is /32 or smaller"),
        ("::ffff:0:0/96", "0.0.0.0/0 holds 4294967296"),
        ("203.0.113.7/24", "write 203.0.113.0/24"),
        ("224.0.0.1", "no address that a request can come from"),
        ("255.255.255.255", "no address"),
        ("0.0.0.0/32", "no address"),
        ("fe80::1%eth0", "is not a network"),
        ("203.0.113.256", "is not a network"),
        ("0203.0.113.1", "is not a network"),
        ("example.com", "is not a network"),
        ("203.0.113.7/33", "is not a network"),
    ],
)
def test_too_broad_and_senseless_networks_are_refused_with_words(word: str, words: str) -> None:
    with pytest.raises(NetworkRefused, match=words):
        read_network(word)


def test_a_list_has_comments_blank_lines_and_repeats_and_names_every_bad_line() -> None:
    good = read_text("# provider\n203.0.113.7 # one\n\n203.0.113.7/32\n2001:db8::/48,\n")
    bad = read_text("203.0.113.7\n0.0.0.0/0\nx\n")

    assert good == allowlist.Reading(("203.0.113.7/32", "2001:db8::/48"), ())
    assert [problem[:7] for problem in bad.problems] == ["Line 2:", "Line 3:"]
    assert read_text("1.2.3.4\n" * 2001).problems == ("2001 lines; a list has at most 2000",)


@pytest.mark.parametrize(
    ("address", "on_it"),
    [
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("::ffff:203.0.113.1", True),
        ("2001:db8::99", True),
        ("2001:db8:1::", False),
        # The same 32 bits in the other family are another address.
        ("::cb00:7101", False),
        (None, False),
    ],
)
def test_the_compiled_list_says_what_the_networks_say(address: str | None, on_it: bool) -> None:
    listed = Allowlist.of(["203.0.113.0/24", "2001:db8::/48"])

    assert listed.holds(address) is on_it


# ---- the sender's address ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hops", "chain", "address"),
    [
        (0, HOME, "192.0.2.1"),  # nobody before us: the header is the sender's own text
        (1, HOME, HOME),
        (1, f"{HOME}, {STRANGER}", STRANGER),  # spoofed: what stands left was sent to the proxy
        (2, f"{HOME}, {STRANGER}, 10.0.0.2", STRANGER),
        (2, f"1.1.1.1,{HOME} , 10.0.0.2", HOME),
        (2, HOME, None),  # shorter than our proxies: it did not come through them
        (1, "", None),
        (1, f"{HOME}:4711", HOME),
        (1, "[2001:db8::7]:443", "2001:db8::7"),
        (1, "[2001:db8::7]", "2001:db8::7"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "::ffff:203.0.113.7", HOME),
        (1, "fe80::1%eth0", None),
        (1, "unknown", None),
        (1, "203.0.113.7.evil.example", None),
        (1, f"{HOME}, ", None),
        (1, "[203.0.113.7", HOME),
        (1, "\u0662\u0660\u0663.0.113.7", None),
    ],
)
def test_hops_are_counted_from_the_right_of_what_our_proxies_wrote(
    hops: int, chain: str, address: str | None
) -> None:
    meta = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": chain}

    assert remote_address(meta, hops=hops) == address


# ---- the edge ------------------------------------------------------------------------------


def send_from(address: str, **signing: Any) -> int:
    raw = stripe_body()
    return post(raw, stripe_headers(raw, **signing), REMOTE_ADDR=address).status_code


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("mode", "networks", "verdicts"),
    [
        ("off", [HOME + "/32"], [None, None]),
        ("observe", [], [None, None]),
        ("observe", [HOME + "/32"], [True, False]),
    ],
)
def test_the_verdict_is_on_every_receipt_and_observing_refuses_nothing_wh_3(
    mode: str, networks: list[str], verdicts: list[bool | None]
) -> None:
    with_networks("stripe", *networks)
    with_settings("stripe", allowlist_mode=mode)

    answers = [send_from(HOME), send_from(STRANGER)]
    refused = [send_from(HOME, secret="wrong_" * 4), send_from(STRANGER, secret="wrong_" * 4)]

    assert (answers, refused) == ([200, 200], [401, 401])
    kept = Delivery.objects.order_by("created_at", "pk").values_list("signature_ok", "allowlist_ok")
    good, bad = (True, False)
    assert list(kept) == [(good, each) for each in verdicts] + [(bad, each) for each in verdicts]


@pytest.mark.django_db(transaction=True)
def test_enforcing_answers_403_before_the_signature_and_keeps_hash_and_headers_wh_3(
    monkeypatch: Any,
) -> None:
    with_networks("stripe", HOME + "/32")
    with_settings("stripe", allowlist_mode="enforce")
    asked: list[bool] = []
    real = views._authenticate
    monkeypatch.setattr(
        views, "_authenticate", lambda *given: (asked.append(True), real(*given))[1]
    )

    assert send_from(STRANGER) == 403

    receipt = Delivery.objects.get()
    assert (receipt.status_sent, receipt.signature_reason) == (403, "ip_not_allowed")
    assert (receipt.allowlist_ok, receipt.signature_ok) == (False, False)
    assert (receipt.remote_ip, receipt.payload_id, len(receipt.sha256)) == (STRANGER, None, 64)
    assert "stripe-signature" in receipt.headers
    assert (asked, ProviderEvent.objects.count(), Payload.objects.count()) == ([], 0, 0)
    assert (send_from(HOME), asked) == (200, [True])
    assert Delivery.objects.get(signature_ok=True).allowlist_ok is True


@pytest.mark.django_db(transaction=True)
def test_a_spoofed_chain_does_not_open_an_enforced_list(settings: Any) -> None:
    settings.TRUSTED_PROXY_HOPS = 1
    with_networks("stripe", HOME + "/32")
    with_settings("stripe", allowlist_mode="enforce")
    raw = stripe_body()

    def through(chain: str) -> int:
        headers = {**stripe_headers(raw), "x-forwarded-for": chain}
        return post(raw, headers, REMOTE_ADDR=HOME).status_code

    assert [through(f"{HOME}, {STRANGER}"), through(""), through("junk")] == [403, 403, 403]
    assert through(f"{STRANGER}, {HOME}") == 200


@pytest.mark.django_db(transaction=True)
def test_a_network_brought_in_works_at_once_and_an_emptied_list_stays_shut(
    monkeypatch: Any,
) -> None:
    """The copy of the process is read again on a miss; nothing listed is nobody allowed."""
    monkeypatch.setattr(directory_module, "MISS_REFRESH_S", 0.0)
    with_networks("stripe", HOME + "/32")
    account = with_settings("stripe", allowlist_mode="enforce")
    assert send_from(STRANGER) == 403

    with as_owner():
        AllowlistEntry.objects.create(
            book=account.book,
            account=account,
            network=STRANGER + "/32",
            source="text",
            origin="later",
        )
    assert send_from(STRANGER) == 200

    with as_owner():
        AllowlistEntry.objects.update(removed_at=clock.utc_now())
    directory_module.directory.forget()
    assert send_from(STRANGER) == 403
    assert Delivery.objects.order_by("-created_at")[0].allowlist_ok is None


# ---- names ---------------------------------------------------------------------------------


def answer(name: AllowlistName, *addresses: str, after: timedelta = timedelta()) -> Any:
    with transaction.atomic():
        return allowlist.keep_answer(
            name=name, addresses=addresses, now=clock.utc_now() + after, actor=allowlist.RESOLVER
        )


def live() -> list[str]:
    return sorted(AllowlistEntry.objects.filter(removed_at=None).values_list("network", flat=True))


@pytest.mark.django_db(transaction=True)
def test_addresses_of_a_name_come_at_once_and_go_after_seven_days_unanswered() -> None:
    name = with_name("stripe", "out.provider.example")

    assert answer(name, HOME, STRANGER) == ([STRANGER + "/32", HOME + "/32"], [])
    assert answer(name, HOME, after=timedelta(days=6, hours=23)) == ([], [])
    assert live() == [STRANGER + "/32", HOME + "/32"]
    assert answer(name, HOME, after=timedelta(days=7, minutes=1)) == ([], [STRANGER + "/32"])
    assert live() == [HOME + "/32"]
    trail = AuditEvent.objects.filter(action="allowlist.resolved").order_by("created_at")
    assert [(row.evidence["added"], row.evidence["removed"]) for row in trail] == [
        ([STRANGER + "/32", HOME + "/32"], []),
        ([], [STRANGER + "/32"]),
    ]
    assert {row.service for row in trail} == {"allowlist"}


@pytest.mark.django_db(transaction=True)
def test_no_answer_removes_nothing_however_long_it_lasts() -> None:
    name = with_name("stripe", "out.provider.example")
    answer(name, HOME)

    assert answer(name, after=timedelta(days=90)) == ([], [])

    allowlist.keep_failure(name=name, error="gaierror: away", now=clock.utc_now())
    name.refresh_from_db()
    assert (live(), name.error) == ([HOME + "/32"], "gaierror: away")


@pytest.mark.django_db(transaction=True)
def test_a_dropped_name_gets_no_addresses_any_more() -> None:
    name = with_name("stripe", "out.provider.example")
    with as_owner():
        AllowlistName.objects.update(removed_at=clock.utc_now())

    assert (answer(name, HOME), live()) == (([], []), [])


@pytest.mark.parametrize("word", ["localhost", "1.2.3.4", "a..b", "-x.example", "x" * 260, "a b.c"])
def test_only_full_dns_names_are_followed(word: str) -> None:
    with pytest.raises(NetworkRefused, match="is not a DNS name"):
        allowlist.read_name(word)


@pytest.mark.django_db
def test_planning_touches_the_list_of_that_name_alone() -> None:
    account = account_of("stripe")

    planned = allowlist.plan(account=account, label="one", networks=[HOME + "/32"])

    assert planned == allowlist.Plan((HOME + "/32",), (), ())
