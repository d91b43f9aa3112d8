"""The provider-account screens: read by many, changed by engineers and others' decision."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from approvals.models import ApprovalRequest
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows import accounts
from payops.payments.models import CallGate
from payops.webhooks import directory
from payops.webhooks.models import AllowlistEntry, Delivery, Listing, RefusalCount, Secret
from payops.webhooks.noise import noise
from tests.accounts import account_of, with_networks, with_secret, with_settings
from tests.builders import approval_of, decide, drain, post_standard, post_stripe, standard_event
from tests.conftest import PASSWORD, STANDARD_SECRET
from tests.console.conftest import Browser
from tests.console.work import shows, text_of
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/accounts/standard/demo/"
NEW = "whsec_" + "bmV3LXNlY3JldC1vZi10aGUtc3RhbmRhcmQtZGVtbw=="


def signed(number: int = 1, secret: str = STANDARD_SECRET) -> int:
    body = standard_event("unheard.of", {"id": "x"}, event_id=f"sev_{number:06d}")
    return post_standard(body, secret=secret)


def approval_behind(answer: Any) -> ApprovalRequest:
    assert answer.status_code == 302, text_of(answer)
    return approval_of(str(answer.headers["Location"]).strip("/").split("/")[-1])


def granted(approval: ApprovalRequest) -> None:
    """By both seats, and put in force; the edge reads anew."""
    for who in ("lena", "marco"):
        decide(approval, who)
    drain()
    directory.directory.forget()


def waiting() -> Secret:
    return Secret.objects.get(active_from=None, retired_at=None)


@pytest.mark.parametrize("who", ["eli", "audrey", "lena", "amara", "marco", "chen"])
def test_everybody_who_reads_the_inbox_reads_the_accounts(as_: Browser, who: str) -> None:
    for path in ("/accounts/", PAGE):
        answer = as_(who).get(path)
        assert (answer.status_code, shows(answer, "standard/demo")) == (200, True)
        assert shows(answer, "Add a new secret") is (who == "eli" and path == PAGE)


@pytest.mark.parametrize(
    ("account", "askable", "unaskable"),
    [
        ("standard/demo", "Payouts, refunds", "Settlements, payments, disputes, invoices"),
        ("adyen/demo", "Payouts", "Settlements, payments, refunds, disputes, invoices"),
        ("stripe/demo", "Payouts, settlements, payments, refunds, disputes", "Invoices"),
        ("paypal/demo", "Payouts, payments, refunds, disputes", "Settlements, invoices"),
    ],
)
def test_the_page_says_what_the_provider_can_be_asked_about(
    as_: Browser, account: str, askable: str, unaskable: str
) -> None:
    """WH-15"""
    answer = as_("eli").get(f"/accounts/{account}/")

    assert shows(answer, f"<dt>Can be asked about</dt><dd>{askable}</dd>")
    words = "the signature stands alone, and the event says so"
    assert shows(answer, f"<dt>Not shown by the provider</dt><dd>{unaskable}: {words}</dd>")


@pytest.mark.parametrize("who", ["sofia", "ada"])
def test_others_are_told_what_they_lack(as_: Browser, who: str) -> None:
    assert as_(who).get("/accounts/").status_code == 403


@pytest.mark.parametrize("who", ["lena", "amara", "audrey", "marco", "chen", "root"])
@pytest.mark.parametrize(
    "act", ["list/", "name/", "mode/", "settings/", "secrets/new/", "secrets/{}/retire/"]
)
def test_only_engineers_act(as_: Browser, who: str, act: str) -> None:
    """SE-4: by GET and by POST; nothing is asked for, nothing is added."""
    secrets = Secret.objects.count()
    path = PAGE + act.format(Secret.objects.filter(account=account_of("standard")).get().pk)

    for answer in (as_(who).get(path), as_(who).post(path, {"reason": "x"})):
        assert answer.status_code == 403
    assert (ApprovalRequest.objects.count(), Secret.objects.count()) == (0, secrets)


def test_an_account_of_nobody_is_404(as_: Browser) -> None:
    assert as_("eli").get("/accounts/stripe/nobody/").status_code == 404


def test_the_page_tells_health_noise_listings_and_calls_wh_31(as_: Browser) -> None:
    assert signed() == 200
    assert signed(2, secret="whsec_" + "QQ" * 20) == 401
    noise.flush(now=clock.utc_now())
    account, now = account_of("standard"), clock.utc_now()
    for reason, dropped in (("signature_mismatch", 17), ("timestamp_stale", 4)):
        RefusalCount.objects.create(account=account, reason=reason, minute=now, dropped=dropped)
    Listing.objects.create(
        book=account.book,
        account=account,
        since=now - timedelta(hours=1),
        until=now,
        listed=120,
        known=118,
        missing=2,
        finished_at=now,
    )
    CallGate.objects.create(
        book=account.book, account=account, filled_at=now, state="OPEN", last_error="timed out"
    )

    listed, page = as_("audrey").get("/accounts/"), as_("audrey").get(PAGE)

    assert shows(listed, "18 forged")
    assert shows(listed, "4 stale")
    assert shows(page, "/webhooks/standard/demo/")
    cells = re.findall(r'<td class="num"[^>]*>(?:<a[^>]*>)?(\d+)<', text_of(page))
    assert cells[:4] == ["1", "17", "0", "4"]
    assert shows(page, "Held back: the provider does not answer")
    assert re.search(r'data-label="Missing">2<', text_of(page))


def test_a_list_is_shown_before_it_is_asked_for_and_then_decided(as_: Browser) -> None:
    """WH-3: added, kept and removed are told first; the reply asks for exactly that."""
    with_networks("standard", "203.0.113.7/32", "198.51.100.0/24", label="page")
    eli = as_("eli")
    text = "203.0.113.7 # kept\n2001:db8::/48\n"

    said = {"label": "page", "text": text, "reason": "their page of today"}
    preview = eli.post(PAGE + "list/", said)

    assert shows(preview, "1 added, 1 kept, 1 removed")
    assert ApprovalRequest.objects.count() == 0
    approval = approval_behind(eli.post(PAGE + "list/", {**said, "step": "ask"}))
    assert approval.facts["adds"] == ["2001:db8::/48"]
    assert approval.facts["removes"] == ["198.51.100.0/24"]
    assert approval.requested_by.name == "Eli Navarro"
    page = as_("lena").get(f"/approvals/{approval.public_id}/")
    assert shows(page, "198.51.100.0/24")
    decide(approval, "lena")
    drain()
    live = AllowlistEntry.objects.filter(removed_at=None).values_list("network", flat=True)
    assert sorted(live) == ["2001:db8::/48", "203.0.113.7/32"]
    assert shows(as_("audrey").get(PAGE), "2001:db8::/48")


def test_a_file_is_read_and_a_bad_line_is_named(as_: Browser) -> None:
    eli = as_("eli")
    good = SimpleUploadedFile("list.txt", b"\xef\xbb\xbf203.0.113.7\r\n# x\r\n")
    bad = {"label": "page", "text": "203.0.113.7\n0.0.0.0/0\n", "reason": "r"}

    shown = eli.post(PAGE + "list/", {"label": "page", "file": good, "reason": "r"})
    refused = eli.post(PAGE + "list/", {**bad, "step": "ask"})

    assert shows(shown, "1 added, 0 kept, 0 removed")
    assert (refused.status_code, shows(refused, "Line 2: 0.0.0.0/0 holds 4294967296")) == (
        422,
        True,
    )
    assert ApprovalRequest.objects.count() == 0


def test_enforcing_is_warned_about_with_numbers_and_needs_a_list(as_: Browser) -> None:
    """WH-3: "2 of 2 verified receipts … from 1 address not on the list"."""
    assert [signed(1), signed(2)] == [200, 200]
    eli = as_("eli")
    empty = eli.post(PAGE + "mode/", {"mode": "enforce", "reason": "r"})
    with_networks("standard", "203.0.113.7/32")
    warned = eli.get(PAGE + "mode/")
    without_reason = eli.post(PAGE + "mode/", {"mode": "enforce", "reason": " "})
    asked = approval_behind(eli.post(PAGE + "mode/", {"mode": "enforce", "reason": "week is over"}))

    assert (empty.status_code, shows(empty, "enforced with 0 networks")) == (422, True)
    words = "2 of 2 verified receipts of the last 7 days came from 1 address not on the list"
    assert shows(warned, words)
    assert without_reason.status_code == 422
    assert asked.facts["warning"].startswith(words)
    assert account_of("standard").allowlist_mode == "observe"
    assert shows(eli.get(PAGE), "Change asked for")


def test_a_name_is_followed_and_dropped_through_approval(as_: Browser) -> None:
    eli = as_("eli")
    said = {"dns_name": "Out.Provider.Example.", "reason": "documented"}
    assert eli.post(PAGE + "name/", {**said, "dns_name": "localhost"}).status_code == 422
    approval = approval_behind(eli.post(PAGE + "name/", said))
    assert approval.facts["names"] == ["out.provider.example"]
    decide(approval, "lena")
    drain()
    page = eli.get(PAGE)
    assert shows(page, "out.provider.example")

    drop = {"dns_name": "out.provider.example", "drop": "out.provider.example", "reason": "moved"}
    dropped = approval_behind(eli.post(PAGE + "name/", drop))
    assert dropped.facts["drops"] == ["out.provider.example"]


def test_settings_are_asked_for_and_change_once_two_agree(as_: Browser) -> None:
    said = {
        "verify_policy": "when_money_moves",
        "calls_per_s": "9",
        "listing_every_s": "900",
        "park_deadline_s": "3600",
        "values": "merchant_account = ExampleECOM\n",
        "reason": "their limit",
    }
    assert as_("eli").post(PAGE + "settings/", {**said, "values": "x"}).status_code == 422
    approval = approval_behind(as_("eli").post(PAGE + "settings/", said))
    decide(approval, "tomas")
    decide(approval, "ingrid")
    drain()

    account = account_of("standard")
    assert (account.verify_policy, account.calls_per_s) == ("when_money_moves", 9)
    assert account.settings == {"merchant_account": "ExampleECOM"}
    assert shows(as_("audrey").get(PAGE), "Calls a second: 20 → 9")


def test_a_secret_is_added_behind_a_fresh_password_and_never_shown_again(
    as_: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-30: pasted, or made here and shown once; the audit has the reason, never the value."""
    monkeypatch.setattr(directory, "MISS_REFRESH_S", 0.0)
    eli, path = as_("eli"), PAGE + "secrets/new/"
    said = {"how": "paste", "value": NEW, "reason": "yearly", "password": PASSWORD}

    wrong = eli.post(path, {**said, "password": "wrong"})
    assert (wrong.status_code, Secret.objects.filter(hint=NEW[-4:]).count()) == (422, 0)
    assert eli.post(path, {**said, "reason": ""}).status_code == 422
    assert eli.post(path, {**said, "value": "whsec_x"}).status_code == 422
    approval = approval_behind(eli.post(path, said))

    assert [signed(1), signed(2, secret=NEW)] == [200, 401]
    assert NEW not in str(approval.facts)
    granted(approval)
    assert signed(2, secret=NEW) == 200
    made = eli.post(path, {**said, "how": "generate", "value": ""})
    value = re.search(r'data-copy="(whsec_[^"]+)"', text_of(made))
    assert value is not None
    assert "no-store" in made.headers["Cache-Control"]
    assert shows(made, "Nothing signed with it is accepted until another person approved it")
    assert signed(3, secret=value[1]) == 401
    asked = ApprovalRequest.objects.get(kind="webhook_secret", state="PENDING")
    assert shows(made, f"/approvals/{asked.public_id}/")
    assert value[1] not in str(asked.facts)
    granted(asked)
    assert signed(3, secret=value[1]) == 200
    for row in AuditEvent.objects.filter(action="webhook_secret.added", reason="yearly"):
        assert NEW not in str(row.evidence)
        assert value[1] not in str(row.evidence)
        assert row.person is not None
        assert row.person.name == "Eli Navarro"
    assert NEW not in text_of(eli.get(PAGE))


def test_one_person_alone_never_makes_a_secret_count(as_: Browser) -> None:
    """SE-1, D5: neither the engineer who asked, by a crafted request, nor somebody else's session
    without the seat; the value he was shown signs nothing."""
    eli = as_("eli")
    said = {"how": "generate", "value": "", "reason": "yearly", "password": PASSWORD}
    value = re.search(r'data-copy="(whsec_[^"]+)"', text_of(eli.post(PAGE + "secrets/new/", said)))
    assert value is not None
    approval = ApprovalRequest.objects.get(kind="webhook_secret")
    forged = {
        "verdict": "approve",
        "reason": "mine",
        "content_hash": approval.content_hash,
        "password": PASSWORD,
        "role": "ops_lead",
        "confirm": "",
    }

    for who, words in (
        ("eli", "You asked for this"),
        ("audrey", "seat"),
        ("noor", "seat"),
    ):
        answer = as_(who).post(f"/approvals/{approval.public_id}/decide/", forged)
        assert (answer.status_code, who, words in text_of(answer)) == (422, who, True)
    drain()

    approval.refresh_from_db()
    assert (approval.state, approval.decisions.count()) == ("PENDING", 0)
    assert signed(1, secret=value[1]) == 401


def test_the_page_links_what_is_pending_and_tells_who_asked_and_who_approved(as_: Browser) -> None:
    """B5: secrets added, approved, retired and given up; names, and the approval to follow."""
    eli = as_("eli")
    said = {"how": "paste", "value": NEW, "reason": "yearly", "password": PASSWORD}
    approval = approval_behind(eli.post(PAGE + "secrets/new/", said))

    page = as_("audrey").get(PAGE)
    assert shows(page, "Waits for approval")
    assert text_of(page).count(f"/approvals/{approval.public_id}/") >= 2
    history = text_of(page).split('id="history-title"')[1]
    assert f"Secret …{NEW[-4:]} added, waits for approval" in history
    assert eli.get(f"{PAGE}secrets/{waiting().pk}/retire/").status_code == 404

    granted(approval)
    old = Secret.objects.filter(account=account_of("standard")).earliest("created_at")
    gone = eli.post(f"{PAGE}secrets/{old.pk}/retire/", {"reason": "over", "password": PASSWORD})
    assert gone.status_code == 302
    other = {**said, "value": "whsec_" + "b3RoZXItc2VjcmV0LW9mLXRoZS1zdGFuZGFyZA=="}
    refused = approval_behind(eli.post(PAGE + "secrets/new/", other))
    decide(refused, "lena", "reject")
    drain()

    history = text_of(as_("audrey").get(PAGE)).split('id="history-title"')[1]
    for words in (
        f"Secret …{NEW[-4:]} approved, accepted from then on",
        "asked by Eli Navarro, approved by Lena ",
        f"Secret …{old.hint} retired",
        "Eli Navarro (eli)",
        f"Secret …{other['value'][-4:]} given up, never accepted",
        "asked by Eli Navarro, rejected by Lena ",
        f"/approvals/{approval.public_id}/",
        f"/approvals/{refused.public_id}/",
    ):
        assert words in history, words


def test_settings_in_the_history_name_their_people(as_: Browser) -> None:
    """B5: not "the system"."""
    approval = accounts.propose_settings(
        account=account_of("standard"),
        values={"calls_per_s": 7},
        reason="they asked",
        actor=actor("eli"),
        now=clock.utc_now(),
    )
    granted(approval)

    history = text_of(as_("audrey").get(PAGE)).split('id="history-title"')[1]
    assert "the system" not in history
    newest = history.split("<li>")[1]
    assert "Calls a second: 20 → 7" in newest
    assert "asked by Eli Navarro, approved by Lena " in newest
    assert f"/approvals/{approval.public_id}/" in newest


def test_a_secret_in_use_is_retired_only_by_force_with_a_reason(as_: Browser) -> None:
    eli = as_("eli")
    with_secret("standard", NEW)
    assert signed(1) == 200
    old = Secret.objects.filter(account=account_of("standard")).earliest("created_at")
    path, said = f"{PAGE}secrets/{old.pk}/retire/", {"reason": "over", "password": PASSWORD}

    refused = eli.post(path, said)
    wrong = eli.post(path, {**said, "force": "on", "password": "wrong"})

    assert (refused.status_code, shows(refused, "verified 1 receipt within the overlap")) == (
        422,
        True,
    )
    assert wrong.status_code == 422
    assert Secret.objects.get(pk=old.pk).retired_at is None
    done = eli.post(path, {**said, "force": "on"})
    assert done.status_code == 302
    assert Secret.objects.get(pk=old.pk).retired_at is not None
    assert eli.get(path).status_code == 404
    trail = AuditEvent.objects.get(action="webhook_secret.retired")
    assert trail.reason.startswith("over (forced: ")


def test_the_page_shows_which_secret_verified_what(as_: Browser) -> None:
    assert [signed(1), signed(2)] == [200, 200]
    secret = Secret.objects.get(account=account_of("standard"))

    page = text_of(as_("audrey").get(PAGE))

    assert f"Receipts verified by …{secret.hint}, by day" in page
    day = clock.business_day(clock.utc_now(), time_zone="Europe/Berlin")
    assert f'<td>{day:%m-%d}</td><td class="num">2</td>' in page
    assert Delivery.objects.filter(secret_id=secret.pk).count() == 2


def test_hostile_words_are_shown_as_words(as_: Browser) -> None:
    hostile = '"><script>alert(1)</script>'
    body = {"label": hostile, "text": hostile, "reason": hostile}

    answer = as_("eli").post(PAGE + "list/", body)

    assert answer.status_code == 422
    assert "<script>alert" not in text_of(answer)
    assert post_stripe({"id": "evt_x", "type": "x"}, secret="whsec_wrong_wrong_wrong") == 401


REFUSED_PAGE = PAGE + "refused/"


def test_a_refused_receipt_is_found_from_its_count_wh_8(as_: Browser) -> None:
    """WH-8, WH-31: who sent what and why it was not believed; newest first, by reason."""
    assert signed() == 200
    assert [signed(number, secret="whsec_" + "QQ" * 20) for number in (2, 3)] == [401, 401]
    with_networks("standard", "203.0.113.7/32")
    with_settings("standard", allowlist_mode="enforce")
    directory.directory.forget()
    assert signed(4) == 403
    noise.flush(now=clock.utc_now())
    stranger = Delivery.objects.get(signature_reason="ip_not_allowed")
    eli = as_("eli")

    page, every = eli.get(PAGE), eli.get(REFUSED_PAGE)
    link = re.search(rf'href="({REFUSED_PAGE}\?reason=ip_not_allowed)"', text_of(page))
    assert link is not None
    one = eli.get(link[1])

    assert every.context["page"].shown == 3
    assert next(iter(every.context["rows"])).row.pk == stranger.pk
    assert [each.row.pk for each in one.context["rows"]] == [stranger.pk]
    for words in (
        "IP address not allowed",
        "Strangers: sent from an address that is not on the list",
        stranger.public_id,
        stranger.sha256,
        str(stranger.size_bytes),
        "127.0.0.1",
        "webhook-id",
    ):
        assert shows(one, words), words
    assert not shows(one, "Signature mismatch</b>")
    assert not Delivery.objects.filter(signature_ok=False, payload__isnull=False).exists()


def test_refused_receipts_are_paged_and_those_of_others_are_not_among_them(
    as_: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-31: a page costs the same however much was refused."""
    account, now = account_of("standard"), clock.utc_now()
    rows = [
        Delivery(
            book=account.book,
            account=account_of(provider),
            sha256=f"{number:064x}",
            size_bytes=number,
            signature_ok=ok,
            signature_reason="" if ok else "signature_mismatch",
            status_sent=401,
            channel=channel,
            created_at=now - timedelta(seconds=number),
        )
        for provider, ok, channel, count in (
            ("standard", False, "webhook", 60),
            ("standard", True, "webhook", 1),
            ("standard", False, "listing", 1),
            ("stripe", False, "webhook", 1),
        )
        for number in range(count)
    ]
    Delivery.objects.bulk_create(rows)
    audrey = as_("audrey")

    first = audrey.get(REFUSED_PAGE)
    second = audrey.get(REFUSED_PAGE, {"after": first.context["page"].after})

    sizes = [each.row.size_bytes for page in (first, second) for each in page.context["rows"]]
    assert sizes == list(range(60))
    assert second.context["page"].after == ""
    unknown = audrey.get(REFUSED_PAGE + "?reason=nope")
    assert shows(unknown, "“nope” is none of the choices of “Reason”; it filters nothing.")


@pytest.mark.parametrize(("who", "status"), [("lena", 200), ("sofia", 403), ("ada", 403)])
def test_refused_receipts_need_the_inbox(as_: Browser, who: str, status: int) -> None:
    assert as_(who).get(REFUSED_PAGE).status_code == status


def test_headers_of_a_refused_receipt_are_words(as_: Browser) -> None:
    account = account_of("standard")
    Delivery.objects.create(
        book=account.book,
        account=account,
        sha256="0" * 64,
        size_bytes=1,
        headers={"user-agent": "<script>alert(1)</script>"},
        signature_ok=False,
        signature_reason="signature_mismatch",
        status_sent=401,
    )

    answer = as_("eli").get(REFUSED_PAGE)

    assert "&lt;script&gt;alert(1)" in text_of(answer)
    assert "<script>alert" not in text_of(answer)
