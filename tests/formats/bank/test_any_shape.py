"""Whatever shape a file of a format takes, it is read or refused and no reader fails (D16, F18)."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.formats.bank.base import FileRefused, ReadOptions
from payops.formats.bank.csv_preview import preview
from payops.formats.bank.mappings import ROLES, MappingRefused, mapping_of
from payops.formats.bank.registry import sniff
from tests.formats.bank.reading import read_file

NAMES = """
    Document BkToCstmrStmt Stmt Ntry TxDtls NtryDtls Amt CdtDbtInd Sts Cd BookgDt ValDt Dt
    DtTm Bal Tp CdOrPrtry Acct Id IBAN Othr Ccy GrpHdr CreDtTm Refs EndToEndId RltdPties Dbtr
    Cdtr Nm Pty DbtrAcct RmtInf Ustrd Strd CdtrRefInf Ref BkTxCd Domn Fmly Prtry Chrgs Rcrd
    AmtDtls InstdAmt CntrValAmt CcyXchg XchgRate RvslInd Btch NbOfTxs TxsSummry TtlNtries
    FrToDt FrDt StmtPgntn PgNb RtrInf Rsn RltdDts AccptncDtTm n:Ntry
"""
TEXTS = st.sampled_from(
    [
        "",
        "1.00",
        "-5",
        "EUR",
        "OPBD",
        "CLBD",
        "CRDT",
        "DBIT",
        "BOOK",
        "2026-03-31",
        "true",
        "x" * 99,
        "2026-03-31T10:00:00+02:00",
        "99999999999999999999",
        "2026-02-30",
        "NaN",
        "\u202e",
        "=",
    ]
)
ELEMENTS = st.recursive(
    TEXTS,
    lambda inner: st.builds(
        lambda name, ccy, parts: f"<{name}{ccy}>{''.join(parts)}</{name}>",
        st.sampled_from(NAMES.split()),
        st.sampled_from(
            ["", ' Ccy="EUR"', ' Ccy="XX"', ' xmlns:n="urn:x"', ' xmlns="camt.053.001.02"']
        ),
        st.lists(inner, max_size=6),
    ),
    max_leaves=60,
)
MARKS = """
    OFX STMTRS CCSTMTRS BANKTRANLIST STMTTRN /STMTTRN /BANKTRANLIST /STMTRS LEDGERBAL
    /LEDGERBAL BALAMT DTASOF TRNAMT DTPOSTED FITID NAME CURDEF ACCTID BANKACCTFROM
    /BANKACCTFROM CURRENCY CURSYM PAYEE INVSTMTRS /OFX STMTTRNP DTSERVER
"""
FIELDS = """
    20 25 28 28C 60F 60M 61 86 62F 62M 64 65 34F 13D 90C 90D NS 21 99
"""
VALUES = st.sampled_from(
    [
        "C260331EUR1,00",
        "D260230EUR0,",
        "2603310331C1,NTRFX//Y",
        "2602300301RD5,5NCHGA",
        "5/1",
        "EUR0",
        "2603311815+0100",
        "3EUR0,03",
        "166?00A?20EREF+X?32N",
        "/EREF/1/NAME/2/REMI/3",
        "",
        "x",
        "15a",
    ]
)
RECORDS = ["01", "02", "03", "16", "49", "88", "98", "99"]
CELLS = st.sampled_from(
    ["", "1", "-5", "100", "195", "495", "V", "D", "S", "260331", "USD", "010", "015", "x/"]
)


def harmless(content: str | bytes, fmt: str, options: ReadOptions | None = None) -> None:
    try:
        found = read_file(content, fmt, options)
    except FileRefused as refused:
        assert str(refused).isprintable()
        return
    assert [each.position for each in found.statements] == sorted(
        each.position for each in found.statements
    )
    assert all(type(each.amount_minor) is int for each in found.entries)
    assert all(each.why for each in found.rejects)


@settings(max_examples=300, deadline=None)
@given(st.lists(ELEMENTS, max_size=6))
def test_camt_of_any_shape(parts: list[str]) -> None:
    body = "".join(parts)

    inner = f"<NtryDtls>{body}<TxDtls>{body}</TxDtls><TxDtls>{body}</TxDtls></NtryDtls>"
    whole = f'<Stmt>{body}<Ntry><Amt Ccy="EUR">1</Amt>{body}{inner}</Ntry>{body}</Stmt>{body}'

    harmless(f'<Document xmlns:n="urn:x"><BkToCstmrStmt>{whole}</BkToCstmrStmt></Document>', "camt")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(MARKS.split()), TEXTS), max_size=40))
def test_ofx_of_any_shape(marks: list[tuple[str, str]]) -> None:
    harmless("<OFX>" + "".join(f"<{name}>{text}" for name, text in marks), "ofx")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FIELDS.split()), VALUES), max_size=30))
def test_mt940_of_any_shape(fields: list[tuple[str, str]]) -> None:
    harmless("".join(f":{tag}:{value}\r\n" for tag, value in [("20", "X"), *fields]), "mt940")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(RECORDS), st.lists(CELLS, max_size=14)), max_size=20))
def test_bai2_of_any_shape(records: list[tuple[str, list[str]]]) -> None:
    lines = [f"{code},{','.join(cells)}" for code, cells in records]

    harmless("\n".join(["01,A,B,260331,0000,1,,,2/", *lines]), "bai2")


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="Date,Amount;\t\"'\n0123456789.-/ EURDC", max_size=400) | st.text(max_size=200)
)
def test_a_preview_of_any_text(text: str) -> None:
    try:
        seen = preview(io.BytesIO(text.encode("utf-8", "replace")), currency="EUR")
    except FileRefused as refused:
        assert str(refused).isprintable()
        return
    assert seen.reasons
    harmless(text.encode("utf-8", "replace"), "csv", ReadOptions(mapping=seen.mapping.values()))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["columns", "delimiter", "encoding", "skip_lines", "currency", "sign_style"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=9)
        | st.dictionaries(
            st.sampled_from([*ROLES, "other"]), st.none() | st.integers(-1, 5) | st.lists(st.text())
        ),
    )
)
def test_a_mapping_of_any_shape(values: dict[str, object]) -> None:
    try:
        mapping = mapping_of(values)
    except MappingRefused as refused:
        assert str(refused).startswith("the mapping cannot be used: ")
        return
    assert mapping_of(mapping.values()) == mapping


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_a_head_of_any_shape(head: bytes | str) -> None:
    try:
        assert sniff(head) in {"camt", "mt940", "bai2", "ofx", "csv"}
    except FileRefused as refused:
        assert str(refused).isprintable()
