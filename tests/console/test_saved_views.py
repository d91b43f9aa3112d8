"""Saved views: mine until shared, changed by their owner alone, pinned with a count."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payops.console.reads import saved_views as reads
from payops.core.models import AuditEvent, SavedView
from tests.console.work import browser, shows, text_of
from tests.flows.test_jobs import letters
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = '"><script>alert(1)</script>'


def save(username: str, name: str, query: str = "kind=structural", screen: str = "dead-letters"):
    said = {"screen": screen, "name": name, "query": query}
    return browser(username).post("/views/save/", said)


def change(username: str, view: SavedView, **said):
    given = {"name": view.name, "act": "change", **said}
    return browser(username).post(f"/views/{view.pk}/", given)


def test_view_keeps_the_filters_without_cursors_and_is_private():
    answer = save("eli", "Mine to mend", "kind=structural&after=abc&lane=high&format=csv")

    view = SavedView.objects.get()
    assert answer.headers["Location"] == "/inbox/dead/?kind=structural&lane=high"
    assert (view.query, view.shared_with, view.pinned) == ("kind=structural&lane=high", [], False)
    assert shows(browser("eli").get("/inbox/dead/"), "Mine to mend")
    assert not shows(browser("lena").get("/inbox/dead/"), "Mine to mend")
    assert AuditEvent.objects.get(action="view.kept").login == "eli"


def test_shared_view_is_seen_by_its_roles_and_changed_by_its_owner_alone():
    save("eli", "Mine to mend")
    view = SavedView.objects.get()
    change("eli", view, role=["ops_lead"], pinned="1")

    assert shows(browser("lena").get("/inbox/dead/"), "Mine to mend")
    assert not shows(browser("priya").get("/inbox/dead/"), "Mine to mend")
    lena = browser("lena")
    said = {"act": "change", "name": "Lena's now"}
    refused = lena.post(f"/views/{view.pk}/", said, follow=True)
    assert shows(refused, "changes the view “Mine to mend”; save your own")
    browser("lena").post(f"/views/{view.pk}/", {"act": "remove", "name": "x"})
    view.refresh_from_db()
    assert (view.name, view.removed_at, view.shared_with) == ("Mine to mend", None, ["ops_lead"])


def test_pinned_view_stands_in_the_navigation_with_its_count_in_one_statement():
    letters(3)
    for name in ("Structural", "Nobody's"):
        query = "kind=structural" if name == "Structural" else "owner=none"
        save("eli", name, query)
    for view in SavedView.objects.all():
        change("eli", view, pinned="1")

    client = browser("eli")
    with CaptureQueriesContext(connection) as seen:
        page = text_of(client.get("/"))

    counting = [query["sql"] for query in seen if ") v0)" in query["sql"]]
    assert len(counting) == 1 and ") v1)" in counting[0]
    pinned = page.split('aria-label="Pinned views of Inbox"')[1].split("</ul>")[0]
    assert pinned.count('<span class="count">3<span') == 2


def test_count_stops_at_its_limit(monkeypatch):
    letters(3)
    monkeypatch.setattr(reads, "COUNT_MAX", 2)
    save("eli", "Structural")
    change("eli", SavedView.objects.get(), pinned="1")

    assert "2+" in text_of(browser("eli").get("/")).split("Pinned views of Inbox")[1][:400]


def test_view_that_is_slow_costs_its_number_never_the_page(monkeypatch):
    letters(1)
    save("eli", "Structural")
    change("eli", SavedView.objects.get(), pinned="1")
    real = reads._one_statement
    monkeypatch.setattr(reads, "_one_statement", lambda text, held: real("SELECT pg_sleep(2)", []))
    monkeypatch.setattr(reads, "COUNT_WITHIN_MS", 50)

    page = browser("eli").get("/")

    assert page.status_code == 200 and shows(page, "Structural")


def test_stale_view_degrades_with_words():
    """A filter that is gone filters nothing and says so."""
    save("eli", "From before", "colour=blue&kind=bygone")

    page = browser("eli").get("/inbox/dead/?colour=blue&kind=bygone")
    listed = browser("eli").get("/views/")

    for answer in (page, listed):
        assert shows(answer, "There is no filter “colour” here any more")
        assert shows(answer, "“bygone” is none of the choices of “Kind”")


def test_same_name_twice_too_long_and_hostile_names():
    save("eli", HOSTILE)
    save("eli", HOSTILE)
    save("eli", "x" * 81)
    save("eli", "   ")

    assert [view.name for view in SavedView.objects.all()] == [HOSTILE]
    page = text_of(browser("eli").get("/inbox/dead/"))
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_removed_view_is_gone_and_its_name_is_free_again():
    save("eli", "Mine")
    view = SavedView.objects.get()
    browser("eli").post(f"/views/{view.pk}/", {"act": "remove"})

    save("eli", "Mine", "lane=high")

    assert SavedView.objects.filter(removed_at=None).get().query == "lane=high"
    assert AuditEvent.objects.filter(action="view.removed").count() == 1


def test_view_of_a_screen_one_may_not_open_is_not_kept_nor_shown():
    assert save("priya", "Trail", "", screen="audit").status_code == 403
    save("audrey", "Trail", "action=event.dead", screen="audit")
    change("audrey", SavedView.objects.get(), role=["finance_analyst"], pinned="1")

    assert not shows(browser("priya").get("/"), "Trail")
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize(
    ("screen", "query"),
    [
        ("cases", "owner=me&overdue=1"),
        ("approvals", "show=mine"),
        ("approvals", "show=decided"),
        ("payouts", "held=1&min=10"),
        ("payments", ""),
        ("beneficiaries", ""),
        ("journal", ""),
        ("inbox", "type=&lane=high"),
        ("dead-letters", "again=1&age=1h&owner=me"),
        ("outbox", "owner=none"),
        ("messages", "q=x"),
        ("tickets", "status=open"),
        ("jobs", "unfit=1&whose=me"),
    ],
)
def test_every_queue_can_be_saved_pinned_and_counted(screen, query):
    save("lena", "Daily", query, screen=screen)
    view = SavedView.objects.get()
    change("lena", view, pinned="1")

    assert view.owner_id == person("lena").pk
    page = browser("lena").get("/")
    assert page.status_code == 200 and shows(page, "Daily")
    assert browser("lena").get(reads.url_of(view)).status_code == 200
