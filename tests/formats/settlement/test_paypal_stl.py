"""PayPal's settlement report checks itself: counts, totals, balances (RC-3, RC-13)."""

from __future__ import annotations

import pytest

from payops.formats.files import FileRefused
from payops.formats.settlement.base import LineKind, ReadOptions
from tests.formats.settlement.reading import Reading, reading

CH = (
    '"CH","Transaction ID","Invoice ID","PayPal Reference ID","PayPal Reference ID Type",'
    '"Transaction Event Code","Transaction Initiation Date","Transaction Completion Date",'
    '"Transaction  Debit or Credit","Gross Transaction Amount","Gross Transaction Currency",'
    '"Fee Debit or Credit","Fee Amount","Fee Currency","Custom Field","Consumer ID"'
)
AT = "2026/03/30 14:03:11 -0700"


def sb(
    code: str,
    sign: str,
    amount: int,
    *,
    fee: int = 0,
    fee_sign: str = "DR",
    currency: str = "USD",
    name: str = "9AB",
    reference: str = "",
    kind: str = "",
) -> str:
    told = f'"{fee_sign}",{fee},"{currency}"' if fee else '"",0,""'
    return (
        f'"SB","{name}","ORD-7781","{reference}","{kind}","{code}",{AT},{AT},'
        f'"{sign}",{amount},"{currency}",{told},"","SOMEONE"'
    )


ROWS = [
    sb("T0006", "CR", 10000, fee=290, name="9AB00001"),
    sb("T1107", "DR", 3000, fee=87, fee_sign="CR", name="9AB00002", reference="9AB00001",
       kind="TXN"),
    sb("T0400", "DR", 6000, name="9AB00003"),
]  # fmt: skip
SF = '"SF","USD",10000,9000,87,290,"CR",500,"CR",1297,"CR",500,"CR",1297'


def report(rows: list[str] = ROWS, *, footers: list[str] | None = None,
           sf: tuple[str, ...] = (SF,), count: int | None = None) -> bytes:  # fmt: skip
    number = len(rows) if count is None else count
    ends = [f'"RC",{number}', '"FF",1', '"RF",1'] if footers is None else footers
    return "\r\n".join([
        '"RH",2026/03/31 06:00:00 -0700,"A","MERCHANT1",009', '"FH",01',
        '"SH",2026/03/30 00:00:00 -0700,2026/03/30 23:59:59 -0700,"MERCHANT1",""',
        CH, *rows, *sf, f'"SC",{number}', *ends, "",
    ]).encode("utf-8-sig")  # fmt: skip


def of(*arguments: object, **options: object) -> Reading:
    return reading(report(*arguments, **options))  # type: ignore[arg-type]


def test_a_report_that_adds_up_gives_its_lines_without_a_word() -> None:
    found = of()

    assert [(line.kind.value, line.gross_minor, line.fee_minor, line.net_minor)
            for line in found.lines] == [
        ("capture", 10000, -290, 9710),
        ("refund", -3000, 87, -2913),
        ("payout", -6000, 0, -6000),
    ]  # fmt: skip
    assert (found.codes, found.rejects) == ([], [])
    assert (found.batch.reference, found.batch.account) == ("MERCHANT1 2026-03-30", "MERCHANT1")
    assert (found.batch.net_minor, found.batch.lines) == (6797, 3)
    assert (found.summary.format, found.summary.is_refused) == ("paypal_stl", False)


def test_lines_carry_paypals_names_and_times_with_their_offset() -> None:
    payment, refund, payout = of().lines

    assert (payment.payment_ref, payment.merchant_ref) == ("9AB00001", "ORD-7781")
    assert (refund.refund_ref, refund.payment_ref) == ("9AB00002", "9AB00001")
    assert (payout.payout_ref, payout.payment_ref) == ("9AB00003", "")
    assert payment.occurred_at is not None
    assert payment.occurred_at.isoformat() == "2026-03-30T14:03:11-07:00"
    assert "SOMEONE" not in repr(payment)


def test_sections_and_currencies_are_checked_apart() -> None:
    euro = sb("T0006", "CR", 500, currency="EUR", name="9AB00004")
    both = (SF, '"SF","EUR",500,0,0,0,"CR",0,"CR",500,"CR",0,"CR",500')
    first = report([*ROWS, euro], sf=both, footers=[]).decode("utf-8-sig")
    second = report(ROWS[2:], sf=('"SF","USD",0,6000,0,0',), footers=['"FC",5', '"RC",5', '"FF",1'])
    told = second.decode("utf-8-sig").split("\r\n", 2)[2].replace("MERCHANT1", "MERCHANT2")

    found = reading((first + told).encode())

    assert found.codes == ["account.several"]
    assert [(each.account, each.currency, each.lines) for each in found.batches] == [
        ("MERCHANT1", "USD", 3),
        ("MERCHANT1", "EUR", 1),
        ("MERCHANT2", "USD", 1),
    ]
    wrong = (first.replace('"EUR",500,0,0,0', '"EUR",501,0,0,0') + told).encode()
    assert [each for each in reading(wrong).codes if each.startswith("control")] == [
        "control.total"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_older_utf_16_reads_the_same(encoding: str) -> None:
    text = report().decode("utf-8-sig")

    assert len(reading(text.encode(encoding)).lines) == 3


@pytest.mark.parametrize(
    ("code", "sign", "kind"),
    [
        ("T0003", "CR", LineKind.CAPTURE),
        ("T0001", "DR", LineKind.PAYOUT),
        ("T1114", "CR", LineKind.PAYOUT_RETURNED),
        ("T1115", "CR", LineKind.PAYOUT_RETURNED),
        ("T0104", "DR", LineKind.FEE),
        ("T0106", "DR", LineKind.FEE),
        ("T0200", "DR", LineKind.FX),
        ("T0300", "CR", LineKind.TRANSFER),
        ("T0400", "DR", LineKind.PAYOUT),
        ("T0400", "CR", LineKind.PAYOUT_RETURNED),
        ("T1101", "CR", LineKind.PAYOUT_RETURNED),
        ("T1105", "CR", LineKind.RESERVE_RELEASED),
        ("T1106", "DR", LineKind.CHARGEBACK),
        ("T1107", "CR", LineKind.REFUND_REVERSAL),
        ("T1108", "CR", LineKind.FEE),
        ("T1110", "DR", LineKind.RESERVE_HELD),
        ("T1111", "CR", LineKind.RESERVE_RELEASED),
        ("T1201", "DR", LineKind.CHARGEBACK),
        ("T1202", "CR", LineKind.CHARGEBACK_REVERSAL),
        ("T1503", "DR", LineKind.RESERVE_HELD),
        ("T1900", "CR", LineKind.CORRECTION),
        ("T2103", "DR", LineKind.RESERVE_HELD),
        ("T2104", "CR", LineKind.RESERVE_RELEASED),
        ("T9900", "CR", LineKind.OTHER),
    ],
)
def test_every_group_of_codes_has_its_kind(code: str, sign: str, kind: LineKind) -> None:
    found = of([sb(code, sign, 100)], sf=())

    assert [line.kind for line in found.lines] == [kind]
    assert found.codes == []


def test_a_code_of_no_known_group_is_kept_and_said() -> None:
    found = of([sb("T7700", "CR", 100)], sf=())

    assert [line.kind for line in found.lines] == [LineKind.OTHER]
    assert found.words("type.unknown") == 'the event code "T7700" is not known here; kept as other'


def test_a_row_that_is_missing_refuses_the_file() -> None:
    found = of(ROWS[:2], count=3)

    assert found.summary.is_refused
    assert found.codes.count("control.count") == 2
    assert "the section states 3 rows, 2 were read" in repr(found.findings)


def test_an_amount_that_was_changed_refuses_the_file() -> None:
    found = of([ROWS[0].replace("10000", "11000"), *ROWS[1:]])

    assert found.codes == ["control.total", "balance.difference"]
    assert found.words("control.total") == (
        'gross in "USD": the report states 10000 and 9000, its rows add up to 11000 and 9000'
    )
    assert found.summary.is_refused


def test_a_sign_that_was_turned_shows_in_the_balance() -> None:
    rows = [sb("T0006", "CR", 100), sb("T0006", "DR", 100)]
    turned = of(rows, sf=('"SF","USD",100,100,0,0,"CR",500,"CR",700',))

    assert turned.codes == ["balance.difference"]
    assert not turned.summary.is_refused


def test_a_total_that_misses_a_rejected_row_is_reported_not_refused() -> None:
    found = of([ROWS[0], ROWS[1].replace("3000", "30.00"), ROWS[2]])

    assert [(each.line, each.column, each.why) for each in found.rejects] == [
        (6, "gross transaction amount", "no unsigned whole number such as 10000")
    ]
    assert found.codes == ["control.after_rejects", "control.after_rejects", "balance.difference"]
    assert not found.summary.is_refused


@pytest.mark.parametrize("footers", [[], ['"RC",3']])
def test_a_report_without_its_end_is_cut_off(footers: list[str]) -> None:
    found = of(footers=footers)

    assert found.codes == ["file.truncated"]
    assert found.summary.is_refused


def test_a_section_without_its_count_is_cut_off() -> None:
    text = report().decode("utf-8-sig").split("\r\n")
    cut = "\r\n".join(line for line in text if not line.startswith('"SC"'))

    found = reading(cut.encode())
    assert found.words("file.truncated").startswith("the section of line 3 has no count")
    assert found.summary.is_refused


def test_one_of_several_files_does_not_hold_all_rows_of_the_report() -> None:
    text = report().decode("utf-8-sig").replace('"FH",01', '"FH",02').replace('"RC",3', '"RC",9')

    found = reading(text.encode())
    assert found.codes == ["control.several_files"]
    assert not found.summary.is_refused


def test_yen_are_hundredths_unless_the_account_says_otherwise() -> None:
    content = report([sb("T0006", "CR", 10000, currency="JPY")], sf=())

    assert reading(content).lines[0].net_minor == 100
    plain = reading(content, ReadOptions(zero_decimals_by_hundred=False))
    assert plain.lines[0].net_minor == 10000

    odd = reading(report([sb("T0006", "CR", 10050, currency="JPY")], sf=()))
    assert odd.rejects[0].why.startswith("no whole JPY in hundredths")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"DR",3000', '"XX",3000'), "neither CR nor DR"),
        (('"DR",3000', '"DR",-3000'), "no unsigned whole number such as 10000"),
        (('"DR",3000', '"DR",' + "9" * 16), "no unsigned whole number such as 10000"),
        (('"CR",87,"USD"', '"CR",87,"EUR"'), "a fee in EUR of a payment in USD"),
        ((AT, "2026/13/30 14:03:11 -0700"), "no time such as 2026-03-31 23:30:00"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_alone(change: tuple[str, str], why: str) -> None:
    found = of([ROWS[0], ROWS[1].replace(*change), ROWS[2]])

    assert [(each.line, each.why) for each in found.rejects] == [(6, why)]
    assert len(found.lines) == 2


def test_a_movement_outside_a_section_is_refused() -> None:
    lines = ['"RH",x', '"FH",01', ROWS[0], '"FF",1']

    with pytest.raises(FileRefused, match="line 3: a movement stands outside a section"):
        reading("\n".join(lines).encode())
