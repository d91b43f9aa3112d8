"""Amounts as banks write them, into signed minor units of ISO 4217 (D17, F19).

The exponents and the largest amount are those of core.money; no float comes near. Digits beyond
the exponent must be zeros: "18.150" is EUR 18.15, "18.155" is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from payops.core.money import MINOR_MAX, MoneyError, check_currency, exponent_of
from payops.formats.bank.words import excerpt

PLAIN = re.compile(r"([+-]?)([0-9]{1,32})(?:\.([0-9]{0,32}))?")
MARKS = {".": "point", ",": "comma"}
# 1.234,56 and 1'234.56 and 1 234,56: groups of three, or of two in India.
THOUSANDS = ".,' \u00a0\u202f\u2019_"


class AmountRefused(ValueError):
    """An amount that cannot be money; the text says why."""


@lru_cache(maxsize=256)
def exponent(currency: str) -> int:
    """Raises AmountRefused."""
    try:
        return exponent_of(check_currency(currency))
    except MoneyError:
        raise AmountRefused(f"{excerpt(currency)} is no currency code such as EUR") from None


def plain(text: str, currency: str) -> int:
    """Of an amount with a point as decimal mark and no thousands: "-12.30" EUR is -1230."""
    match = PLAIN.fullmatch(text)
    if match is None:
        match = PLAIN.fullmatch(text.strip())
        if match is None:
            raise AmountRefused(f"{excerpt(text)} is not an amount such as 1234.56")
    sign, whole, decimals = match.groups()
    places = exponent(currency)
    if decimals is None:
        decimals = ""
    if len(decimals) > places:
        if decimals[places:].strip("0"):
            raise AmountRefused(
                f"{excerpt(text)} has more decimals than the {places} of {currency}"
            )
        decimals = decimals[:places]
    return _bounded(int(whole + decimals.ljust(places, "0")), text, sign)


def comma(text: str, currency: str) -> int:
    """Of an amount by SWIFT: a comma as decimal mark, "1000," and "000012,5"."""
    if "." in text:
        raise AmountRefused(f"{excerpt(text)} is not an amount such as 1234,56")
    return plain(text.replace(",", ".", 1), currency)


def minor(text: str, currency: str) -> int:
    """Of an amount in minor units already, "12345" or "-12345"; the decimals are implied."""
    exponent(currency)
    match = PLAIN.fullmatch(text.strip())
    if match is None or match[3] is not None:
        raise AmountRefused(f"{excerpt(text)} is not a whole number of minor units")
    return _bounded(int(match[2]), text, match[1])


def localised(text: str, currency: str, *, mark: str) -> int:
    """Of an amount as a person reads it, with thousands, brackets or a trailing minus.

    `mark` is the decimal mark, "." or ",". "(1,234.50)", "1.234,50-" are negative.
    """
    match = PLAIN.fullmatch(text) if mark == "." else None
    if match is not None:
        return plain(text, currency)
    value = text.strip().replace("\u2212", "-")
    negative = False
    if value.startswith("(") and value.endswith(")"):
        negative, value = True, value[1:-1].strip()
    elif value.endswith(("-", "+")) and not value.startswith(("-", "+")):
        negative, value = value[-1] == "-", value[:-1].strip()
    elif value.startswith(("-", "+")):
        negative, value = value[0] == "-", value[1:].strip()
    whole, seen, decimals = value.partition(mark)
    if not _is_grouped(whole, mark) or (seen and not (decimals == "" or decimals.isdecimal())):
        raise AmountRefused(
            f"{excerpt(text)} is not an amount with a decimal {MARKS[mark]}, such as"
            f" {'1,234.56' if mark == '.' else '1.234,56'}"
        )
    digits = "".join(each for each in whole if each not in THOUSANDS)
    amount = plain(f"{digits}.{decimals}", currency)
    return -amount if negative else amount


def _is_grouped(whole: str, mark: str) -> bool:
    """Digits, or groups of two or three by one separator with three at the end."""
    if whole.isascii() and whole.isdecimal():
        return True
    used = {each for each in whole if not (each.isascii() and each.isdecimal())}
    if len(used) != 1 or not used <= set(THOUSANDS) - {mark}:
        return False
    first, *groups = whole.split(used.pop())
    sizes = [len(group) for group in groups]
    return 1 <= len(first) <= 3 and sizes[-1] == 3 and all(size in (2, 3) for size in sizes)


def _bounded(size: int, text: str, sign: str) -> int:
    if size > MINOR_MAX:
        raise AmountRefused(f"{excerpt(text)} exceeds the limit of {MINOR_MAX} minor units")
    return -size if sign == "-" else size
