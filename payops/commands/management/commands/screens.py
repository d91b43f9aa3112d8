"""`screens`: refresh the pictures of the main screens in docs/screens from a seeded stack.

Starts a stack of its own, so that the pictures show the seeded books and nothing else. Playwright
and a Chromium are needed; both belong to development, not to the product.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.devstack import palette
from payops.devstack.childstack import Stack, own_stack
from payops.devstack.datadir import CHECKOUT
from payops.devstack.errors import StackError

try:
    from payops.devstack import browser as browsers
except ImportError as error:
    browsers = None  # type: ignore[assignment]
    MISSING = f"{error.name} is not installed; it comes with the development dependencies"

FOLDER = CHECKOUT / "docs" / "screens"
TOTAL_MAX_BYTES = 2_500_000
HEIGHT_MAX = 1400
# Name of the file, colour scheme, width and height of the window.
LOOKS = (("light", 1440, 900), ("dark", 390, 844))


@dataclass(frozen=True, slots=True)
class Picture:
    """`row` opens the row of the list at `path` with these words; `then` follows its address."""

    name: str
    who: str
    path: str
    row: str = ""
    then: str = ""


PICTURES = (
    Picture("my-work", "lena", "/"),
    Picture("cases", "lena", "/cases/?state=all"),
    Picture("case", "lena", "/cases/?text=P-10486", "P-10486"),
    Picture("proposal", "amara", "/cases/?text=P-10487", "P-10487", "propose/?resolution=release"),
    Picture("approval", "chen", "/approvals/?show=all", "P-10494"),
    Picture("payouts", "amara", "/payouts/"),
    Picture("payout", "lena", "/payouts/", "P-10488"),
    Picture("beneficiary", "lena", "/beneficiaries/", "Fjord"),
    Picture("inbox", "eli", "/inbox/"),
    Picture("journal", "priya", "/ledger/journal/"),
    Picture("trace", "audrey", "/trace/?q=P-10488"),
    Picture("audit", "audrey", "/audit/"),
    Picture("policies", "marco", "/settings/policies/"),
)


class Command(BaseCommand):
    help = "Refresh docs/screens: each main screen wide and light, narrow and dark."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")

    def handle(self, *args: Any, **options: Any) -> None:
        if browsers is None:
            raise CommandError(MISSING)
        folder: Path = options["out"]
        folder.mkdir(parents=True, exist_ok=True)
        path = browsers.find_chromium(environ=os.environ)
        if path is None:
            raise CommandError(browsers.NONE_FOUND)
        with browsers.chromium(path=path) as browser:
            self.stdout.write("starting a seeded stack, about a minute")
            try:
                with (
                    tempfile.TemporaryDirectory(prefix="payops-screens-") as var,
                    own_stack(var=Path(var)) as stack,
                ):
                    taken = take(browser, stack)
            except StackError as error:
                raise CommandError(str(error)) from error
        total = sum(map(len, taken.values()))
        if total > TOTAL_MAX_BYTES:
            raise CommandError(f"{total:,} bytes; the folder keeps {TOTAL_MAX_BYTES:,}")
        for old in folder.glob("*.png"):
            old.unlink()
        for name, content in taken.items():
            (folder / name).write_bytes(content)
        self.stdout.write(f"{len(taken)} pictures, {total:,} bytes, in {folder}")


def take(browser: Any, stack: Stack) -> dict[str, bytes]:
    """Every picture by its file name; each person signs in once."""
    cookies: dict[str, Any] = {}
    taken = {}
    for picture in PICTURES:
        if picture.who not in cookies:
            page = browser.new_page()
            password = stack.password(picture.who)
            browsers.sign_in(page, web=stack.web, username=picture.who, password=password)
            cookies[picture.who] = page.context.storage_state()
            page.context.close()
        for scheme, width, height in LOOKS:
            context = browser.new_context(
                storage_state=cookies[picture.who],
                base_url=stack.web,
                color_scheme=scheme,
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
            )
            page = context.new_page()
            png = shot(page, picture)
            taken[f"{picture.name}-{scheme}.png"] = palette.quantised(png)
            context.close()
    return taken


def shot(page: Any, picture: Picture) -> bytes:
    """The screen from its top, cut where a reader of the documents would stop scrolling."""
    page.goto(picture.path)
    if picture.row:
        row = page.get_by_role("main").locator("tbody tr").filter(has_text=picture.row).first
        page.goto(row.locator("a").first.get_attribute("href") + picture.then)
    page.get_by_role("main").wait_for()
    size = page.viewport_size
    tall = page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(tall, HEIGHT_MAX)}
    content: bytes = page.screenshot(full_page=True, clip=clip)
    return content
