"""Template tags: amounts, ids, times and states as people read them (D17, F19, F20)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from payops.console import tones, wording
from payops.console.templatetags import payops_tags, work_tags
from payops.core.money import Money, MoneyError

NOW = datetime(2026, 3, 4, 14, 22, 31, tzinfo=UTC)
PAYOUT_ID = "po_0195612a7c3e7f00a1b2c3d4e5f60718"
HOSTILE = "<script>alert(1)</script>\"'&"


def render(source: str, **values: object) -> str:
    context = Context({"now": NOW, **values})
    return Template("{% load payops_tags %}" + source).render(context)


@pytest.mark.parametrize(
    ("minor", "currency", "shown", "machine"),
    [
        (1240000, "EUR", "12,400.00", "12400.00 EUR"),
        (-5000001, "USD", "\u221250,000.01", "-50000.01 USD"),
        (120000, "JPY", "120,000", "120000 JPY"),
        (-1234567, "KWD", "\u22121,234.567", "-1234.567 KWD"),
        (0, "GBP", "0.00", "0.00 GBP"),
        (7, "EUR", "0.07", "0.07 EUR"),
        (-7, "KWD", "\u22120.007", "-0.007 KWD"),
    ],
)
def test_money_shows_exponent_separators_and_true_minus(minor, currency, shown, machine):
    negative = " neg" if minor < 0 else ""

    markup = render("{% money minor currency %}", minor=minor, currency=currency)

    assert markup == (
        f'<data class="money{negative}" value="{machine}">{shown} '
        f'<span class="cur">{currency}</span></data>'
    )


def test_money_takes_a_money_and_the_filter_agrees_with_the_tag():
    tag = render("{% money amount %}", amount=Money(1240000, "EUR"))

    assert render("{{ minor|money:'EUR' }}", minor=1240000) == tag
    assert render("{{ amount|money_text }}", amount=Money(-5, "EUR")) == "\u22120.05 EUR"


def test_missing_amount_is_a_dash_and_never_nil():
    markup = render("{% money amount 'EUR' %}", amount=None)

    assert "0.00" not in markup
    assert "&ndash;" in markup


@pytest.mark.parametrize("amount", [12.5, "1240000", True])
def test_amount_that_is_not_whole_minor_units_is_refused(amount):
    with pytest.raises(MoneyError):
        render("{% money amount 'EUR' %}", amount=amount)


def test_public_id_is_short_on_screen_and_whole_to_copy():
    markup = render("{% public_id value %}", value=PAYOUT_ID)

    assert f'data-copy="{PAYOUT_ID}"' in markup
    assert f'title="{PAYOUT_ID}"' in markup
    assert ">po_0195\u2026f60718<" in markup


def test_linked_id_keeps_its_own_copy_button():
    markup = render("{% public_id value href='/payouts/1/' %}", value=PAYOUT_ID)

    assert '<a href="/payouts/1/"' in markup
    assert f'aria-label="Copy {PAYOUT_ID}"' in markup


def test_short_provider_reference_is_left_whole():
    assert payops_tags.shorten("ch_3NabcDEF") == "ch_3NabcDEF"
    assert payops_tags.shorten("a3" * 32) == "a3a3a3a3\u2026a3a3a3"


@pytest.mark.parametrize(
    "source",
    ["{% public_id hostile %}", "{% public_id hostile href=hostile %}", "{% pill hostile %}"],
)
def test_hostile_text_is_escaped(source):
    markup = render(source, hostile=HOSTILE)

    assert "<script" not in markup
    assert "&lt;script&gt;" in markup or "&lt;Script&gt;" in markup
    assert '""' not in markup


def test_when_is_iso_with_weekday_and_age_in_the_current_zone():
    at = NOW - timedelta(hours=3, minutes=5)

    with timezone.override("Europe/Berlin"):
        markup = render("{% when at %}", at=at)

    assert '<time datetime="2026-03-04T11:17:31+00:00"' in markup
    assert ">2026-03-04 Wed 12:17</span> <" in markup
    assert '<span class="age">3 h 5 min ago</span>' in markup


def test_when_of_a_date_counts_days():
    assert "2026-03-02 Mon" in render("{% when day %}", day=date(2026, 3, 2))
    assert "2 d ago" in render("{% when day %}", day=date(2026, 3, 2))
    assert "today" in render("{% when day %}", day=date(2026, 3, 4))
    assert "age" not in render("{% when day age=False %}", day=date(2026, 3, 4))


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=60), "1 h"),
        (timedelta(hours=9, minutes=59), "9 h 59 min"),
        (timedelta(hours=10, minutes=59), "10 h"),
        (timedelta(days=2, hours=4), "2 d 4 h"),
        (timedelta(days=40, hours=4), "40 d"),
    ],
)
def test_age_uses_at_most_two_units(span, text):
    assert render("{% age at %}", at=NOW - span).endswith(f">{text}</time>")
    assert render("{% age at %}", at=NOW + span).endswith(f">in {text}</time>")


@pytest.mark.parametrize(
    ("due_in", "closed_after", "word", "text"),
    [
        (timedelta(hours=3), None, "On time", "3 h left"),
        (timedelta(minutes=59), None, "Due soon", "59 min left"),
        (timedelta(seconds=-90), None, "Overdue", "by 1 min"),
        (timedelta(hours=-2), timedelta(hours=1), "In time", "59 min to spare"),
    ],
)
def test_sla_clock_names_what_is_left(due_in, closed_after, word, text):
    due = NOW + due_in
    opened = due - timedelta(hours=4) if closed_after is None else due - timedelta(minutes=119)
    closed = opened + closed_after if closed_after else None

    clock = payops_tags.sla_clock({"now": NOW}, opened, due, closed)

    assert (clock.word, clock.text) == (word, text)


def test_pill_has_word_and_shape_and_unknown_states_stay_visible():
    paid, unheard = render("{% pill 'IN_TRANSIT' %}"), render("{% pill 'NEW_STATE' %}")

    assert paid.endswith("</svg>In transit</span>")
    assert '<svg class="shape"' in paid
    assert 'class="pill pill-quiet"' in unheard
    assert unheard.endswith("New state</span>")


def test_pill_tone_and_label_can_be_overruled():
    markup = render("{% pill 'LOCKED' label='Frozen' tone='quiet' %}")

    assert 'class="pill pill-quiet"' in markup
    assert markup.endswith("Frozen</span>")


def test_each_tone_has_a_shape_of_its_own():
    shapes = {tone: tones.SHAPE_PATHS[tone] for tone in tones.TONES}

    assert len(set(shapes.values())) == len(tones.TONES) == 5


def test_url_with_keeps_filters_and_drops_cursors():
    request = RequestFactory().get("/cases/?state=OPEN&owner=me&after=abc")

    changed = render("{% url_with state='WAITING' owner=None %}", request=request)
    paged = render("{% url_with after='x y' %}", request=request)

    assert changed == "?state=WAITING"
    assert paged == "?state=OPEN&amp;owner=me&amp;after=x+y"


def test_pretty_json_survives_any_body():
    assert payops_tags.pretty_json(b'{"a":1}') == '{\n  "a": 1\n}'
    assert payops_tags.pretty_json("not json \udcff") == "not json \udcff"
    assert payops_tags.pretty_json("[" * 5000) == "[" * 5000
    assert payops_tags.pretty_json("x" * 200_001).endswith("cut at 200,000 characters")
    assert "<script>" not in render("{{ body|pretty_json }}", body={"a": HOSTILE})


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("StructuralMismatch: no such payout: P-1", "no such payout: P-1"),
        ("ValueError: ", "ValueError: "),
        ("HTTP: 500", "HTTP: 500"),
        ("unreadable: not JSON", "unreadable: not JSON"),
        ("", ""),
    ],
)
def test_an_error_begins_with_its_reason_not_with_a_class(kept, shown):
    assert work_tags.reason_first(kept) == shown


@pytest.mark.parametrize(
    ("noun", "count", "shown"),
    [("jobs", 1, "job"), ("jobs", 2, "jobs"), ("entries", 1, "entry"), ("people", 1, "person")],
)
def test_a_noun_stands_behind_its_count_as_people_write_it(noun, count, shown):
    assert payops_tags.of_count(noun, count) == shown


def test_codes_of_the_machine_are_words_and_text_around_them_stays():
    assert work_tags.plainly("amount_malformed at data.amount") == (
        "the amount cannot be read at data.amount"
    )
    assert work_tags.plainly("my_amount_malformed") == "my_amount_malformed"
    assert "No calls" in work_tags.gate_pill("OPEN")
    assert wording.work("missing-settled") == "looks for payouts paid but not told"


def test_what_is_due_this_instant_is_due_now():
    at = datetime(2026, 3, 4, 10, 22, tzinfo=UTC)
    shown = render("{% when at %}", at=at, now=at - timedelta(milliseconds=300))

    assert "now" in shown and "0 s" not in shown
