"""Where a bank's CSV keeps what, saved per bank account: columns, marks, order, sign (F18).

Plain values in and out, so that the mapping can be stored and shown; `mapping_of` refuses with
every problem at once. The layout of a file is never guessed while it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping as Values
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from payops.formats.bank.base import FileRefused
from payops.formats.bank.days import ORDERS, YMD
from payops.formats.bank.lines import known

DELIMITERS = (",", ";", "\t", "|")
MARKS = (".", ",")
SKIPPED_MAX = 200
COLUMN_MAX = 120
COLUMNS_PER_ROLE_MAX = 8
PLACES_MAX = 512


class SignStyle(StrEnum):
    """SIGNED: minus is money out. REVERSED: plus is money out. DEBIT_CREDIT: two columns.
    INDICATOR: a column says which."""

    SIGNED = "SIGNED"
    REVERSED = "REVERSED"
    DEBIT_CREDIT = "DEBIT_CREDIT"
    INDICATOR = "INDICATOR"


ROLES: Values[str, str] = {
    "booked_on": "booking date",
    "value_on": "value date",
    "amount": "amount",
    "debit": "money out",
    "credit": "money in",
    "indicator": "debit or credit",
    "currency": "currency",
    "balance": "balance after the line",
    "account": "own account",
    "counterparty": "name of the other side",
    "counterparty_account": "account of the other side",
    "counterparty_bank": "bank of the other side",
    "remittance": "purpose",
    "end_to_end": "end-to-end reference",
    "customer_reference": "own reference",
    "bank_reference": "reference of the bank",
    "code": "type of the line",
}
NEEDED: Values[SignStyle, tuple[str, ...]] = {
    SignStyle.SIGNED: ("amount",),
    SignStyle.REVERSED: ("amount",),
    SignStyle.DEBIT_CREDIT: ("debit", "credit"),
    SignStyle.INDICATOR: ("amount", "indicator"),
}
CREDIT_WORDS = ("C", "CR", "CRDT", "CREDIT", "H", "HABEN", "+", "IN", "BIJ", "AVERE", "MA")
DEBIT_WORDS = ("D", "DR", "DBIT", "DEBIT", "S", "SOLL", "-", "OUT", "AF", "DARE", "WN")

Column = str | int


class MappingRefused(FileRefused):
    """A mapping that cannot read any file; the text names every problem."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """`columns` gives each role its columns, by header name or by place from zero.

    `skip_lines` are lines above the header, `trailer_rows` rows below the last entry.
    """

    columns: Values[str, tuple[Column, ...]]
    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    has_header: bool = True
    skip_lines: int = 0
    trailer_rows: int = 0
    decimal_mark: str = "."
    date_order: str = YMD
    sign_style: SignStyle = SignStyle.SIGNED
    currency: str = ""
    account: str = ""
    credit_words: tuple[str, ...] = field(default=CREDIT_WORDS)
    debit_words: tuple[str, ...] = field(default=DEBIT_WORDS)

    def values(self) -> dict[str, object]:
        """Plain values for JSON, which `mapping_of` reads again."""
        plain = asdict(self)
        plain["columns"] = {role: list(names) for role, names in self.columns.items()}
        plain["sign_style"] = self.sign_style.value
        plain["credit_words"], plain["debit_words"] = [*self.credit_words], [*self.debit_words]
        return plain


def mapping_of(values: Values[str, object]) -> Mapping:
    """Raises MappingRefused with all that is wrong."""
    problems: list[str] = []
    columns = _columns(values.get("columns"), problems)
    style = _one_of(values, "sign_style", tuple(SignStyle), SignStyle.SIGNED, problems)
    missing = [
        ROLES[role]
        for role in ("booked_on", *NEEDED.get(SignStyle(style), ()))
        if role not in columns
    ]
    if missing:
        problems.append(f"no column is chosen for {', '.join(missing)}")
    currency = str(values.get("currency") or "").upper()
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        problems.append("the currency is three letters such as EUR")
    if not currency and "currency" not in columns:
        problems.append("neither a currency nor a column for it is chosen")
    if "encoding" in values:
        try:
            known(str(values["encoding"])[:40])
        except FileRefused as refused:
            problems.append(str(refused))
    credit = _words(values.get("credit_words"), CREDIT_WORDS)
    debit = _words(values.get("debit_words"), DEBIT_WORDS)
    if set(credit) & set(debit):
        problems.append("a word cannot mean both credit and debit")
    mapping = {
        "columns": columns,
        "delimiter": _one_of(values, "delimiter", DELIMITERS, ",", problems),
        "quote": _one_of(values, "quote", ('"', "'"), '"', problems),
        "encoding": str(values.get("encoding") or "utf-8"),
        "has_header": values.get("has_header", True) is not False,
        "skip_lines": _count(values, "skip_lines", problems),
        "trailer_rows": _count(values, "trailer_rows", problems),
        "decimal_mark": _one_of(values, "decimal_mark", MARKS, ".", problems),
        "date_order": _one_of(values, "date_order", ORDERS, YMD, problems),
        "sign_style": SignStyle(style),
        "currency": currency,
        "account": str(values.get("account") or "")[:70],
        "credit_words": credit,
        "debit_words": debit,
    }
    by_name = any(isinstance(each, str) for names in columns.values() for each in names)
    if by_name and not mapping["has_header"]:
        problems.append("columns are chosen by name, but the file has no header")
    if problems:
        raise MappingRefused(f"the mapping cannot be used: {'; '.join(problems)}")
    return Mapping(**mapping)  # type: ignore[arg-type]


def _columns(told: object, problems: list[str]) -> dict[str, tuple[Column, ...]]:
    columns: dict[str, tuple[Column, ...]] = {}
    if not isinstance(told, dict):
        return columns
    for role, names in told.items():
        if role not in ROLES:
            problems.append(f"there is no role {str(role)[:30]!r}")
            continue
        several = tuple(names) if isinstance(names, list | tuple) else (names,)
        if len(several) > (COLUMNS_PER_ROLE_MAX if role == "remittance" else 1) or not several:
            problems.append(f"{ROLES[role]} takes one column, the purpose up to 8")
        elif not all(_is_column(each) for each in several):
            problems.append(f"{ROLES[role]} needs the name of a column, or its place from 0")
        else:
            columns[role] = several
    return columns


def _is_column(each: object) -> bool:
    if isinstance(each, bool):
        return False
    if isinstance(each, int):
        return 0 <= each < PLACES_MAX
    return isinstance(each, str) and 0 < len(each.strip()) <= COLUMN_MAX


def _one_of(
    values: Values[str, object],
    name: str,
    allowed: tuple[str, ...],
    default: str,
    problems: list[str],
) -> str:
    told = values.get(name, default)
    if told not in allowed:
        shown = ", ".join(repr(str(each)) for each in allowed)
        problems.append(f"{name.replace('_', ' ')} is one of {shown}")
        return default
    return str(told)


def _count(values: Values[str, object], name: str, problems: list[str]) -> int:
    told = values.get(name, 0)
    if isinstance(told, bool) or not isinstance(told, int) or not 0 <= told <= SKIPPED_MAX:
        problems.append(f"{name.replace('_', ' ')} is a number from 0 to {SKIPPED_MAX}")
        return 0
    return told


def _words(told: object, default: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(told, list | tuple) or not told:
        return default
    return tuple(str(each).strip().upper()[:30] for each in told[:30])
