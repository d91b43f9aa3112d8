"""The documents say what the code does, and name only files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payops.commands import generated_docs

CHECKOUT = Path(__file__).resolve().parents[2]
PATH = re.compile(
    r"`((?:payops|ledger|approvals|reconciliation|compliance|templates|tests|docs)/[\w./-]+)`"
)
LINK = re.compile(r"\]\((?!https?:)([\w./-]+)(?:#[\w-]+)?\)")
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", generated_docs.DOCUMENTS)
def test_generated_document_is_current(name: str) -> None:
    written = (CHECKOUT / "docs" / name).read_text()

    assert written == generated_docs.DOCUMENTS[name](), "run: python3 manage.py docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_file_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = {CHECKOUT / path for path in PATH.findall(text)}
    linked = {page.parent / path for path in LINK.findall(text)}

    missing = [path for path in named | linked if not path.exists()]

    assert missing == []
