"""The formats of bank files, one line each, and the one way to read them (RC-13, F18).

`sniff` looks at the head, `read` yields the checked events. Adding a format: a module with
`read(source, options)`, its line in FORMATS, and how its head looks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from payops.formats.bank import bai2, camt, csv_rows, mt940, ofx
from payops.formats.bank.base import NO_OPTIONS, Event, Events, FileRefused, ReadOptions, Source
from payops.formats.bank.checks import checked
from payops.formats.bank.lines import FALLBACK, encoding_of
from payops.formats.bank.twins import Twins

HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Format:
    key: str
    name: str
    read: Callable[[Source, ReadOptions], Events]


FORMATS: Mapping[str, Format] = {
    each.key: each
    for each in (
        Format("camt", "ISO 20022 camt.052, .053, .054", camt.read),
        Format("mt940", "SWIFT MT940, MT942", mt940.read),
        Format("bai2", "BAI2", bai2.read),
        Format("ofx", "OFX, QFX", ofx.read),
        Format("csv", "CSV with a saved mapping", csv_rows.read),
    )
}
# First bytes of what people send by mistake.
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet; unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"%PDF", "a PDF; ask the bank for camt.053, MT940 or CSV of the same statement"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file; save the sheet as CSV"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\x89PNG", "a picture"),
)
CAMT = re.compile(r"camt\.05[234]\.001|<(?:\w+:)?BkToCstmr(?:Stmt|AcctRpt|DbtCdtNtfctn)")
OFX = re.compile(r"OFXHEADER|<OFX>", re.IGNORECASE)
BAI2 = re.compile(r"01,[^,\n]*,[^,\n]*,[0-9]{6},[0-9]{0,4},")
MT940_BEGINS, MT940_GOES_ON = ":20:", (":21:", ":25", ":28", ":NS:", ":13", ":60", ":34F:")
MT940_LINES = 40
DELIMITERS = ",;\t|"


def sniff(head: bytes | str) -> str:
    """The key of the format by the first 64 KB, as bytes or as text already decoded.

    Raises FileRefused, saying what it is instead.
    """
    text = head[:HEAD] if isinstance(head, str) else _decoded(head)
    if not text.strip():
        raise FileRefused("the file is empty")
    text = text.lstrip("\ufeff\x01\x02 \r\n\t").replace("\r\n", "\n")
    if text.startswith(("<", "OFXHEADER")):
        if CAMT.search(text):
            return "camt"
        if OFX.search(text):
            return "ofx"
        raise FileRefused("this is XML, but neither camt.052, .053, .054 nor OFX")
    if BAI2.match(text):
        return "bai2"
    lines = text.split("\n", 400)[:400]
    if _is_mt940(lines):
        return "mt940"
    if OFX.search(text[:2000]):
        return "ofx"
    if sum(any(mark in line for mark in DELIMITERS) for line in lines) > 1:
        return "csv"
    raise FileRefused(
        f"this is none of the formats known here: {', '.join(e.name for e in FORMATS.values())}"
    )


def read(
    source: Source, fmt: str, options: ReadOptions = NO_OPTIONS, *, twins: Twins | None = None
) -> Iterator[Event]:
    """The events of a file with all findings. Raises FileRefused, then or while reading."""
    try:
        known = FORMATS[fmt]
    except KeyError:
        raise FileRefused(
            f"there is no format of that name; there are {', '.join(FORMATS)}"
        ) from None
    return checked(known.read(source, options), twins=twins)


def _decoded(head: bytes) -> str:
    for mark, words in OTHERS:
        if head.startswith(mark):
            raise FileRefused(f"this is {words}")
    if not head.strip():
        return ""
    encoding = encoding_of(head[:HEAD])
    return head[:HEAD].decode(encoding, FALLBACK if "utf-8" in encoding else "replace")


def _is_mt940(lines: list[str]) -> bool:
    """A :20: near the top, with a field of a statement's head close behind it."""
    for place, line in enumerate(lines[:MT940_LINES]):
        if line.rpartition("{4:")[2].startswith(MT940_BEGINS):
            behind = lines[place + 1 : place + MT940_LINES]
            return any(each.startswith(MT940_GOES_ON) for each in behind)
    return False
