"""How a payment was made, in one word whoever tells it; nothing else gets there (OB-4)."""

import json
from typing import Any

import pytest

from payops.psp.base import NormalizedEvent
from payops.psp.methods import UNIFIED
from tests.psp.signed import adapter, fixture

# provider -> (fixture of a payment, path to the item, what the item says of its method)
PLACES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "stripe": (
        "charge_succeeded",
        ("data", "object"),
        {"payment_method_details": {"type": "sepa_debit", "sepa_debit": {}}},
    ),
    "standard": ("payment_captured", ("data",), {"method": "sepa_debit"}),
    "adyen": (
        "capture",
        ("notificationItems", 0, "NotificationRequestItem"),
        {"paymentMethod": "sepadirectdebit"},
    ),
    "paypal": ("capture_completed", ("resource",), {"payment_source": {"card": {"brand": "VISA"}}}),
}
WORDS = {
    "stripe": "sepa_debit",
    "standard": "sepa_debit",
    "adyen": "sepa_debit",
    "paypal": "card",
}
MEMBERS = {
    "stripe": lambda word: {"payment_method_details": {"type": word}},
    "standard": lambda word: {"method": word},
    "adyen": lambda word: {"paymentMethod": word},
    "paypal": lambda word: {"payment_source": {str(word): {}}},
}


def told(provider: str, **changes: Any) -> NormalizedEvent:
    name, path, _ = PLACES[provider]
    body = item = json.loads(fixture(provider, name))
    for step in path:
        item = item[step]
    item |= changes
    return adapter(provider).parse(json.dumps(body).encode())


@pytest.mark.parametrize("provider", PLACES)
def test_payment_says_how_it_was_made(provider: str) -> None:
    said = told(provider, **PLACES[provider][2])

    assert (said.kind, said.method) == ("payment.captured", WORDS[provider])


@pytest.mark.parametrize("provider", PLACES)
@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("card", "card"),
        ("visa", "card"),
        ("mc", "card"),
        ("amex", "card"),
        ("sepadirectdebit", "sepa_debit"),
        ("sepa_debit", "sepa_debit"),
        ("directEbanking", "sofort"),
        ("sofort", "sofort"),
        ("bcmc", "bancontact"),
        ("ideal", "ideal"),
        ("Visa", "Visa"),
        ("brand_new-way7", "brand_new-way7"),
    ],
)
def test_one_word_for_each_way_to_pay_and_unknown_ones_as_they_are(
    provider: str, word: str, ours: str
) -> None:
    """OB-4: a card is one series, not one for each brand."""
    assert told(provider, **MEMBERS[provider](word)).method == ours


def test_the_table_of_words_has_no_chains_and_cannot_be_changed() -> None:
    assert not set(UNIFIED) & set(UNIFIED.values())
    with pytest.raises(TypeError):
        UNIFIED["ideal"] = "card"  # type: ignore[index]


@pytest.mark.parametrize("provider", PLACES)
@pytest.mark.parametrize("word", ["", "x" * 33, "a|b", "card\n", "Karte zürich", "<b>"])
def test_what_is_no_word_is_left_out(provider: str, word: str) -> None:
    """It becomes part of the name of a series: no separators, no markup, no length without end."""
    assert told(provider, **MEMBERS[provider](word)).method is None


@pytest.mark.parametrize("provider", ["stripe", "standard", "adyen"])
@pytest.mark.parametrize("word", [None, 7, True, ["card"], {"card": 1}])
def test_what_is_no_text_is_left_out(provider: str, word: object) -> None:
    said = told(provider, **MEMBERS[provider](word))

    assert (said.kind, said.method) == ("payment.captured", None)


@pytest.mark.parametrize("sources", [None, {}, [], "card", {"card": {}, "paypal": {}}])
def test_paypal_without_one_source_is_paid_by_paypal(sources: object) -> None:
    assert told("paypal", payment_source=sources).method == "paypal"


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("stripe", "payout_paid"),
        ("stripe", "charge_refunded"),
        ("standard", "payout_paid"),
        ("adyen", "refund"),
        ("paypal", "payout_item_succeeded"),
        ("paypal", "capture_refunded"),
    ],
)
def test_only_payments_have_a_method(provider: str, name: str) -> None:
    assert adapter(provider).parse(fixture(provider, name)).method is None
