"""Files that attack their reader are refused soon, in little memory, never echoed (F18, D16)."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payops.formats.bank.base import Entry, FileRefused, ReadOptions
from payops.formats.bank.csv_preview import preview
from payops.formats.bank.registry import FORMATS, read, sniff
from payops.formats.bank.twins import Twins
from payops.formats.bank.words import excerpt
from payops.formats.files import opened
from tests.formats.bank.reading import camt053, entry, read_file, stmt
from tests.formats.bank.test_bai2 import GOOD as BAI2
from tests.formats.bank.test_ofx import SGML as OFX

MAPPING = {"columns": {"booked_on": "Date", "amount": "Amount"}, "currency": "EUR"}
CSV = ReadOptions(mapping=MAPPING)
PEAK_MAX = 48 * 1024 * 1024
SECONDS_MAX = 10
LAUGHS = (
    "<!DOCTYPE lol [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


class Endless(io.RawIOBase):
    """The same bytes again and again up to `most`, made while they are read."""

    def __init__(self, head: bytes, unit: bytes, most: int) -> None:
        self.unit = unit * (1 + 65536 // len(unit))
        self.head, self.left, self.read_bytes = head, most, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        found, self.head = (self.head, b"") if self.head else (self.unit, b"")
        found = found[: min(self.left, size if size > 0 else len(found))]
        self.left -= len(found)
        self.read_bytes += len(found)
        return found


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a reader opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def bounded() -> Iterator[None]:
    """Seconds and memory of one test."""
    tracemalloc.start()
    began = time.monotonic()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PEAK_MAX, f"{peak:,} bytes"
    assert time.monotonic() - began < SECONDS_MAX


def refusal(content: str | bytes, fmt: str, options: ReadOptions | None = None) -> str:
    with pytest.raises(FileRefused) as refused:
        read_file(content, fmt, options)
    text = str(refused.value)
    assert len(text) < 700
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE Document>",
        '<!DOCTYPE Document SYSTEM "http://example.invalid/x.dtd">',
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE d [<!ENTITY % p SYSTEM "http://example.invalid/p"> %p;]>',
        LAUGHS,
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_any_entity_counts(
    doctype: str, encoding: str, bounded: None
) -> None:
    xml = camt053(stmt(entry("1.00", "CRDT", "<AddtlNtryInf>&x;&j;</AddtlNtryInf>")))
    body = xml.partition("?>")[2]

    text = refusal(f"{doctype}{body}".encode(encoding), "camt")

    assert "declares a document type or entities" in text
    assert "passwd" not in text


def test_an_entity_nobody_declared_is_broken_xml() -> None:
    xml = camt053(stmt(entry("1.00", "CRDT", "<AddtlNtryInf>&x;</AddtlNtryInf>")))

    assert "undefined entity" in refusal(xml, "camt")


def test_ofx_refuses_a_document_type_too() -> None:
    assert "document type" in refusal(OFX.replace("<OFX>", f"{LAUGHS}<OFX>"), "ofx")
    assert "document type" in refusal(OFX.replace("<STMTRS>", "<!ENTITY x 'y'><STMTRS>"), "ofx")


def test_ten_thousand_elements_deep_is_refused(bounded: None) -> None:
    deep = "<a>" * 10_000 + "</a>" * 10_000

    assert "nested more than 64 deep" in refusal(camt053(stmt(entry("1", "CRDT", deep))), "camt")
    nested = OFX.replace("<STMTTRN>", "<STMTTRN>" + "<PAYEE><CURRENCY>" * 10_000, 1)
    assert "nested more than 32 deep" in refusal(nested, "ofx")


@pytest.mark.parametrize(
    ("head", "unit", "fmt"),
    [
        (camt053(stmt("\0")).partition("\0")[0].encode(), b"<a><b/></a>", "camt"),
        (camt053(stmt("\0")).partition("\0")[0].encode(), b"<Ntry><x><y/></x></Ntry><z/>", "camt"),
        (camt053(stmt("\0")).partition("\0")[0].encode(), b"no element at all ", "camt"),
        (camt053(stmt("\0")).partition("\0")[0].encode(), b"<!-- a comment -->", "camt"),
        (b":20:X\r\n:25:1\r\n", b":86:\r\n" + b"text\r\n", "mt940"),
        (b":20:X\r\n:25:1\r\n:86:", b"on and on\r\n", "mt940"),
        (b":20:X\r\n:25:1\r\n:86:", b"never a line", "mt940"),
        (b"01,A,B,260331,0000,1,,,2/\n", b"88,more,and,more\n", "bai2"),
        (b"01,A,B,260331,0000,1,,,2/\n", b"99999999", "bai2"),
        (b"<OFX><STMTRS><BANKTRANLIST><STMTTRN><MEMO>", b"text without end ", "ofx"),
        (b"<OFX><STMTRS><BANKTRANLIST><STMTTRN><MEMO><![CDATA[", b"< text without ", "ofx"),
        (b"<OFX><STMTRS><BANKTRANLIST><STMTTRN>", b"<AB>1<CD>2", "ofx"),
        (b"Date,Amount\n2026-03-31,1\n", b"no line end here,", "csv"),
        (b'Date,Amount\n2026-03-31,"', b"no quote ends here\n", "csv"),
        (b'Date,Amount\n2026-03-31,"', b'\n","', "csv"),
        (b"Date,Amount\n", b"\n", "csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_without_an_end_is_refused_in_bounded_memory(
    head: bytes, unit: bytes, fmt: str, bounded: None
) -> None:
    most = 2 * 1024 * 1024
    options = ReadOptions(mapping=MAPPING, bytes_max=most)
    source = Endless(head, unit, 200 * 1024 * 1024)

    with pytest.raises(FileRefused):
        for _ in read(source, fmt, options):  # type: ignore[arg-type]
            pass

    assert source.read_bytes <= most + 65536


@pytest.mark.parametrize(
    ("content", "fmt", "words"),
    [
        ("Date,Amount\n" + "\n" * 10_001, "csv", "more than 10,000 empty rows"),
        ('Date,Amount\n"' + '\n","' * 600, "csv", "one row goes on for more than 500 lines"),
        ("Date,Amount\n2026-03-31," + "1" * 70_000, "csv", "line 2 is longer than 65,536"),
        (":20:X\n:25:1\n" + ":86:x\n" * 20_001, "mt940", "more than 20,000 fields follow"),
        (":20:X\n:86:" + "x" * 900 + "\ny" * 70_000, "mt940", "has more than 65,536 characters"),
        ("01,A,B\n" + "88,more\n" * 40_000, "bai2", "goes on for more than 262,144"),
        ("<OFX><STMTRS>" + "<AB>1" * 20_001, "ofx", "more than 20,000 elements follow"),
        ("<OFX><STMTRS><MEMO>" + "x" * 140_000, "ofx", "one text is longer than 65,536"),
        (camt053(stmt("<a/>" * 50_001)), "camt", "has more than 50,000 elements"),
        (camt053(stmt("x" * 3_000_000)), "camt", "one text is longer than any bank writes"),
    ],
    ids=lambda value: value if value in FORMATS else "",
)
def test_each_limit_names_itself(content: str, fmt: str, words: str) -> None:
    assert words in refusal(content, fmt, CSV)


def test_200_mb_of_rows_are_refused_before_the_first_is_read(tmp_path: Path, bounded: None) -> None:
    path = tmp_path / "big.csv"
    with path.open("wb") as big:
        big.write(b"Date,Amount\n2026-03-31,1\n")
        big.truncate(200 * 1024 * 1024)

    with path.open("rb") as source, pytest.raises(FileRefused, match="more than 64 MB"):
        next(read(source, "csv", CSV))


@pytest.mark.parametrize("fmt", list(FORMATS))
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 5000,
        b"\xff\xfe\x00\x00" + b"a\0\0\0" * 50,
        bytes(range(256)) * 40,
        b"PK\x03\x04" + bytes(range(256)) * 10,
        b"\xef\xbb\xbf",
    ],
)
def test_rubbish_is_refused_or_read_as_nothing_and_never_fails(fmt: str, content: bytes) -> None:
    try:
        found = read_file(content, fmt, CSV)
    except FileRefused as refused:
        assert str(refused)
    else:
        assert found.entries == []


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(FORMATS)), st.integers(0, 3000))
def test_no_damage_to_a_file_makes_a_reader_fail(noise: bytes, fmt: str, at: int) -> None:
    whole = {
        "camt": camt053(stmt(entry("1.00"), entry("2.00", "DBIT"))),
        "mt940": ":20:X\r\n:25:1\r\n:28C:1/1\r\n:60F:C260331EUR1,00\r\n:61:2603310331C1,NTRFX\r\n",
        "bai2": BAI2,
        "ofx": OFX,
        "csv": "Date,Amount\n2026-03-31,1\n2026-03-31,2\n",
    }[fmt].encode()
    place = at % len(whole)
    try:
        read_file(whole[:place] + noise + whole[place:], fmt, CSV)
    except FileRefused as refused:
        assert str(refused).isprintable()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04abc", "a ZIP archive or a spreadsheet"),
        (b"\x1f\x8babc", "a gzip archive"),
        (b"%PDF-1.7", "a PDF"),
        (b"\xd0\xcf\x11\xe0", "an old Excel file"),
        (b"", "the file is empty"),
        (b"<note>hello</note>", "this is XML, but neither"),
        (b"just some words", "none of the formats known here"),
    ],
)
def test_what_is_no_bank_file_is_named(content: bytes, words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        sniff(content)


@pytest.mark.parametrize("head", [b":20:" * 16000, b"x" * 65536, b",\n" * 32000, b"<" * 65536])
def test_looking_at_a_head_takes_no_time(head: bytes) -> None:
    began = time.monotonic()
    with contextlib.suppress(FileRefused):
        sniff(head)

    assert time.monotonic() - began < 1


def test_a_preview_of_a_hostile_head_takes_no_time(bounded: None) -> None:
    for head in (
        b"account " * 8000,
        b"a," * 32000 + b"\n" + b"1," * 300,
        b'"' * 60000,
        b"\n" * 60000,
    ):
        with contextlib.suppress(FileRefused):
            preview(io.BytesIO(head), currency="EUR")


def test_an_excerpt_is_short_escaped_and_shows_no_whole_number() -> None:
    assert excerpt("a\x1b[31m\u202eb") == '"a\\x1b[31m\\u202eb"'
    assert excerpt("DE02120300000000202051") == '"...2051"'
    assert excerpt("x" * 500) == f'"{"x" * 32}..."'


def test_a_number_of_ten_thousand_digits_is_a_short_reject() -> None:
    found = read_file(camt053(stmt(entry("9" * 10_000), entry("1" + "0" * 20))), "camt")

    assert found.entries == []
    assert all(len(each.why) < 120 for each in found.rejects)
    assert "exceeds the limit of 1000000000000000 minor units" in found.rejects[1].why


def test_more_entries_than_the_limit_are_refused() -> None:
    options = ReadOptions(entries_max=2)

    text = refusal(camt053(stmt(entry("1"), entry("2"), entry("3"))), "camt", options)

    assert text == "the file has more than 2 entries"


@pytest.mark.parametrize("fmt", ["camt", "mt940", "ofx", "bai2"])
def test_every_format_is_read_in_utf_16_as_well(fmt: str) -> None:
    text = {
        "camt": camt053(stmt(entry("1.00"))).partition("?>")[2],
        "mt940": ":20:X\r\n:25:1\r\n:28C:1/1\r\n:60F:C260331EUR1,00\r\n:61:2603310331C1,NTRFX\r\n",
        "bai2": BAI2,
        "ofx": OFX,
    }[fmt]

    plain, wide = read_file(text, fmt), read_file(text.encode("utf-16"), fmt)

    assert plain.amounts == wide.amounts != []
    assert sniff(text.encode("utf-16")) == fmt


def archive(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        into.writestr("statement", content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [archive, gzip.compress])
def test_a_packed_statement_is_read_and_a_bomb_is_refused(
    pack: Callable[[bytes], bytes], bounded: None
) -> None:
    statement = camt053(stmt(entry("1.00"), entry("2.00"))).encode()

    with opened(pack(statement)) as file:
        found = [each for each in read(file.stream(), sniff(file.head)) if isinstance(each, Entry)]

    assert [each.amount_minor for each in found] == [100, 200]
    bomb = pack(statement[:-60] + b" " * 8_000_000)
    with pytest.raises(FileRefused), opened(bomb) as file:
        list(read(file.stream(), "camt"))


def peak_of(fmt: str, head: str, unit: str, count: int, tail: str) -> tuple[int, int]:
    """Entries read, and the most memory held while reading them."""

    class Made(io.RawIOBase):
        parts = iter([head, *([unit * 20] * (count // 20)), tail])

        def read(self, size: int = -1) -> bytes:
            return next(self.parts, "").encode()

        def seekable(self) -> bool:
            return False

    tracemalloc.start()
    events = read(Made(), fmt, CSV, twins=Twins(1))  # type: ignore[arg-type]
    found = sum(isinstance(each, Entry) for each in events)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, peak


@pytest.mark.parametrize(
    ("fmt", "head", "unit", "tail"),
    [
        ("camt", *camt053(stmt("@")).partition("@")),
        ("mt940", ":20:X\n:25:1\n:60F:C260331EUR1,00\n", ":61:2603310331C1,NTRFX\n:86:text\n", ""),
        ("bai2", BAI2[: BAI2.index("16,")], "16,195,250,0,BK1,CU1,WIRE\n88,TEXT\n", ""),
        (
            "ofx",
            OFX[: OFX.index("<STMTTRN>")],
            OFX[OFX.index("<STMTTRN>") : OFX.index("</BANKT")],
            "",
        ),
        ("csv", "Date,Amount\n", "2026-03-31,1.00\n", ""),
    ],
    ids=lambda value: value if value in FORMATS else "",
)
def test_ten_times_the_lines_take_no_more_memory(fmt: str, head: str, unit: str, tail: str) -> None:
    unit = entry("1.00", "CRDT", "<NtryRef>R</NtryRef>") if unit == "@" else unit

    few, small = peak_of(fmt, head, unit, 400, tail)
    many, large = peak_of(fmt, head, unit, 4000, tail)

    assert many >= 10 * few - 3
    assert few >= 400
    assert large < small * 1.25 + 300_000
