"""Monitoring screens: alerts that explain themselves, endpoints, latency (F34, OB-1, OB-9)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import transaction

from payops.console import svg_series
from payops.console.reads import service_times
from payops.core import clock
from payops.core.models import AuditEvent
from payops.monitoring import buckets, evaluate, folds, signals
from payops.monitoring.models import Alert
from payops.monitoring.selectors import Latency
from payops.monitoring.signals import Reading
from tests import builders, stories
from tests.monitoring.series import book
from tests.monitoring.test_folds import failed_payment, fold

pytestmark = pytest.mark.django_db(transaction=True)
SLOT = timedelta(minutes=5)


def refusals_alert() -> Alert:
    now = clock.utc_now()
    with transaction.atomic():
        signals.add([Reading(book().pk, "refusals", "stripe/demo", now, 30)])
        evaluate.evaluate(now=now)
    return Alert.objects.get(rule="refusals_surge")


def test_nothing_unusual_is_said_in_words(as_) -> None:
    page = as_("eli").get("/monitoring/").content.decode()

    assert "No rule finds anything unusual." in page
    assert "No event was finished yet" in page
    assert "stripe/demo" in page and "Nothing received yet" in page


def test_latency_endpoints_and_methods_come_from_the_rollups(as_) -> None:
    """OB-1, OB-5, F34."""
    builders.capture(100_000)
    failed_payment(1)
    builders.drain()
    fold(clock.utc_now() + timedelta(minutes=3))

    page = as_("amara").get("/monitoring/").content.decode()

    assert "Not enough yet" in page and "logarithmic scale" not in page
    assert "Receipts of the last 30 min, counted to" in page
    assert '<td>card</td><td class="num">1</td><td class="num">2</td>' in page
    assert "50 %" in page
    assert "Healthy" in page


def test_the_line_of_six_hours_needs_two_moments() -> None:
    """Labels of three lines on one point say nothing."""
    begin = clock.utc_now()
    counted = [0] * buckets.COUNT
    counted[3] = 5
    fast, none = Latency(5, 0, 0, counted, counted), Latency(0, 0, 0, [0] * 17, [0] * 17)
    ends = ("08:00", "14:00 UTC")

    assert service_times._over_time([(begin, fast), (begin + SLOT, none)], ends) is None
    drawn = service_times._over_time([(begin, fast), (begin + SLOT, fast)], ends)
    assert drawn is not None and drawn.count("<polyline") == 3


def test_labels_of_threshold_and_expectation_never_lie_on_each_other() -> None:
    """Expected 0 and opens at 5 under a peak of 4,000: both near the floor."""
    for expected, opens_at, peak in ((0, 5, 4000), (0, 5, 3), (40, 41, 41), (0, 1, 0)):
        drawn = svg_series.band(
            values=[0, peak],
            expected=expected,
            opens_at=opens_at,
            ends=("08:00", "09:00"),
            title="Dead letters",
        )
        above = int(re.findall(r'y="(\d+)">opens at', drawn)[0])
        below = int(re.findall(r'y="(\d+)">expected', drawn)[0])
        assert below - above >= svg_series.NAME_HEIGHT


def test_an_open_alert_stands_on_top_with_its_numbers_and_its_link(as_) -> None:
    alert = refusals_alert()

    page = as_("eli").get("/monitoring/").content.decode()
    assert page.index(alert.title) < page.index("Endpoints</h2>")
    assert "30 refused bodies for stripe/demo in the 15 min" in page

    detail = as_("eli").get(f"/monitoring/alerts/{alert.public_id}/").content.decode()
    assert "opens at 30" in detail and "refusals_surge, version 1" in detail
    assert "no history yet" in detail


def test_acknowledging_is_audited_with_the_person_and_changes_no_rule(as_) -> None:
    """F34: no notice; the alert closes by its rule, acknowledged or not."""
    alert = refusals_alert()

    answer = as_("eli").post(f"/monitoring/alerts/{alert.public_id}/acknowledge/")
    assert answer.status_code == 302

    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by.name) == ("ACKNOWLEDGED", "Eli Navarro")
    audited = AuditEvent.objects.filter(subject_id=alert.public_id).order_by("pk")
    assert list(audited.values_list("to_state", "login")) == [("OPEN", ""), ("ACKNOWLEDGED", "eli")]

    with transaction.atomic():
        assert evaluate.evaluate(now=clock.utc_now() + timedelta(hours=2)) == (0, 1)
    alert.refresh_from_db()
    assert alert.state == "CLOSED"


@pytest.mark.parametrize("who", ["audrey", "sofia"])
def test_who_only_reads_may_look_but_not_acknowledge(as_, who: str) -> None:
    alert = refusals_alert()
    client = as_(who)

    assert client.get(f"/monitoring/alerts/{alert.public_id}/").status_code == 200
    assert client.post(f"/monitoring/alerts/{alert.public_id}/acknowledge/").status_code == 403
    alert.refresh_from_db()
    assert alert.state == "OPEN"


def test_the_access_administrator_sees_no_monitoring(as_) -> None:
    for path in ("", "alerts/", "service/"):
        assert as_("ada").get(f"/monitoring/{path}").status_code == 403


def test_alerts_are_listed_with_history_and_filters(as_) -> None:
    alert = refusals_alert()
    client = as_("eli")

    assert alert.title in client.get("/monitoring/alerts/?state=open").content.decode()
    assert alert.title not in client.get("/monitoring/alerts/?state=CLOSED").content.decode()
    assert alert.title not in client.get("/monitoring/alerts/?scope=adyen").content.decode()
    assert client.get("/monitoring/alerts/al_" + "0" * 32 + "/").status_code == 404
    assert client.get("/monitoring/alerts/po_" + "0" * 32 + "/").status_code == 404


def test_the_screen_reads_the_same_number_of_rows_however_many_events_there_are(
    as_, django_assert_max_num_queries
) -> None:
    for _ in range(3):
        builders.capture(100_000)
    with transaction.atomic():
        folds.fold(now=clock.utc_now())
    client = as_("eli")

    with django_assert_max_num_queries(60):
        client.get("/monitoring/")


def test_times_to_service_name_each_rule_with_its_cases(as_) -> None:
    """OB-9: how long until a person acted, by rule."""
    payout = stories.paid_payout()
    failed = builders.payout_object(payout, "failed", failure_code="account_closed")
    assert builders.post_standard(builders.standard_event("payout.failed", failed)) == 200
    builders.drain()

    page = as_("lena").get("/monitoring/service/").content.decode()

    assert "Cases by rule, 30 days" in page
    assert "A payout failed or came back" in page
    assert "Execution log, 24 h" in page
