"""What every page must be: no wider than its window, and free of what axe finds (WCAG 2.2 AA)."""

from __future__ import annotations

from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

Rules = Literal["all", "colour"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES: dict[Rules, dict[str, Any]] = {
    "all": {"type": "tag", "values": TAGS},
    # The rules whose answer depends on the colour scheme.
    "colour": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
RUN = "options => axe.run(document, options).then((result) => result.violations)"
# Rows of one list come out of one template; axe looks at the first of them.
ROWS_MAX = 20
SHORTEN = """(most) => {
  for (const list of document.querySelectorAll("tbody, ol.timeline")) {
    [...list.children].slice(most).forEach((row) => row.remove());
  }
}"""
WIDER = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const over = [...document.querySelectorAll("body *")].filter(
    (one) => one.getBoundingClientRect().right > width + 0.5);
  return over.slice(-5).map((one) => one.outerHTML.slice(0, 160));
}"""


def violations(page: Page, rules: Rules = "all") -> list[str]:
    """One line per violation: the rule, what it says, where."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    page.evaluate(SHORTEN, ROWS_MAX)
    options = {"resultTypes": ["violations"], "runOnly": RULES[rules]}
    found: list[dict[str, Any]] = page.evaluate(RUN, options)
    return [
        f"{each['id']}: {each['help']} at {node['target']}: {node['html'][:160]}"
        for each in found
        for node in each["nodes"][:5]
    ]


def wider_than_window(page: Page) -> list[str]:
    """The innermost elements that make the page scroll sideways."""
    found: list[str] = page.evaluate(WIDER)
    return found
