"""Text out of a hostile file: cleaned for storing, cut and escaped for showing, masked.

Owns what may be said about content in a refusal. Nothing of a file is ever echoed at length.
"""

from __future__ import annotations

import re

from payops.formats.bank.base import Account, Scheme

TEXT_MAX = 4000
EXCERPT_MAX = 32
IDENTIFIER_MAX = 70
FORMULA_STARTS = "=+-@|%\t\r\uff1d\uff0b\uff0d\uff20"
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+"
)
LONG_NUMBER = re.compile(r"[A-Z]{0,4}[0-9]{6,}(?=[0-9]{4})")
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{10,30}")
CARD = re.compile(r"[2-6][0-9]{12,18}")
BLANKS = re.compile(r"[\s./-]+")
# What banks write into a reference that has no value.
NOT_TOLD = frozenset({"NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOREF", "NOTAVAILABLE"})


def cleaned(text: str, most: int = TEXT_MAX) -> str:
    """Without marks nobody sees, single blanks between words, not longer than `most`."""
    if not text:
        return ""
    if text.isascii() and text.isprintable():
        return text.strip() if len(text) <= most else text[:most].strip()
    return " ".join(UNSEEN.sub(" ", text).split())[:most]


def told(text: str, most: int = IDENTIFIER_MAX * 2) -> str:
    """A reference, or nothing where the bank says that it has none."""
    if not text:
        return ""
    value = cleaned(text, most)
    return "" if value.upper() in NOT_TOLD else value


def excerpt(text: str) -> str:
    """At most 32 characters of content for a message, escaped; long numbers keep their tail."""
    shown = LONG_NUMBER.sub("…", text[: 4 * EXCERPT_MAX])
    escaped = ascii(shown.replace("…", "..."))[1:-1]
    return f'"{escaped[:EXCERPT_MAX]}{"..." if len(escaped) > EXCERPT_MAX else ""}"'


def account(text: str, *, bank: str = "", card: bool = False) -> Account:
    """An identification as the file writes it, made canonical."""
    value = BLANKS.sub("", cleaned(text, IDENTIFIER_MAX)).upper()
    if IBAN.fullmatch(value):
        return Account(Scheme.IBAN, value, bank)
    if card or (CARD.fullmatch(value) and is_card_number(value)):
        return Account(Scheme.CARD, value, bank)
    return Account(Scheme.OTHER, value, bank)


def is_card_number(digits: str) -> bool:
    """The check digit of payment cards (Luhn)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run it; a signed number is none."""
    if not text or text[0] not in FORMULA_STARTS:
        return False
    return not re.fullmatch(r"[+-][0-9 ().,/-]*", text)
