"""MT940 and MT942 in the dialects of many banks; what does not add up is named (D16, RC-13)."""

from __future__ import annotations

from datetime import date

import pytest

from payops.formats.bank.base import BalanceKind, EntryStatus, ReadOptions, StatementKind
from tests.formats.bank.reading import Read, read_file

HEAD = ":20:STARTUMSE\r\n:25:10020030/1234567890\r\n:28C:5/1\r\n"
OPENING = ":60F:C260330EUR1000,00\r\n"


def told(body: str, closing: str = "") -> Read:
    return read_file(f"{HEAD}{OPENING}{body}{closing}-\r\n", "mt940")


def one(line: str) -> Read:
    return told(f":61:{line}\r\n")


@pytest.mark.parametrize(
    ("line", "minor", "is_reversal"),
    [
        ("2603310331C12,34NTRFNONREF", 1234, False),
        ("2603310331D12,34NTRFNONREF", -1234, False),
        ("2603310331RC12,34NTRFNONREF", -1234, True),
        ("2603310331RD12,34NTRFNONREF", 1234, True),
        ("2603310331CR12,34NTRFNONREF", 1234, False),
        ("2603310331DR12,34NTRFNONREF", -1234, False),
        ("2603310331RCR12,34NTRFNONREF", -1234, True),
        ("2603310331C12,NTRFNONREF", 1234 - 34, False),
        ("2603310331C12,5NTRFNONREF", 1250, False),
        ("2603310331D000000000025,00N102EREF", -2500, False),
        ("260331    DR2,00NMSCNONREF//", -200, False),
        ("260331C0,01S   X", 1, False),
        ("2603310331C7,00", 700, False),
    ],
)
def test_the_sign_is_that_of_the_mark_and_a_reversed_credit_is_money_out(
    line: str, minor: int, is_reversal: bool
) -> None:
    (entry,) = one(line).entries

    assert (entry.amount_minor, entry.is_reversal) == (minor, is_reversal)


def test_30_february_is_a_legal_value_date() -> None:
    found = one("2602300301DR6,00NCHGNONREF")

    (entry,) = found.entries
    assert (entry.value_on, entry.booked_on) == (date(2026, 2, 28), date(2026, 3, 1))
    assert found.words("day.clamped") == ["30 February was read as the last day of that month."]


def test_an_entry_date_lies_in_the_year_nearest_to_its_value_date() -> None:
    last = one("2512310102C1,00NTRFNONREF").entries[0]
    first = one("2601021231C1,00NTRFNONREF").entries[0]

    assert (last.value_on, last.booked_on) == (date(2025, 12, 31), date(2026, 1, 2))
    assert (first.value_on, first.booked_on) == (date(2026, 1, 2), date(2025, 12, 31))


def test_messages_are_split_at_their_first_field_even_where_no_end_is_written() -> None:
    first = f"{HEAD}{OPENING}:61:2603310331C10,00NTRFA\r\n:62F:C260331EUR1010,00\r\n"
    second = first.replace("28C:5/1", "28C:6/1").replace("1000,00", "1010,00")
    second = second.replace("62F:C260331EUR1010,00", "62F:C260331EUR1020,00")
    second = second.replace("NTRFA", "NTRFB")

    found = read_file(first + second, "mt940")

    assert [(each.sequence, each.position) for each in found.statements] == [(5, 1), (6, 2)]
    assert [each.statement for each in found.entries] == [1, 2]
    assert found.codes == []


def test_pages_of_one_statement_chain_by_their_interim_balances() -> None:
    first = f"{HEAD}{OPENING}:61:2603310331C10,00NTRFA\r\n:62M:C260331EUR1010,00\r\n-\r\n"
    second = (
        ":20:X\r\n:25:10020030/1234567890\r\n:28C:5/2\r\n:60M:C260331EUR1010,00\r\n"
        ":61:2603310331D10,00NTRFB\r\n:62F:C260331EUR1000,00\r\n-\r\n"
    )

    found = read_file(first + second, "mt940")

    assert [(each.page, each.last_page) for each in found.statements] == [(1, False), (2, True)]
    assert found.codes == []


def test_german_subfields_are_taken_apart() -> None:
    found = told(
        ":61:2603310331CR50,00NTRFNONREF//0724710333\r\n"
        ":86:166?00GUTSCHRIFT?100399?20EREF+PO-10492?21MREF+MD-7?22SVWZ+Rechnung 4711 vom M\r\n"
        "?23aerz?30DEUTDEFF?31DE02120300000000202051?32Lena Oede?33gaard?34000\r\n"
    )

    (entry,) = found.entries
    assert (entry.references.end_to_end, entry.references.mandate) == ("PO-10492", "MD-7")
    assert entry.references.bank == "0724710333"
    assert entry.remittance == "Rechnung 4711 vom M aerz"
    assert entry.counterparty.name == "Lena Oedegaard"
    assert entry.counterparty.account is not None
    assert entry.counterparty.account.identifier == "DE02120300000000202051"
    assert (entry.raw_code, entry.kind, entry.additional) == ("NTRF 166", "TRANSFER", "GUTSCHRIFT")


def test_a_full_subfield_goes_on_without_a_blank() -> None:
    found = told(
        ":61:2603310331CR50,00NTRFNONREF\r\n"
        ":86:166?20SVWZ+ABCDEFGHIJKLMNOPQRSTUV?21WXYZ and more\r\n"
    )

    assert found.entries[0].remittance == "ABCDEFGHIJKLMNOPQRSTUVWXYZ and more"


def test_other_marks_of_subfields_are_seen() -> None:
    found = told(":61:260331D15,70N000NONREF\r\n:86:000>100987654321\r\n>20HUUR>21KANTOOR\r\n")

    assert found.entries[0].remittance == "HUUR KANTOOR"


def test_dutch_words_between_slashes_are_taken_apart() -> None:
    found = told(
        ":61:260331D25,00N102EREF\r\nNL91ABNA0417164300\r\n"
        ":86:/EREF/PO-1/BENM//NAME/CONTRA ACCOUN\r\nT/REMI/Rent of March/ISDT/2026-03-30\r\n"
    )

    (entry,) = found.entries
    assert (entry.references.end_to_end, entry.remittance) == ("PO-1", "Rent of March")
    assert entry.counterparty.account is not None
    assert entry.counterparty.account.identifier == "NL91ABNA0417164300"


def test_numbered_lines_of_hungary_and_blank_lines_are_read() -> None:
    found = read_file(
        ":20:STARTUMS\r\n:25:1966315302010001\r\n:28:00046\r\n:NS:22JOHN DOE\r\n\r\n"
        ":60F:C260330HUF627311,30\r\n:61:2603310331DF2402,00S   X\r\n"
        ":NS:01526715\r\n15ERGO Versicherung AG Fiokte\r\n16lep\r\n340000004279070017\r\n"
        ":62F:C260331HUF624909,30\r\n",
        "mt940",
    )

    (entry,) = found.entries
    assert (entry.amount_minor, entry.counterparty.name) == (
        -240200,
        "ERGO Versicherung AG Fioktelep",
    )
    assert found.statements[0].sequence == 46
    assert found.codes == []


def test_balances_are_opening_closing_available_and_forward() -> None:
    found = told(
        "",
        ":62F:C260331EUR1000,00\r\n:64:D260331EUR5,00\r\n:65:C260401EUR7,00\r\n:86:the end\r\n",
    )

    assert [(each.kind, each.amount_minor) for each in found.statements[0].balances] == [
        (BalanceKind.OPENING, 100000),
        (BalanceKind.CLOSING, 100000),
        (BalanceKind.CLOSING_AVAILABLE, -500),
        (BalanceKind.FORWARD_AVAILABLE, 700),
    ]


def test_details_behind_a_balance_belong_to_no_entry() -> None:
    found = told(":61:2603310331C1,00NTRFA\r\n", ":62F:C260331EUR1001,00\r\n:86:for you\r\n")

    assert found.entries[0].remittance == ""


def test_an_interim_report_has_a_floor_its_time_and_its_sums() -> None:
    found = read_file(
        "\x01\r\n:20:ST1\r\n:25:PL29114010810000267002001002\r\n:28C:1/1\r\n:34F:PLN0\r\n"
        ":13D:2603311815+0100\r\n:61:2603310331CN0,02NTRFNONREF//MB1\r\n"
        ":61:2603310331EC0,05NTRFNONREF//MB2\r\n:90D:0PLN0,00\r\n:90C:1PLN0,03\r\n-\x03",
        "mt940",
    )

    (statement,) = found.statements
    assert (statement.kind, statement.currency) == (StatementKind.INTRADAY, "PLN")
    assert (statement.time_zone, statement.to_on) == ("+01:00", date(2026, 3, 31))
    assert [each.status for each in found.entries] == [EntryStatus.BOOKED, EntryStatus.PENDING]
    assert found.words("control.count") == []


def test_sums_of_an_interim_report_are_compared() -> None:
    found = read_file(
        ":20:ST1\r\n:25:1\r\n:28C:1\r\n:34F:EUR0\r\n:61:2603310331C0,02NTRFX\r\n"
        ":90D:0EUR0,00\r\n:90C:2EUR0,03\r\n",
        "mt940",
    )

    assert found.words("control.count") == ["The bank counts 2 credits; 1 were read."]
    assert found.words("control.amount") == [
        "The bank's total of credits is 0.03 EUR; 0.02 EUR were read."
    ]


def test_a_statement_that_does_not_add_up_is_flagged_and_whole() -> None:
    found = told(":61:2603310331D15,70NTRFA\r\n", ":62F:C260331EUR900,00\r\n")

    assert found.amounts == [-1570]
    assert found.words("balance.difference") == [
        "It opens with 1,000.00 EUR and the booked entries (1) make -15.70 EUR, but it closes with"
        " 900.00 EUR: -84.30 EUR do not add up."
    ]


def test_a_line_that_cannot_be_read_is_rejected_with_its_place() -> None:
    found = told(":61:something else\r\n:61:2603320331C1,00NTRFA\r\n:61:2603310331C1,00NTRFB\r\n")

    assert found.amounts == [100]
    assert [(each.line, each.column) for each in found.rejects] == [(5, ":61:"), (6, ":61:")]
    assert found.rejects[1].why == '"260332" is no day of the calendar'


def test_the_envelope_of_swift_is_left_aside() -> None:
    body = f"{HEAD}{OPENING}:61:2603310331C1,00NTRFA\r\n:62F:C260331EUR1001,00\r\n"

    found = read_file(f"{{1:F01BANK}}{{2:I940}}{{4:\r\n{body}-}}\r\n", "mt940")

    assert (found.amounts, found.codes) == ([100], [])


def test_letters_of_an_older_encoding_stay_readable() -> None:
    body = f"{HEAD}{OPENING}:61:2603310331C1,00NTRFA\r\n:86:M\xfcller\r\n".encode("latin-1")

    found = read_file(body, "mt940")

    assert found.entries[0].remittance == "Müller"
    assert "text.encoding" in found.codes
    named = read_file(body, "mt940", ReadOptions(encoding="iso-8859-1"))
    assert named.entries[0].remittance == "Müller"
    assert "text.encoding" not in named.codes
