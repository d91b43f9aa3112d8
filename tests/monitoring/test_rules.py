"""Each rule over made-up series: opens once with the right numbers, stays quiet, closes late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payops.cases.models import LocalMessage
from payops.core import clock
from payops.core.models import AuditEvent, Book
from payops.monitoring.findings import structural
from payops.monitoring.models import Alert, Signal
from payops.monitoring.rules import LANE_LIMIT_S, RULE
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.monitoring.series import ACCOUNT, NOW, last_hour, look, only_alert, put, weeks_of

pytestmark = pytest.mark.django_db(transaction=True)
SLOT = timedelta(minutes=5)


def notices() -> list[str]:
    return list(LocalMessage.objects.order_by("pk").values_list("subject", flat=True))


def test_a_webhook_spike_opens_once_and_explains_itself_with_its_numbers() -> None:
    """OB-3, F34: 8 weeks of 20 a slot; 200 in a slot is told once, with what was expected."""
    weeks_of("receipts", ACCOUNT, 20)
    last_hour("receipts", ACCOUNT, 20)
    put("receipts", ACCOUNT, {NOW - SLOT: 180})

    assert look() == (1, 0)
    assert look(NOW + timedelta(minutes=1)) == (0, 0)
    assert look(NOW + timedelta(minutes=2)) == (0, 0)

    alert = only_alert("webhook_spike")
    # Three slots of 20 and 180 more; 60 expected; counting alone makes 60 vary by 8 (root of 60).
    assert (alert.facts["measured"], alert.facts["expected"], alert.facts["spread"]) == (240, 60, 8)
    assert (alert.facts["opens_at"], alert.facts["closes_below"]) == (150, 84)
    assert (alert.facts["history"], alert.facts["weeks"], alert.facts["samples"]) == (
        "weeks",
        8,
        32,
    )
    assert alert.explanation == (
        "240 receipts for stripe/demo in the 15 min up to 2026-06-19 14:32 UTC. Expected 60, usual "
        "spread 8 (median and median deviation of 32 windows of 15 min in the same hour of the "
        "week over 8 weeks). The rule opens at 150, the larger of 150 and 60 + 6 × 8, and closes "  # noqa: RUF001
        "below 84."
    )
    assert alert.since == NOW.replace(minute=25)
    assert notices() == ["Alert: Far more webhooks than usual: stripe/demo"]
    told = LocalMessage.objects.get()
    assert told.audience == "engineering"
    assert f"/monitoring/alerts/{alert.public_id}/" in told.body
    assert AuditEvent.objects.filter(subject_id=alert.public_id).count() == 1


def test_a_busy_hour_of_the_week_is_not_a_spike() -> None:
    """OB-3: what comes every Friday at half past two is expected, however much it is."""
    weeks_of("receipts", ACCOUNT, 20)
    for week in range(1, 9):
        friday = NOW.replace(minute=0) - timedelta(weeks=week)
        put("receipts", ACCOUNT, {friday + SLOT * place: 180 for place in range(12)})
    last_hour("receipts", ACCOUNT, 200)

    assert look() == (0, 0)
    assert not Alert.objects.exists() and notices() == []


def test_one_bad_friday_teaches_nothing_wrong() -> None:
    """The median stands when one of eight weeks was a storm."""
    weeks_of("receipts", ACCOUNT, 20)
    storm = NOW.replace(minute=0) - timedelta(weeks=3)
    put("receipts", ACCOUNT, {storm + SLOT * place: 5_000 for place in range(12)})
    last_hour("receipts", ACCOUNT, 200)

    assert look() == (1, 0)
    assert only_alert("webhook_spike").facts["expected"] == 60


@pytest.mark.parametrize("wobble", [3, 6, 10])
def test_normal_variation_raises_nothing_in_a_whole_day(wobble: int) -> None:
    weeks_of("receipts", ACCOUNT, 40, wobble=wobble)
    start = NOW - timedelta(hours=24)

    for step in range(24):
        assert look(start + timedelta(hours=step)) == (0, 0)


def test_a_spike_closes_only_below_half_way_and_says_so_once() -> None:
    """Hysteresis: 120 is under the opening mark of 150 and over the closing mark of 84."""
    weeks_of("receipts", ACCOUNT, 20)
    last_hour("receipts", ACCOUNT, 20)
    put("receipts", ACCOUNT, {NOW - SLOT: 180})
    assert look() == (1, 0)
    later = NOW + timedelta(minutes=30)
    put("receipts", ACCOUNT, {NOW + SLOT * n: 40 for n in range(1, 7)})
    assert look(later) == (0, 0)

    put("receipts", ACCOUNT, {later + SLOT * n: 20 for n in range(1, 7)})
    over = later + timedelta(minutes=30)
    assert look(over) == (0, 1)
    assert look(over + timedelta(minutes=1)) == (0, 0)

    alert = only_alert("webhook_spike")
    assert alert.state == Alert.State.CLOSED and alert.closed_at == over
    assert notices() == [
        "Alert: Far more webhooks than usual: stripe/demo",
        "Over: Far more webhooks than usual: stripe/demo",
    ]
    audited = AuditEvent.objects.filter(subject_id=alert.public_id).order_by("pk")
    assert list(audited.values_list("from_state", "to_state")) == [("", "OPEN"), ("OPEN", "CLOSED")]
    # 200, 20 and 40: the window that held the spike and what came after it.
    assert max(alert.facts["picture"]["values"]) == 260


def test_without_three_weeks_the_last_day_is_the_history() -> None:
    weeks_of("receipts", ACCOUNT, 20, weeks=1)
    last_hour("receipts", ACCOUNT, 200)

    assert look() == (1, 0)
    alert = only_alert("webhook_spike")
    assert (alert.facts["history"], alert.facts["expected"]) == ("day", 60)
    assert "of the last day (younger than 3 weeks)" in alert.explanation


def test_without_any_history_the_least_count_alone_decides() -> None:
    put("receipts", ACCOUNT, {NOW: 149})
    assert look() == (0, 0)

    put("receipts", ACCOUNT, {NOW: 1})
    assert look() == (1, 0)
    assert (
        "no history yet, so the least count alone decides"
        in only_alert("webhook_spike").explanation
    )


def test_a_silent_endpoint_is_told_with_what_should_have_come() -> None:
    """F34: nothing for half an hour where nine of ten such windows had at least 120."""
    weeks_of("receipts", ACCOUNT, 20)
    put("receipts", ACCOUNT, {NOW.replace(minute=0) - SLOT * n: 20 for n in range(1, 8)})

    assert look() == (1, 0)
    assert look(NOW + timedelta(minutes=5)) == (0, 0)

    alert = only_alert("endpoint_silence")
    assert (alert.facts["measured"], alert.facts["expected_least"]) == (0, 120)
    assert "0 receipts came for stripe/demo in the 30 min before 2026-06-19 14:30 UTC" in (
        alert.explanation
    )
    assert alert.since == NOW.replace(minute=0)

    put("receipts", ACCOUNT, {NOW + SLOT * n: 20 for n in range(1, 4)})
    assert look(NOW + timedelta(minutes=20)) == (0, 1)
    assert notices()[-1] == "Over: An endpoint is silent: stripe/demo"


def test_a_quiet_night_is_not_silence() -> None:
    """Nothing comes at this hour of the week, so that nothing coming is no news."""
    weeks_of("receipts", ACCOUNT, 20)
    Signal.objects.filter(name="receipts", slot_at__hour__in=[13, 14]).delete()

    assert look() == (0, 0)


def test_a_fold_that_is_behind_is_not_taken_for_silence() -> None:
    weeks_of("receipts", ACCOUNT, 20)
    put("receipts", ACCOUNT, {NOW.replace(minute=0) - SLOT * n: 20 for n in range(1, 8)})

    assert look(counted_until=NOW.replace(minute=0)) == (0, 0)


def test_failed_payments_surge_in_count_and_share_by_method() -> None:
    """OB-4, OB-5, AI-5: card fails, transfers go on; the rate is told beside the usual one."""
    for method, failed in (("card", 1), ("transfer", 1)):
        weeks_of("payments_failed", f"{ACCOUNT}|{method}", failed)
        weeks_of("payments_ok", f"{ACCOUNT}|{method}", 19)
        last_hour("payments_ok", f"{ACCOUNT}|{method}", 19)
    put("payments_failed", f"{ACCOUNT}|card", {NOW - SLOT * n: 15 for n in range(3)})

    assert look() == (1, 0)

    alert = only_alert("payment_failed_surge")
    assert alert.scope == "stripe/demo|card"
    assert (alert.facts["measured"], alert.facts["total"], alert.facts["percent"]) == (45, 159, 28)
    assert (alert.facts["usual_percent"], alert.facts["percent_opens_at"]) == (5, 20)
    assert LocalMessage.objects.get().audience == "payments operations"


def test_more_payments_with_the_usual_share_of_failures_are_no_surge() -> None:
    weeks_of("payments_failed", f"{ACCOUNT}|card", 1)
    weeks_of("payments_ok", f"{ACCOUNT}|card", 19)
    put("payments_failed", f"{ACCOUNT}|card", {NOW - SLOT * n: 15 for n in range(3)})
    put("payments_ok", f"{ACCOUNT}|card", {NOW - SLOT * n: 285 for n in range(3)})

    assert look() == (0, 0)


def test_refunds_that_cluster_in_one_country_are_told_with_their_share() -> None:
    """OB-4, AI-5."""
    for country in ("DE", "FR"):
        weeks_of("refunds", country, 1)
        last_hour("refunds", country, 1)
    put("refunds", "FR", {NOW - SLOT * n: 9 for n in range(4)})

    assert look() == (1, 0)

    alert = only_alert("refund_cluster")
    assert alert.scope == "FR"
    assert (alert.facts["measured"], alert.facts["expected"]) == (48, 12)
    assert (alert.facts["all_countries"], alert.facts["share_percent"]) == (60, 80)
    assert "80 % of all 60 refunds of that hour are from there." in alert.explanation


def test_card_testing_is_many_small_failures_and_hardly_a_success() -> None:
    """AI-5, WH-31: one seller, 40 small failures, 2 successes."""
    scope = f"{ACCOUNT}|S-1001"
    put("small_failed", scope, {NOW - SLOT: 25, NOW: 15})
    put("small_ok", scope, {NOW: 2})
    put("small_failed", f"{ACCOUNT}|S-1002", {NOW: 40})
    put("small_ok", f"{ACCOUNT}|S-1002", {NOW: 60})

    assert look() == (1, 0)

    alert = only_alert("card_testing")
    assert (alert.scope, alert.facts["measured"], alert.facts["succeeded"]) == (scope, 40, 2)
    assert "2 small payments of seller S-1001 at stripe/demo succeeded meanwhile" in (
        alert.explanation
    )


def test_refusals_and_dead_letters_have_rules_of_their_own() -> None:
    """WH-31: refused bodies are told apart from business events."""
    put("refusals", ACCOUNT, {NOW: 30})
    put("dead", ACCOUNT, {NOW: 5})

    assert look() == (2, 0)
    assert {alert.rule for alert in Alert.objects.all()} == {
        "refusals_surge",
        "dead_letters_rising",
    }


def test_alerts_of_another_book_are_its_own() -> None:
    put("refusals", ACCOUNT, {NOW: 30})
    look()

    assert only_alert("refusals_surge").book == Book.objects.get(code="meridian")


def test_a_structural_mismatch_stays_open_with_what_did_not_fit() -> None:
    """OB-7: one alert per account and type, open until none is left."""
    said = {"id": "spm_s1", "object": "payment", "status": "captured", "amount": "much"}
    for number in range(2):
        body = builders.standard_event("payment.captured", {**said, "id": f"spm_s{number}"})
        assert builders.post_standard(body) == 200
    builders.drain()
    dead = ProviderEvent.objects.filter(state="DEAD", failure_kind="structural")
    assert dead.count() == 2
    now = clock.utc_now()

    assert look(now) == (1, 0)
    assert look(now + SLOT) == (0, 0)

    alert = only_alert("structural_mismatch")
    latest = dead.latest("last_failed_at")
    assert alert.scope == "standard/demo|payment.captured"
    assert latest.public_id in alert.explanation
    assert latest.last_error[:300] in alert.explanation
    # The dead letter itself is told to engineering, once a day and cause; not a second time here.
    assert not LocalMessage.objects.filter(correlation_id__startswith="alert:").exists()


def test_a_structural_alert_closes_when_no_such_dead_letter_is_left() -> None:
    finding = structural(
        rule=RULE["structural_mismatch"],
        book_id=Book.objects.get(code="meridian").pk,
        open_scopes=("standard/demo|payment.captured",),
        now=NOW,
    )

    assert [(each.breached, each.calm) for each in finding] == [(False, True)]


def test_a_lane_that_is_not_drained_opens_by_the_age_of_its_oldest_row() -> None:
    """WH-21: told with depth and age, for the system book; closes below half of the limit."""
    body = builders.standard_event("payout.unheard_of", {"id": "spo_x", "object": "payout"})
    assert builders.post_standard(body) == 200
    event = ProviderEvent.objects.get()
    limit = timedelta(seconds=LANE_LIMIT_S[event.lane])

    assert look(event.due_at + limit - timedelta(seconds=1)) == (0, 0)
    assert look(event.due_at + limit) == (1, 0)

    alert = only_alert("lane_backlog")
    assert (alert.scope, alert.book.is_system) == (event.lane, True)
    assert alert.facts["measured"] == 1
    assert f"1 rows are ready in the lane {event.lane}, the oldest for" in alert.explanation
    builders.drain()
    assert look(event.due_at + limit + SLOT) == (0, 1)
