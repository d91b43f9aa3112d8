"""A Chromium driven by Playwright, for the browser tests and the screenshots of the documents.

Owns finding it, starting it and signing in through the page; never downloads a browser. Playwright
is a development dependency: whoever imports this module says so when it is missing.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
NONE_FOUND = "no Chromium was found; install chromium or set PAYOPS_CHROMIUM to one"
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)


def find_chromium(*, environ: Mapping[str, str]) -> str | None:
    """The path of the one asked for, else of the machine's, else of Playwright's own."""
    if asked := environ.get("PAYOPS_CHROMIUM"):
        return asked if Path(asked).is_file() else None
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


@contextmanager
def chromium(*, path: str) -> Iterator[Browser]:
    """A running browser for the block."""
    with sync_playwright() as playwright:
        # A browser started by root refuses its own sandbox.
        arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: Page, *, web: str, username: str, password: str) -> None:
    """Through the page, as a person does; ends on My work."""
    page.goto(f"{web}/sign-in/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{web}/")
