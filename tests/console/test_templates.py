"""Templates obey the strict content policy and the rules of a form that decides about money."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import render_to_string

TEMPLATES = Path(__file__).parents[2] / "templates"
PARTS = sorted((TEMPLATES / "console/parts").glob("*.html"))
INLINE = re.compile(r"<style|\sstyle\s*=|\son[a-z]+\s*=|<script(?![^>]*\ssrc=)|javascript:", re.I)
REMOTE = re.compile(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", re.I)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_no_inline_script_or_style_and_nothing_from_elsewhere(path):
    source = path.read_text(encoding="utf-8")

    assert INLINE.findall(source) == []
    assert REMOTE.findall(source) == []


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_each_part_documents_its_variables(path):
    assert "{% comment %}" in path.read_text(encoding="utf-8")[:120]


def test_error_page_renders_without_any_context():
    page = render_to_string("console/error.html")

    assert "Nothing was changed." in page
    assert '<main id="main"' in page
    assert '"allowEval":false' in page
    assert '"includeIndicatorStyles":false' in page


def test_enter_decides_nothing_because_the_default_button_is_disabled():
    form = render_to_string(
        "console/parts/decision_form.html",
        {"act": "Approve release", "act_amount": "12,400.00 EUR", "content_hash": "c0ffee"},
    )

    buttons = re.findall(r"<button[^>]*>[^<]*", form)
    assert buttons[0].startswith('<button type="submit" disabled hidden>')
    assert [button.split(">")[1] for button in buttons[1:]] == [
        "Approve release of 12,400.00 EUR",
        "Reject",
    ]
    assert 'name="content_hash" value="c0ffee"' in form


def test_refused_decision_shows_the_numbers_and_keeps_the_reason():
    form = render_to_string(
        "console/parts/decision_form.html",
        {
            "act": "Approve",
            "confirm_text": "12,400.00",
            "reason_value": "Checked <b>twice</b>",
            "errors": {"confirm": "You typed 12400; the amount is 12,400.00 EUR."},
        },
    )

    assert 'aria-describedby="decide-confirm-error"' in form
    assert "You typed 12400; the amount is 12,400.00 EUR." in form
    assert "Checked &lt;b&gt;twice&lt;/b&gt;</textarea>" in form
