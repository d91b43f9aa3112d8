"""Who is on the other side of a line: names as people and systems give them, as the ledger keeps
them (LJ-19).

The sub-ledger of an account is kept by one spelling: a seller's reference, an account's address.
Answers that spelling for any name of somebody who exists in the book. Reads only.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.db.models import Q

from ledger.accounts import PARTY_WORDS, PROVIDER_ACCOUNT, SELLER
from payops.core import ids
from payops.core.models import Book, ProviderAccount
from payops.payments.models import Beneficiary

# Bank accounts and disputes have no table of their own to be looked up in.
COUNTERPARTY_MAX = 120
PARTY_NAME = re.compile(r"[\w][\w ./:#-]{0,118}\w|\w", re.ASCII)


class PartyUnknown(ValueError):
    """Nobody of the book has this name; the text says what was looked for."""


def party_of(*, book: Book, kind: str, named: str) -> str:
    """The spelling the ledger keeps, by the kind of an account's party. Raises PartyUnknown."""
    if kind == SELLER:
        return _seller(book, named)
    if kind == PROVIDER_ACCOUNT:
        return _account(book, named)
    if not kind:
        return _counterparty(named)
    if not PARTY_NAME.fullmatch(named):
        raise PartyUnknown(
            f"{named[:60]!r} is not the name of a {PARTY_WORDS[kind]}: letters, digits, blanks,"
            " . / : # - fit"
        )
    return named


def _counterparty(named: str) -> str:
    """Words for people; no sub-ledger is kept by them."""
    if not named.isprintable() or len(named) > COUNTERPARTY_MAX:
        raise PartyUnknown(
            f"a counterparty is named on one line, in at most {COUNTERPARTY_MAX} characters"
        )
    return named


def _seller(book: Book, named: str) -> str:
    key = _key(named)
    found: Any = Q(reference=named) | Q(pk=key) if key else Q(reference=named)
    seller = Beneficiary.objects.filter(found, book=book).first()
    if seller is None:
        raise PartyUnknown(
            f"{named[:60]!r} is no seller of {book.name}; give its reference or its be_ id"
        )
    return seller.reference


def _key(named: str) -> UUID | None:
    try:
        return ids.parse(named, Beneficiary.PREFIX)[1]
    except ids.UnknownId:
        return None


def _account(book: Book, named: str) -> str:
    provider, _, slug = named.partition("/")
    found = ProviderAccount.objects.filter(book=book, provider=provider, slug=slug).first()
    if found is None:
        raise PartyUnknown(
            f"{named[:60]!r} is no provider account of {book.name}; give it as provider/account"
        )
    return found.address
