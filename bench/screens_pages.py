"""The process behind `screens`: asks for pages, times them, compares their ids with plain SQL."""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from typing import Any

import django
from django.conf import settings

django.setup()

from django.contrib import admin  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client, RequestFactory  # noqa: E402

from payops.core.models import User  # noqa: E402
from payops.webhooks.models import ProviderEvent  # noqa: E402

WHO = "eli"
EVENTS = "SELECT id FROM webhooks_providerevent WHERE {} ORDER BY id DESC LIMIT 50"
DEAD = (
    "SELECT id FROM webhooks_providerevent WHERE state = 'DEAD' AND {}"
    " ORDER BY last_failed_at DESC, id DESC LIMIT 50"
)
STRIPE = "account_id = (SELECT id FROM core_provideraccount WHERE provider = 'stripe')"
PAGES = {
    "inbox_first": ("/inbox/", EVENTS.format("true")),
    "inbox_parked": ("/inbox/?state=PARKED", EVENTS.format("state = 'PARKED'")),
    "inbox_rare_type": ("/inbox/?type=rare.type", EVENTS.format("type = 'rare.type'")),
    "inbox_lane": ("/inbox/?lane=high", EVENTS.format("lane = 'high'")),
    "inbox_account": ("/inbox/?provider=stripe%2Fdemo", EVENTS.format(STRIPE)),
    "inbox_hour": ("/inbox/?age=1h", EVENTS.format("created_at > now() - interval '1 hour'")),
    "inbox_id": ("/inbox/?q=evt_77", EVENTS.format("provider_event_id = 'evt_77'")),
    "dead_first": ("/inbox/dead/", DEAD.format("true")),
    "dead_cause": ("/inbox/dead/?cause=cause+c", DEAD.format("cause = 'cause c'")),
    "dead_rare_type": ("/inbox/dead/?type=rare.type", DEAD.format("type = 'rare.type'")),
    "dead_lane": ("/inbox/dead/?lane=high", DEAD.format("lane = 'high'")),
    "dead_kind": ("/inbox/dead/?kind=transient", DEAD.format("failure_kind = 'transient'")),
    "dead_nobodys": ("/inbox/dead/?owner=none", DEAD.format("owner_id IS NULL")),
    "dead_last_hour": (
        "/inbox/dead/?age=1h",
        DEAD.format("last_failed_at > now() - interval '1 hour'"),
    ),
}
ROW_LINK = re.compile(r'class="row-link" href="/inbox/ev_([0-9a-f]{32})/"')


def main(rounds: int) -> dict[str, dict[str, Any]]:
    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client()
    client.force_login(User.objects.get(username=WHO))
    found = {
        name: _page(client, path, statement, rounds) for name, (path, statement) in PAGES.items()
    }
    for name, path in (("inbox_last", "/inbox/"), ("dead_last", "/inbox/dead/")):
        found[name] = _last(client, path, rounds)
    found["admin_inbox"] = _admin("", rounds)
    found["admin_dead"] = _admin("state__exact=DEAD", rounds)
    return found


def _page(client: Client, path: str, statement: str, rounds: int) -> dict[str, Any]:
    ms, cpu_ms, shown = _timed(client, path, rounds)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        wanted = [row[0].hex for row in cursor.fetchall()]
    return {"ms": ms, "cpu_ms": cpu_ms, "correct": shown == wanted}


def _last(client: Client, path: str, rounds: int) -> dict[str, Any]:
    """The page of the oldest rows: behind a cursor of the oldest row, backwards."""
    page = _oldest_page(client, path)
    ms, cpu_ms, shown = _timed(client, page, rounds)
    dead = path.endswith("dead/")
    order = "last_failed_at, id" if dead else "id"
    narrow = "WHERE state = 'DEAD'" if dead else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM webhooks_providerevent {narrow} ORDER BY {order} OFFSET 1 LIMIT 50"
        )
        wanted = [row[0].hex for row in cursor.fetchall()][::-1]
    return {"ms": ms, "cpu_ms": cpu_ms, "correct": shown == wanted}


def _oldest_page(client: Client, path: str) -> str:
    from payops.console import paging

    rows = ProviderEvent.objects.all()
    if path.endswith("dead/"):
        rows = rows.filter(state="DEAD")
        oldest, column = rows.order_by("last_failed_at", "pk").first(), "last_failed_at"
    else:
        oldest, column = rows.order_by("pk").first(), "id"
    return f"{path}?before={paging._write(oldest, column)}"


def _timed(client: Client, path: str, rounds: int) -> tuple[float, float, list[str]]:
    """Median time, median processor time of the web process, and the ids on the page."""
    client.get(path)
    times, worked = [], []
    for _ in range(rounds):
        start, begun = time.perf_counter(), time.process_time()
        answer = client.get(path)
        times.append((time.perf_counter() - start) * 1000)
        worked.append((time.process_time() - begun) * 1000)
    assert answer.status_code == 200, (path, answer.status_code)
    shown = ROW_LINK.findall(answer.content.decode())
    return round(statistics.median(times), 1), round(statistics.median(worked), 1), shown


def _admin(query: str, rounds: int) -> dict[str, Any]:
    """Stock changelist: page numbers, exact counts, newest first."""

    class Stock(admin.ModelAdmin):
        list_display = ("id", "type", "state", "lane", "created_at")
        list_filter = ("state",)
        list_select_related = ("account",)
        list_per_page = 50
        ordering = ("-created_at",)

    person = User.objects.get(username=WHO)
    person.is_staff = person.is_superuser = True
    request = RequestFactory().get(f"/admin/?{query}")
    request.user = person
    stock = Stock(ProviderEvent, admin.AdminSite())
    times = []
    for _ in range(max(3, rounds // 3)):
        start = time.perf_counter()
        list(stock.get_changelist_instance(request).result_list)
        times.append((time.perf_counter() - start) * 1000)
    return {"ms": round(statistics.median(times), 1), "correct": True}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
