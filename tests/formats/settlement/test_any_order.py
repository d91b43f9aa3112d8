"""Columns in any order, with any others between them, say the same (RC-13)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.core.money import Money
from payops.formats.settlement import generic
from payops.formats.settlement.base import LineKind
from tests.formats.settlement import test_adyen, test_stripe
from tests.formats.settlement.reading import Reading, by_name, reading

STRANGE = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12
).map(lambda text: f"x {text}")
CURRENCIES = st.sampled_from(("EUR", "USD", "JPY", "KWD", "ISK"))
AMOUNTS = st.integers(-(10**12), 10**12)


@st.composite
def order_of(draw: st.DrawFn, columns: tuple[str, ...]) -> list[str]:
    """The columns shuffled, some in capitals or with more blanks, others among them."""
    names = draw(st.permutations(columns))
    spelled = [
        draw(st.sampled_from((name, name.upper(), name.replace(" ", "  "), f" {name} ")))
        for name in names
    ]
    for strange in draw(st.lists(STRANGE, max_size=3)):
        spelled.insert(draw(st.integers(0, len(spelled))), strange)
    return spelled


def in_order(spelled: list[str], rows: list[dict[str, str]], mark: str) -> bytes:
    known = {" ".join(name.split()).casefold(): name for row in rows for name in row}
    told = [
        {
            name: row.get(known.get(" ".join(name.split()).casefold(), ""), "=1+1")
            for name in spelled
        }
        for row in rows
    ]
    return by_name(spelled, told, mark)


def same(found: Reading, told: Reading) -> None:
    assert found.lines == told.lines
    assert found.batches == told.batches
    assert found.codes == told.codes
    assert found.rejects == []


@settings(max_examples=40, deadline=None)
@given(order_of(test_adyen.COLUMNS), st.sampled_from(",;\t|"))
def test_adyens_columns_may_stand_anywhere(spelled: list[str], mark: str) -> None:
    rows = [{name: row.get(name, "") for name in test_adyen.COLUMNS} for row in test_adyen.BATCH]

    same(reading(in_order(spelled, rows, mark)), test_adyen.of(test_adyen.BATCH))


@settings(max_examples=40, deadline=None)
@given(order_of(test_stripe.COLUMNS), st.sampled_from(",;\t|"))
def test_stripes_columns_may_stand_anywhere(spelled: list[str], mark: str) -> None:
    rows = [{name: row.get(name, "") for name in test_stripe.COLUMNS} for row in test_stripe.BATCH]

    same(reading(in_order(spelled, rows, mark)), test_stripe.of(test_stripe.BATCH))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(CURRENCIES, AMOUNTS, st.integers(0, 10**9)), min_size=1, max_size=30),
    order_of(generic.COLUMNS),
)
def test_whatever_was_written_is_read_to_the_last_minor_unit(
    moves: list[tuple[str, int, int]], spelled: list[str]
) -> None:
    rows = [
        dict.fromkeys(generic.COLUMNS, "")
        | {
            "batch": "31",
            "type": "capture",
            "currency": currency,
            "net": Money(gross - fee, currency).decimal_text(),
            "gross": Money(gross, currency).decimal_text(),
            "fee": Money(-fee, currency).decimal_text(),
            "transaction_ref": f"t{number}",
        }
        for number, (currency, gross, fee) in enumerate(moves)
    ]

    found = reading(in_order(spelled, rows, ","))

    assert found.rejects == []
    assert [(line.currency, line.gross_minor, line.fee_minor) for line in found.lines] == [
        (currency, gross, -fee) for currency, gross, fee in moves
    ]
    assert {line.kind for line in found.lines} == {LineKind.CAPTURE}
    assert len({line.fingerprint for line in found.lines}) == len(moves)
    sums = {batch.currency: batch.net_minor for batch in found.batches}
    assert sums == {
        code: sum(gross - fee for other, gross, fee in moves if other == code) for code in sums
    }


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cell_put_out_of_shape_rejects_its_row_or_changes_a_text_and_nothing_else(
    data: st.DataObject,
) -> None:
    rows = [dict(row) for row in test_adyen.BATCH]
    place = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(test_adyen.COLUMNS))
    rows[place][name] = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\0")))

    found = test_adyen.of(rows)

    assert len(found.lines) + len(found.rejects) in (len(rows), len(rows) - 1)
    assert all(len(each.excerpt) <= 37 for each in found.rejects)
    assert all(type(line.net_minor) is int for line in found.lines)
