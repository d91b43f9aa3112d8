"""What the monitoring screens show: alerts, endpoints, lanes, gates, liveness (F34, OB-7).

Reads rollups of `payops.monitoring` and indexes of the queues; no screen scans the register.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from payops.console import svg, svg_series, wording
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of
from payops.core.models import Book, ProviderAccount, ScheduleSlot
from payops.monitoring import alerts, buckets, folds, history, selectors
from payops.monitoring.models import Alert, EventMinute
from payops.monitoring.rules import LANE_LIMIT_S, RULE, RULES
from payops.payments.models import CallGate
from payops.webhooks.models import Delivery

DAY = timedelta(hours=24)
RATE_SLOTS = 6
SPARK_POINTS = 48
RECENT = timedelta(hours=1)
DRAINED_MINUTES = 5
SLOTS_READ = 400
ALERT_STATES = [("open", "Open"), ("CLOSED", "Closed")]
ALERT_CONTROLS = (
    Control("state", "State", "select", choices(ALERT_STATES)),
    Control("rule", "Rule", "select", choices([(rule.key, rule.words) for rule in RULES])),
    Control("scope", "About", placeholder="Contains"),
)
# What runs by the clock, how often, and who is silent when it is late.
SCHEDULE = {"monitoring-fold": 10, "monitoring-rules": 30, "recheck-parked": 30}
LATE_AFTER = 6


@dataclass(frozen=True, slots=True)
class AlertRow:
    alert: Alert
    words: str
    look_at: str
    next_step: str

    @property
    def since_words(self) -> str:
        """Counted series know a beginning to five minutes."""
        return "Since about" if "series" in self.alert.facts else "Since"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider account as its webhooks show it."""

    account: ProviderAccount
    last_at: datetime | None
    spark: SafeString
    measured: int
    expected: int | None
    refused: int
    received: int
    dead: int
    latency_p50: str
    latency_p99: str
    alert: Alert | None

    @property
    def tone(self) -> str:
        if self.alert is not None:
            return "bad"
        return "good" if self.last_at else "quiet"

    @property
    def word(self) -> str:
        if self.alert is not None:
            return RULE[self.alert.rule].words
        return "Healthy" if self.last_at else "Nothing received yet"


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: str
    ready: int
    oldest_at: datetime | None
    limit_s: int
    late: bool
    drained_per_minute: int
    spark: SafeString


@dataclass(frozen=True, slots=True)
class Work:
    """Scheduled work and when it last ran; `parts` have their own rounds, one per account."""

    words: str
    parts: int
    ran_at: datetime
    late: bool


def open_alerts(book: Book) -> list[AlertRow]:
    rows = _alerts(book).exclude(state=Alert.State.CLOSED).order_by("-created_at")
    return [_row(alert) for alert in rows]


def listed(book: Book, wanted: Filters) -> QuerySet[Alert]:
    rows = _alerts(book)
    if wanted["state"] == "open":
        rows = rows.exclude(state=Alert.State.CLOSED)
    elif wanted["state"]:
        rows = rows.filter(state=wanted["state"])
    if wanted["rule"]:
        rows = rows.filter(rule=wanted["rule"])
    return rows.filter(scope__icontains=wanted["scope"]) if wanted["scope"] else rows


def with_rules(found: list[Alert]) -> list[AlertRow]:
    return [_row(alert) for alert in found]


def query(book: Book) -> QuerySet[Alert]:
    """Alerts of the book and of the system, which serves every book."""
    return _alerts(book)


def alert_page(alert: Alert, *, now: datetime) -> dict[str, Any]:
    """The explanation with its numbers and its picture."""
    picture, bars = _picture(alert, now)
    return {
        "row": _row(alert),
        "picture": picture,
        "bars": bars,
        "facts": _alert_facts(alert),
        "series_words": history.length_words(int(alert.facts.get("window_slots", 1))),
    }


def endpoints(book: Book, *, now: datetime) -> list[Endpoint]:
    accounts = list(ProviderAccount.objects.filter(book=book).order_by("provider", "slug"))
    until = history.number_of(now)
    receipts = history.read(
        book_id=book.pk, name="receipts", until=until, scopes=[a.address for a in accounts]
    )
    received = selectors.totals(name="receipts", since=now - DAY, book=book)
    refused = selectors.totals(name="refusals", since=now - DAY, book=book)
    dead = selectors.totals(name="dead", since=now - DAY, book=book)
    latency = selectors.latency_by("account_id", since=now - RECENT, book=book)
    alerts_of = {
        alert.scope.partition("|")[0]: alert
        for alert in _alerts(book).exclude(state=Alert.State.CLOSED).order_by("created_at")
    }
    last = _last_receipts(accounts)
    found = []
    for account in accounts:
        base = receipts.baseline(account.address, until, RATE_SLOTS)
        points = receipts.rolling(account.address, until, RATE_SLOTS, SPARK_POINTS)
        spent = latency.get(account.pk)
        from_receipt = spent.from_receipt if spent else []
        found.append(
            Endpoint(
                account=account,
                last_at=last.get(account.address),
                spark=svg.sparkline(
                    values=points,
                    title=f"Receipts of {account.address} in 30 min, last 4 h",
                    name=f"spark-{account.pk.hex[-8:]}",
                ),
                measured=points[-1] if points else 0,
                expected=base.expected if base.kind != "none" else None,
                refused=refused.get(account.address, 0),
                received=received.get(account.address, 0),
                dead=dead.get(account.address, 0),
                latency_p50=buckets.at_most(from_receipt, 500),
                latency_p99=buckets.at_most(from_receipt, 990),
                alert=alerts_of.get(account.address),
            )
        )
    return found


def counted_to(*, now: datetime) -> datetime:
    """The end of the last window of receipts: whole slots, and only what is counted already."""
    whole = history.moment(history.number_of(now))
    return min(whole, folds.folded_until(now=now))


def lanes(book: Book, *, now: datetime) -> list[LaneRow]:
    """Both queues of each lane; what is drained comes from the last counted minutes."""
    waiting: dict[str, list[selectors.Waiting]] = {}
    for each in selectors.waiting(now=now):
        waiting.setdefault(each.lane, []).append(each)
    since = now - timedelta(minutes=DRAINED_MINUTES)
    drained = selectors.latency_by("lane", since=since)
    system = Book.objects.filter(is_system=True).first() or book
    until = history.number_of(now)
    backlog = history.between(
        book_id=system.pk, name="backlog", ranges=[(until - SPARK_POINTS, until + 1)]
    )
    rows = []
    for lane, queues in waiting.items():
        oldest = min((q.oldest_at for q in queues if q.oldest_at), default=None)
        limit = LANE_LIMIT_S.get(lane, max(LANE_LIMIT_S.values()))
        finished = drained[lane].finished if lane in drained else 0
        rows.append(
            LaneRow(
                lane=lane,
                ready=sum(q.ready for q in queues),
                oldest_at=oldest,
                limit_s=limit,
                late=oldest is not None and (now - oldest).total_seconds() >= limit,
                drained_per_minute=-(-finished // DRAINED_MINUTES),
                spark=svg.sparkline(
                    values=backlog.rolling(lane, until + 1, 1, SPARK_POINTS),
                    title=f"Rows ready in the lane {lane}, last 4 h",
                    name=f"lane-{lane}",
                ),
            )
        )
    return rows


def gates(book: Book) -> list[CallGate]:
    rows = CallGate.objects.filter(book=book).select_related("account")
    return list(rows.order_by("account__provider", "account__slug"))


def schedule(*, now: datetime) -> list[Work]:
    """When each work of the schedule last left its trace; late after six of its rounds."""
    latest: dict[str, datetime] = {}
    parts: dict[str, set[str]] = {}
    slots = ScheduleSlot.objects.order_by("-pk").values_list("name", "ran_at")[:SLOTS_READ]
    for name, ran_at in slots:
        work = name.partition(":")[0]
        latest.setdefault(work, ran_at)
        parts.setdefault(work, set()).add(name)
    rows = []
    for work, ran_at in latest.items():
        every = SCHEDULE.get(work)
        late = every is not None and (now - ran_at).total_seconds() > every * LATE_AFTER
        rows.append(Work(wording.work(work), len(parts[work]), ran_at, late))
    return sorted(rows, key=lambda row: row.words)


def counted_minutes(book: Book) -> bool:
    return EventMinute.objects.filter(book=book).exists()


def _alerts(book: Book) -> QuerySet[Alert]:
    system = Book.objects.filter(is_system=True).values("pk")
    rows = Alert.objects.select_related("book", "acknowledged_by")
    return rows.filter(book=book) | rows.filter(book__in=system)


def _row(alert: Alert) -> AlertRow:
    rule = RULE[alert.rule]
    return AlertRow(alert, rule.words, alerts.link_of(alert), rule.next_step)


def _last_receipts(accounts: list[ProviderAccount]) -> dict[str, datetime]:
    """From the index of each account's receipts, newest first."""
    found = {}
    for account in accounts:
        newest = Delivery.objects.filter(account=account).order_by("-created_at")
        at = newest.values_list("created_at", flat=True).first()
        if at is not None:
            found[account.address] = at
    return found


def _alert_facts(alert: Alert) -> list[Fact]:
    said, rule = alert.facts, RULE[alert.rule]
    histories = {"weeks": "same hour of the week", "day": "the last day", "none": "none yet"}
    return facts_of(
        Fact("Rule", f"{rule.key}, version {alert.rule_version}", "mono"),
        Fact("About", alert.scope.replace("|", ", ")),
        Fact("Measured", said.get("measured")),
        Fact("Expected", said.get("expected")),
        Fact("Usual spread", said.get("spread")),
        Fact("Opens at", said.get("opens_at", said.get("opens_at_s"))),
        Fact("Closes below", said.get("closes_below")),
        Fact("History", histories.get(str(said.get("history", "")), "")),
        Fact("Windows compared", said.get("samples")),
        Fact("Share", f"{said['percent']} %" if "percent" in said else ""),
        Fact("Usual share", f"{said['usual_percent']} %" if "percent" in said else ""),
        Fact("Share of all", f"{said['share_percent']} %" if "share_percent" in said else ""),
        Fact(_row(alert).since_words, alert.since, "when"),
        Fact("Told", alert.created_at, "when"),
        Fact("Looked after since", alert.acknowledged_at, "when"),
        Fact("Looked after by", alert.acknowledged_by.name if alert.acknowledged_by else ""),
        Fact("Closed", alert.closed_at, "when"),
    )


def _picture(alert: Alert, now: datetime) -> tuple[SafeString | None, list[svg.Bar]]:
    drawn = alerts.picture_of(alert, now=now)
    if not drawn:
        return None, []
    values, start = list(drawn["values"]), int(drawn["from"])
    times = [history.moment(start + place + 1) for place in range(len(values))]
    picture = svg_series.band(
        values=values,
        expected=int(drawn["expected"]),
        opens_at=int(drawn["opens_at"]),
        ends=(f"{times[0]:%H:%M}", f"{times[-1]:%H:%M} UTC"),
        title=alert.title,
    )
    bars = [
        svg.Bar(f"{at:%Y-%m-%d %H:%M} UTC", value, str(value))
        for at, value in zip(times, values, strict=True)
    ]
    return picture, bars
