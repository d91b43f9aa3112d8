"""What a page must never do: write an error to the console, break the content policy, fail."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Response, WebError

SERVER_FAULT = 500
REFUSED = 400
# What the browser itself says about a document that was refused; the test reads that page.
SAID_BY_STATUS = "Failed to load resource: the server responded with a status of"


class Watch:
    """Everything wrong in one browser context, from its first page to its last."""

    def __init__(self, context: BrowserContext, who: str) -> None:
        self.who = who
        self.problems: list[str] = []
        self._refused: set[str] = set()
        context.on("console", self._said)
        context.on("weberror", self._thrown)
        context.on("response", self._answered)

    def _answered(self, response: Response) -> None:
        is_page = response.request.is_navigation_request()
        if response.status >= SERVER_FAULT or (response.status >= REFUSED and not is_page):
            self.problems.append(f"{self.who}: {response.status} from {response.url}")
        elif response.status >= REFUSED:
            self._refused.add(response.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        url = message.location.get("url", "")
        if message.text.startswith(SAID_BY_STATUS) and url in self._refused:
            return
        self.problems.append(f"{self.who}: console {message.type} at {url}: {message.text}")

    def _thrown(self, error: WebError) -> None:
        self.problems.append(f"{self.who}: uncaught {error.error}")
