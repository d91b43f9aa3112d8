"""Field :86: behind a line: German and Polish subfields, Dutch words between slashes, plain text.

A bank breaks text wherever its line is full, so a full line goes on without a blank.
"""

from __future__ import annotations

import re

from payops.formats.bank import kinds, words
from payops.formats.bank.base import Counterparty, Entry, References, Scheme

LINE_FULL = 65
SUBFIELD_FULL = 27
STRUCTURED = re.compile(r"\s*([0-9]{3})([?>~^|@])(?=[0-9]{2})")
PURPOSE = (*range(20, 30), *range(60, 66))
NAME, BANK, ACCOUNT = (32, 33), (30,), (31, 38)
SEPA = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|SVWZ|ABWA|ABWE|PURP|IBAN|BIC|RCUR)\+")
SLASHED = re.compile(
    r"/(EREF|KREF|PREF|MARF|CSID|TRTP|RTRN|ORDP|BENM|NAME|IBAN|BIC|ADDR|ISDT|REMI|PURP|ULTD|ULTC)/"
)
NS_LINE = re.compile(r"([0-9]{2})(.*)")
NS_PURPOSE, NS_NAME = range(1, 15), (15, 16)
NS_BANK, NS_ACCOUNT = 33, 34


def details(entry: Entry, tag: str, value: list[str], swift_code: str) -> Entry:
    """The entry with what its details say about the other side and the purpose."""
    if tag == "NS":
        return _numbered(entry, value)
    whole = "".join(value)
    found = STRUCTURED.match(whole)
    if found is not None:
        return _structured(entry, whole[found.end() :], found[2], found[1], swift_code)
    text = joined(value, LINE_FULL)
    if text.lstrip().startswith("/") and SLASHED.search(text):
        return _slashed(entry, text)
    return entry._replace(remittance=words.cleaned(f"{entry.remittance} {text}"))


def joined(lines: list[str], full: int) -> str:
    """Lines as one text: behind a full line the word goes on."""
    text = ""
    for line in lines:
        text += line if len(line) >= full else f"{line} "
    return text.strip()


def _structured(entry: Entry, body: str, mark: str, gvc: str, swift_code: str) -> Entry:
    parts: dict[int, list[str]] = {}
    for each in body.split(mark):
        if each[:2].isascii() and each[:2].isdecimal() and len(each) >= 2:
            parts.setdefault(int(each[:2]), []).append(each[2:])
    purpose = [text for number in PURPOSE for text in parts.get(number, [])]
    said = _named(joined(purpose, SUBFIELD_FULL), SEPA)
    account = next((parts[number][0] for number in ACCOUNT if number in parts), "")
    bank = words.cleaned(parts[30][0], 35) if 30 in parts else ""
    name = "".join(text for number in NAME for text in parts.get(number, []))
    references = entry.references._replace(
        end_to_end=words.told(said.get("EREF", "")) or entry.references.end_to_end,
        customer=words.told(said.get("KREF", "")) or entry.references.customer,
        mandate=words.told(said.get("MREF", "")),
        creditor=words.told(said.get("CRED", "")),
    )
    return entry._replace(
        kind=kinds.of_swift(swift_code, gvc),
        raw_code=f"{entry.raw_code} {gvc}".strip(),
        references=references,
        counterparty=_party(name, account or said.get("IBAN", ""), bank or said.get("BIC", "")),
        remittance=words.cleaned(said.get("SVWZ") or said[""]),
        additional=words.cleaned(" ".join([entry.additional, *parts.get(0, [])])),
    )


def _slashed(entry: Entry, text: str) -> Entry:
    said = _named(text, SLASHED)
    return entry._replace(
        references=_references(entry.references, said),
        counterparty=_party(
            said.get("NAME", ""), said.get("IBAN") or entry.additional, said.get("BIC", "")
        ),
        remittance=words.cleaned(said.get("REMI") or said[""]),
    )


def _references(known: References, said: dict[str, str]) -> References:
    return known._replace(
        end_to_end=words.told(said.get("EREF", "")),
        mandate=words.told(said.get("MARF", "")),
        creditor=words.told(said.get("CSID", "")),
        payment_batch=words.told(said.get("PREF", "")),
    )


def _named(text: str, keys: re.Pattern[str]) -> dict[str, str]:
    """Text by the key before it; "" is what stands before the first. The first of each counts."""
    first, *rest = keys.split(text)
    said = {"": first.strip()}
    for key, told in zip(rest[::2], rest[1::2], strict=True):
        said.setdefault(key, told.strip(" /") if keys is SLASHED else told.strip())
    return said


def _party(name: str, account: str, bank: str) -> Counterparty:
    known = words.account(account, bank=bank) if account.strip() else None
    if known is not None and known.scheme != Scheme.IBAN and not known.identifier.isalnum():
        known = None
    return Counterparty(words.cleaned(name, 140), known, bank)


def _numbered(entry: Entry, value: list[str]) -> Entry:
    """Lines of two digits and a text, as Hungarian banks write them."""
    parts: dict[int, str] = {}
    for line in value:
        found = NS_LINE.match(line)
        if found is not None:
            parts[int(found[1])] = parts.get(int(found[1]), "") + found[2]
    purpose = " ".join(parts[number] for number in NS_PURPOSE if number in parts)
    name = "".join(parts.get(number, "") for number in NS_NAME)
    return entry._replace(
        counterparty=_party(name, parts.get(NS_ACCOUNT, ""), parts.get(NS_BANK, "")),
        remittance=words.cleaned(purpose),
    )
