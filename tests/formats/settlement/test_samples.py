"""Real reports, where they are at hand, read as what they are (RC-13)."""

from __future__ import annotations

from collections import Counter

import pytest

from payops.formats.files import FileRefused
from tests.formats.settlement.reading import SAMPLES, Reading, reading


def sample(name: str) -> Reading:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"no shared sample {name} beside this checkout")
    return reading(path)


def test_adyens_batch_238_carries_a_balance_over_and_pays_nothing() -> None:
    found = sample("adyen/settlement_detail_report_batch_238.csv")

    assert [(line.kind.value, line.net_minor) for line in found.lines] == [
        ("carry_over", 45433199),
        ("fee", -9),
        ("carry_over", -45433190),
    ]
    assert (found.codes, found.rejects) == ([], [])
    assert (found.batch.reference, found.batch.currency) == ("238", "USD")


def test_adyens_workbook_ties_to_its_payout_and_one_fee_is_wrong() -> None:
    found = sample("adyen/adyen_test.xlsx")

    assert Counter(line.kind.value for line in found.lines) == {
        "capture": 19, "fee": 1, "payout": 1,
    }  # fmt: skip
    assert (found.batch.stated_minor, found.batch.difference_minor) == (2300627, 0)
    assert found.codes == ["fee.difference", "cell.digits"]
    assert found.words("fee.difference") == (
        "1,598.00 USD with fees of -6.66 USD make 1,591.34 USD, the net is 659.34 USD"
    )
    assert found.rejects == []


def test_paypals_statement_is_month_first_and_its_balances_follow() -> None:
    found = sample("paypal/statement_en.csv")

    assert Counter(line.kind.value for line in found.lines) == {
        "fx": 8, "capture": 7, "payout": 4,
    }  # fmt: skip
    assert found.words("days.decided").startswith("days are read month-first: 11")
    assert "balance.difference" not in found.codes
    assert [(batch.currency, batch.net_minor) for batch in found.batches] == [
        ("EUR", 1734631),
        ("USD", 28030),
    ]
    assert found.summary.time_zones == ("America/Los_Angeles", "Europe/Brussels")


@pytest.mark.parametrize("name", ["gocardless/payouts.json", "mollie/settlements_list.json"])
def test_answers_of_an_interface_are_no_reports(name: str) -> None:
    with pytest.raises(FileRefused, match="this is none of"):
        sample(name)
