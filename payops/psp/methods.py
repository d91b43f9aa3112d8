"""One word for each way to pay, whichever provider tells of it (OB-4).

Owns the table from providers' own words to ours, so that a card is one series and not one for each
brand. A word that is not in it stays as the provider wrote it. Never decides what was paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from payops.psp.strictjson import word_or_none

_SAID = {
    "card": "amex bijcard cartebancaire card_present cup dankort diners discover electron elo "
    "forbrugsforeningen hiper hipercard jcb maestro maestrouk mc mcdebit oasis scheme solo troy "
    "uatp visa visadankort visadebit vpay",
    "sepa_debit": "sepadirectdebit",
    "bacs_debit": "directdebit_GB",
    "ach_debit": "ach us_bank_account",
    "sofort": "directEbanking",
    "bancontact": "bcmc bcmc_mobile",
    "klarna": "klarna_account klarna_paynow",
    "apple_pay": "applepay",
    "google_pay": "googlepay paywithgoogle",
    "wechat_pay": "wechatpay wechatpayMiniProgram wechatpayQR wechatpaySDK wechatpayWeb",
    "mb_way": "mbway",
}
UNIFIED: Mapping[str, str] = MappingProxyType(
    {said: ours for ours, words in _SAID.items() for said in words.split()}
)


def method_or_none(value: object) -> str | None:
    """Our word for a way to pay; an unknown word as it is, None for what is no word."""
    word = word_or_none(value)
    return None if word is None else UNIFIED.get(word, word)
