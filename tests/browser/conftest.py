"""Browser tests: a real stack, a real Chromium, several people at their own screens.

Without a Chromium all of them are skipped at one line, which pytest prints once with their number;
PAYOPS_REQUIRE_BROWSER=1 makes that a failure. PAYOPS_BROWSER_STACK names the stack.json of a
running stack to use while working on a screen; the stories change its books.

Fixtures are of the package, not of the session: Playwright's loop must be gone before another
test of the same worker speaks to the database.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from payops.devstack.browser import NONE_FOUND, chromium, find_chromium, sign_in
from payops.devstack.childstack import Stack, own_stack, read_stack
from tests.browser.acts import ask_refund
from tests.browser.watch import Watch

PATIENCE_MS = 20_000
DESKTOP = {"width": 1440, "height": 900}
AsPerson = Callable[..., Page]


@functools.cache
def found_chromium() -> str | None:
    return find_chromium(environ=os.environ)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skipped here and not in a fixture, so that all of them are told in one line."""
    if found_chromium() is None and "browser" in getattr(item, "fixturenames", ()):
        if os.environ.get("PAYOPS_REQUIRE_BROWSER") == "1":
            pytest.fail(NONE_FOUND, pytrace=False)
        pytest.skip(f"browser tests: {NONE_FOUND}")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = found_chromium()
    assert path is not None, NONE_FOUND
    expect.set_options(timeout=PATIENCE_MS)
    with chromium(path=path) as running:
        yield running


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if running := os.environ.get("PAYOPS_BROWSER_STACK"):
        yield read_stack(path=Path(running))
        return
    with own_stack(var=tmp_path_factory.mktemp("browser-var")) as started:
        yield started


@pytest.fixture(scope="package")
def sign_ins() -> dict[str, Any]:
    """The cookies of everybody who has signed in, so that each signs in once."""
    return {}


@pytest.fixture
def open_window(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """`open_window("lena")` is a watched window; whatever went wrong in it fails the test."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def new(who: str, **options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(PATIENCE_MS)
        opened.append((context, Watch(context, who)))
        return context

    yield new
    problems = [problem for _, watch in opened for problem in watch.problems]
    for context, _ in opened:
        context.close()
    assert problems == []


@pytest.fixture
def as_person(
    open_window: Callable[..., BrowserContext], stack: Stack, sign_ins: dict[str, Any]
) -> AsPerson:
    """`as_person("lena")` is a page in a window of Lena's own, signed in through the page."""

    def signed_in(username: str, **options: Any) -> Page:
        base = {"base_url": stack.web, **options}
        if username not in sign_ins:
            page = open_window(username, base_url=stack.web).new_page()
            sign_in(page, web=stack.web, username=username, password=stack.password(username))
            sign_ins[username] = page.context.storage_state()
        return open_window(username, storage_state=sign_ins[username], **base).new_page()

    return signed_in


@pytest.fixture
def simulator(open_window: Callable[..., BrowserContext], stack: Stack) -> Page:
    """The provider's own page, where a person makes a payout fail."""
    return open_window("simulator", base_url=stack.simulator).new_page()


@pytest.fixture(scope="package")
def asked_refund(browser: Browser, stack: Stack) -> None:
    """A refund that people decide about, asked for through the form."""
    context = browser.new_context(viewport=DESKTOP, base_url=stack.web)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    sign_in(page, web=stack.web, username="amara", password=stack.password("amara"))
    ask_refund(page, "ORDER-2010", "65.00")
    context.close()


@pytest.fixture(scope="package")
def dead_letter(stack: Stack) -> None:
    """A signed body that nobody can read: kept, given up, shown (WH-18)."""
    door = stack.told["webhooks"]["standard/demo"]
    body, told_at = b'{"type": not json', str(int(time.time()))
    key = base64.b64decode(door["secrets"][0].removeprefix("whsec_"))
    signed = hmac.new(key, b"msg_unreadable." + told_at.encode() + b"." + body, hashlib.sha256)
    headers = {
        "webhook-id": "msg_unreadable",
        "webhook-timestamp": told_at,
        "webhook-signature": "v1," + base64.b64encode(signed.digest()).decode(),
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(door["url"], data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
