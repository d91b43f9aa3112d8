"""Every screen in light and dark, wide and narrow: it answers, fits and is accessible (OB-8)."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver
from playwright.sync_api import Page, expect

from payops.console import urls
from payops.devstack.childstack import Stack
from tests.browser.accessible import Rules, violations, wider_than_window
from tests.browser.acts import reload_until
from tests.browser.conftest import DESKTOP, AsPerson
from tests.browser.screens import ACTS, SCREENS, Screen

pytestmark = pytest.mark.xdist_group("browser")

PHONE = {"width": 390, "height": 844}
SIZES = (DESKTOP, PHONE)
# In dark only what colours can break is looked at again.
SCHEMES: tuple[tuple[str, Rules], ...] = (("light", "all"), ("dark", "colour"))
ALL = [
    pytest.param(screen, id=f"{name}-{number}")
    for name, screens in SCREENS.items()
    for number, screen in enumerate(screens, start=1)
]


def names_of(patterns: list[Any]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found |= names_of(pattern.url_patterns)
        else:
            assert isinstance(pattern, URLPattern)
            assert pattern.name, f"{pattern.pattern} has no name"
            found.add(pattern.name)
    return found


def test_every_address_of_the_console_is_a_screen_here_or_an_act() -> None:
    assert names_of(urls.urlpatterns) == SCREENS.keys() | ACTS
    assert not SCREENS.keys() & ACTS


def test_unreadable_signed_body_is_shown_as_a_dead_letter(
    as_person: AsPerson, dead_letter: None
) -> None:
    eli = as_person("eli")
    eli.goto("/inbox/dead/")

    reload_until(eli, eli.get_by_role("main").locator("tbody a"))


@pytest.mark.parametrize("screen", ALL)
def test_screen_fits_and_is_accessible_in_light_and_dark_wide_and_narrow(
    open_window: Any,
    as_person: AsPerson,
    stack: Stack,
    dead_letter: None,
    asked_refund: None,
    screen: Screen,
) -> None:
    page = _page(open_window, as_person, stack, screen)

    status = screen.open(page)

    found = []
    for size in SIZES:
        page.set_viewport_size(size)
        found += [f"{size['width']} too wide: {each}" for each in wider_than_window(page)]
    for size, (scheme, rules) in product(SIZES, SCHEMES):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found += [f"{size['width']} {scheme} {each}" for each in violations(page, rules)]
    assert (status, found) == (200, [])


@pytest.mark.parametrize("path", ["/no-such-screen/", "/payouts/po_" + "0" * 32 + "/"])
def test_page_of_what_is_not_there_says_so_and_is_accessible(
    as_person: AsPerson, path: str
) -> None:
    page = as_person("audrey")

    answer = page.goto(path)

    assert answer is not None and answer.status == 404
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert violations(page) == []


def test_page_of_what_is_not_permitted_names_the_permission(as_person: AsPerson) -> None:
    page = as_person("ada")

    answer = page.goto("/payouts/")

    assert answer is not None and answer.status == 403
    expect(page.get_by_role("main")).to_contain_text("This needs the permission view_books")
    assert violations(page) == []


def _page(open_window: Any, as_person: AsPerson, stack: Stack, screen: Screen) -> Page:
    if screen.who:
        return as_person(screen.who, reduced_motion="reduce")
    page: Page = open_window("nobody", base_url=stack.web, reduced_motion="reduce").new_page()
    return page
