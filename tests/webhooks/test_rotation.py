"""WH-30: a new secret beside the old one, which verified what, and when the old one may go."""

from __future__ import annotations

import io
import re
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows import accounts
from payops.webhooks import directory as directory_module
from payops.webhooks import rotation, secret_use
from payops.webhooks.models import Delivery, FoldMark, Secret, SecretUse
from payops.webhooks.rotation import RotationRefused
from tests.accounts import account_of, with_secret
from tests.conftest import STRIPE_SECRET
from tests.people import actor
from tests.races import race
from tests.webhooks.senders import send_standard, send_stripe, standard_body, stripe_body

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "whsec_the_new_secret_of_stripe_demo"


def run(name: str, *args: str, typed: str = "", monkeypatch: Any = None, **options: Any) -> str:
    out = io.StringIO()
    if monkeypatch is not None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    call_command(name, *args, stdout=out, **options)
    return out.getvalue()


def old() -> Secret:
    return Secret.objects.filter(account=account_of("stripe")).earliest("created_at")


def fold(after: timedelta) -> int:
    with transaction.atomic():
        return secret_use.fold(account=account_of("stripe"), now=clock.utc_now() + after)


def test_rotation_by_command_loses_no_event_and_retires_by_numbers(monkeypatch: Any) -> None:
    """The old secret goes on; the new one works at its first body; retiring waits for the
    overlap of Stripe's 3 days of retries and one more."""
    monkeypatch.setattr(directory_module, "MISS_REFRESH_S", 0.0)
    assert send_stripe(stripe_body(1)).status_code == 200

    told = run("rotate_webhook_secret", "stripe/demo", typed=NEW + "\n", monkeypatch=monkeypatch)

    assert "stripe/demo accepts 2 secrets; the new one ends in …demo." in told
    assert "Keep the old one for 4.0 days after its last receipt" in told
    assert f"retire_webhook_secret stripe/demo {old().pk}" in told
    assert NEW not in told
    assert send_stripe(stripe_body(2), secret=NEW).status_code == 200
    assert send_stripe(stripe_body(3)).status_code == 200
    assert Delivery.objects.filter(signature_ok=True, secret_id=old().pk).count() == 2

    with pytest.raises(CommandError, match=r"…only verified 2 receipts within the overlap"):
        run("retire_webhook_secret", "stripe/demo", str(old().pk))
    assert old().retired_at is None
    with pytest.raises(CommandError, match="--force needs --reason"):
        run("retire_webhook_secret", "stripe/demo", str(old().pk), force=True)

    forced = run("retire_webhook_secret", "stripe/demo", "only", force=True, reason="it leaked")
    assert forced == "stripe/demo accepts …only no longer; 1 secrets are live.\n"
    directory_module.directory.forget()  # what a process learns within TTL_S
    assert send_stripe(stripe_body(4)).status_code == 401
    assert send_stripe(stripe_body(4), secret=NEW).status_code == 200
    trail = AuditEvent.objects.filter(action="webhook_secret.retired").get()
    assert trail.reason.startswith("it leaked (forced: …only verified 2 receipts")
    assert trail.service == "retire-webhook-secret"


def test_after_the_overlap_the_old_one_goes_without_force() -> None:
    assert send_stripe(stripe_body(1)).status_code == 200
    account, now = account_of("stripe"), clock.utc_now()
    with_secret("stripe", NEW)
    late: dict[str, Any] = {
        "account": account,
        "secret_id": old().pk,
        "reason": "over",
        "actor": actor("eli"),
    }

    with pytest.raises(RotationRefused, match="verified 1 receipt within the overlap"):
        accounts.retire(**late, now=now + timedelta(days=3, hours=23))
    retired = accounts.retire(**late, now=now + timedelta(days=4, minutes=1))

    assert retired.pk == old().pk
    assert retired.retired_at == now + timedelta(days=4, minutes=1)


def test_the_only_secret_is_never_retired_unforced() -> None:
    with pytest.raises(RotationRefused, match="the only live secret of stripe/demo"):
        accounts.retire(
            account=account_of("stripe"),
            secret_id=old().pk,
            reason="tidy",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    assert old().retired_at is None


def test_two_retiring_at_once_leave_one_live() -> None:
    """Neither was used; whoever comes second finds the other gone."""
    account, now = account_of("stripe"), clock.utc_now()
    new = with_secret("stripe", NEW)
    now = clock.utc_now()
    keys = [old().pk, new.pk]
    who = actor("eli")

    def retire(number: int) -> str:
        try:
            accounts.retire(
                account=account, secret_id=keys[number % 2], reason="r", actor=who, now=now
            )
        except (RotationRefused, ValueError) as refusal:
            return type(refusal).__name__
        return "retired"

    outcomes = race(2, retire)

    assert sorted(map(str, outcomes)) == ["RotationRefused", "retired"]
    assert Secret.objects.filter(account=account, retired_at=None).count() == 1


@pytest.mark.parametrize(
    ("provider", "value", "words"),
    [
        ("stripe", "sk_live_not_a_webhook_secret", "whsec_ and the characters"),
        ("stripe", "whsec_short", "11 characters given"),
        ("standard", "whsec_" + "A" * 8, "base64 of 24 to 64 bytes"),
        ("standard", "whsec_" + "A" * 86 + "==", "0 bytes|24 to 64 fit|64 bytes"),
        ("stripe", "whsec_é" + "a" * 30, "do not have that form"),
    ],
)
def test_a_value_in_another_form_is_refused_and_nothing_is_kept(
    provider: str, value: str, words: str
) -> None:
    before = Secret.objects.count()
    if value.endswith("A" * 86 + "=="):
        assert rotation.checked(account_of(provider), value) == value  # 64 bytes fit exactly
        return
    with pytest.raises(RotationRefused, match=words):
        accounts.propose_secret(
            account=account_of(provider),
            value=value,
            reason="r",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    assert Secret.objects.count() == before


def test_the_same_value_again_changes_nothing() -> None:
    with pytest.raises(RotationRefused, match="this value is live already"):
        accounts.propose_secret(
            account=account_of("stripe"),
            value=STRIPE_SECRET,
            reason="r",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    assert Secret.objects.filter(account=account_of("stripe")).count() == 1


def test_a_generated_secret_is_printed_once_and_signs(monkeypatch: Any) -> None:
    monkeypatch.setattr(directory_module, "MISS_REFRESH_S", 0.0)

    told = run("rotate_webhook_secret", "standard/demo", generate=True, reason="yearly")

    value = re.search(r"^whsec_\S+$", told, re.M)
    assert value is not None
    assert send_standard(standard_body(1), secret=value[0]).status_code == 200
    trail = AuditEvent.objects.filter(action="webhook_secret.added").latest("created_at")
    assert (trail.reason, trail.subject_id) == ("yearly", "standard/demo")
    assert value[0] not in str(trail.evidence)


def test_no_account_no_secret() -> None:
    with pytest.raises(CommandError, match="there is no provider account stripe/nobody"):
        run("rotate_webhook_secret", "stripe/nobody", generate=True)


# ---- which verified what -------------------------------------------------------------------


def test_receipts_are_counted_once_per_secret_and_day_however_often_folded() -> None:
    for number in range(3):
        send_stripe(stripe_body(number))
    send_stripe(stripe_body(0))
    send_stripe(stripe_body(9), secret="wrong_" * 4)
    later = timedelta(minutes=3)

    assert fold(timedelta()) == 0  # younger than the safe lag
    assert (fold(later), fold(later), fold(later)) == (1, 0, 0)

    use = SecretUse.objects.get()
    newest = Delivery.objects.filter(signature_ok=True).latest("created_at")
    assert (use.secret_id, use.receipts, use.last_at) == (old().pk, 4, newest.created_at)
    FoldMark.objects.update(until=Delivery.objects.latest("created_at").created_at)
    send_stripe(stripe_body(20))
    fold(timedelta(minutes=6))
    use.refresh_from_db()
    assert use.receipts == 5


def test_what_is_not_folded_yet_is_counted_too() -> None:
    for number in range(2):
        send_stripe(stripe_body(number))
    fold(timedelta(minutes=3))
    FoldMark.objects.update(until=Delivery.objects.latest("created_at").created_at)
    send_stripe(stripe_body(5))
    account, now = account_of("stripe"), clock.utc_now()

    use = secret_use.uses(account=account, now=now)[old().pk]

    day = clock.business_day(now, time_zone=account.book.time_zone)
    assert use.by_day == ((day, 3),)
    assert use.last_at == Delivery.objects.latest("created_at").created_at


def test_many_folders_at_once_count_each_receipt_once() -> None:
    for number in range(4):
        send_stripe(stripe_body(number))

    race(8, lambda number: fold(timedelta(minutes=3)))

    assert SecretUse.objects.get().receipts == 4
