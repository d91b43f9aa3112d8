"""PayPal's transaction event codes (T-codes) and words of its downloads as kinds of lines.

The group, T and two digits, is enough for accounting as PayPal says; single codes stand where the
direction alone does not tell. `PAYOUT` is what leaves the balance: a withdrawal to the bank (T04)
and a mass payment to payees (T0001); the raw code tells them apart.
"""

from __future__ import annotations

from payops.formats.settlement.base import LineKind

Pair = tuple[LineKind, LineKind]
# (money comes in, money goes out)
SAME = {kind: (kind, kind) for kind in LineKind}
HOLDS: Pair = (LineKind.RESERVE_RELEASED, LineKind.RESERVE_HELD)
DISPUTES: Pair = (LineKind.CHARGEBACK_REVERSAL, LineKind.CHARGEBACK)
REFUNDS: Pair = (LineKind.REFUND_REVERSAL, LineKind.REFUND)
PAYOUTS: Pair = (LineKind.PAYOUT_RETURNED, LineKind.PAYOUT)
GROUPS: dict[str, Pair] = {
    "T00": (LineKind.CAPTURE, LineKind.TRANSFER),
    "T01": SAME[LineKind.FEE],
    "T02": SAME[LineKind.FX],
    "T03": SAME[LineKind.TRANSFER],
    "T04": PAYOUTS,
    "T05": SAME[LineKind.TRANSFER],
    "T06": SAME[LineKind.TRANSFER],
    "T07": SAME[LineKind.TRANSFER],
    "T08": SAME[LineKind.CORRECTION],
    "T09": SAME[LineKind.CORRECTION],
    "T10": SAME[LineKind.TRANSFER],
    "T11": SAME[LineKind.CORRECTION],
    "T12": SAME[LineKind.CORRECTION],
    "T13": SAME[LineKind.OTHER],
    "T14": SAME[LineKind.CORRECTION],
    "T15": HOLDS,
    "T16": SAME[LineKind.TRANSFER],
    "T17": PAYOUTS,
    "T18": SAME[LineKind.TRANSFER],
    "T19": SAME[LineKind.CORRECTION],
    "T20": SAME[LineKind.TRANSFER],
    "T21": HOLDS,
    "T22": SAME[LineKind.TRANSFER],
    "T30": (LineKind.CAPTURE, LineKind.TRANSFER),
    "T50": SAME[LineKind.TRANSFER],
    "T97": SAME[LineKind.CORRECTION],
    "T98": SAME[LineKind.OTHER],
    "T99": SAME[LineKind.OTHER],
}
CODES: dict[str, Pair] = {
    "T0001": (LineKind.CAPTURE, LineKind.PAYOUT),
    "T1101": PAYOUTS,
    "T1105": HOLDS,
    "T1106": DISPUTES,
    "T1107": REFUNDS,
    "T1108": SAME[LineKind.FEE],
    "T1109": SAME[LineKind.FEE],
    "T1110": HOLDS,
    "T1111": HOLDS,
    "T1114": PAYOUTS,
    "T1115": PAYOUTS,
    "T1201": DISPUTES,
    "T1202": DISPUTES,
    "T1205": DISPUTES,
    "T1207": DISPUTES,
    "T1208": DISPUTES,
}
# The first that occurs in the description decides; in the languages of the downloads.
DESCRIPTIONS: tuple[tuple[tuple[str, ...], Pair], ...] = (
    (("chargeback fee", "chargeback processing", "fee refund", "fee reversal"), SAME[LineKind.FEE]),
    (("mass pay", "masspay", "sammelzahlung", "paiement groupé"), CODES["T0001"]),
    (
        ("currency conversion", "währungsumrechnung", "conversion de devise",
         "conversión de divisa", "conversione di valuta", "valutaomrekening", "valutaconversie"),
        SAME[LineKind.FX],
    ),
    (("chargeback", "rückbuchung", "rétrofacturation", "contracargo", "storno"), DISPUTES),
    (("payment reversal", "zahlungsstorno"), DISPUTES),
    (
        ("hold", "reserve", "einbehalt", "reserva", "riserva", "réserve", "retenue", "release",
         "freigabe", "review"),
        HOLDS,
    ),
    (("refund", "rückzahlung", "remboursement", "reembolso", "rimborso", "terugbetaling"), REFUNDS),
    (
        ("withdrawal", "transfer to bank", "abbuchung", "auszahlung", "bankkonto", "virement",
         "retrait", "retiro", "retirada", "prelievo", "opname"),
        PAYOUTS,
    ),
    (("bank deposit", "bankgutschrift", "einzahlung"), SAME[LineKind.TRANSFER]),
    (("fee", "gebühr", "entgelt", "commission", "comisión", "tariffa", "kosten"),
     SAME[LineKind.FEE]),
    (("correction", "adjustment", "bonus", "korrektur"), SAME[LineKind.CORRECTION]),
    (
        ("payment", "checkout", "zahlung", "paiement", "pago", "pagamento", "betaling"),
        GROUPS["T00"],
    ),
    (("transfer", "übertragung"), SAME[LineKind.TRANSFER]),
)  # fmt: skip


def by_code(code: str, *, comes_in: bool) -> LineKind | None:
    """The kind of a T-code; None for a group that is not known here."""
    pair = CODES.get(code) or GROUPS.get(code[:3])
    return None if pair is None else pair[0 if comes_in else 1]


def by_words(description: str, *, comes_in: bool) -> LineKind | None:
    """The kind of a description in a download; None when no known word is in it."""
    text = description.casefold()
    for terms, pair in DESCRIPTIONS:
        if any(term in text for term in terms):
            return pair[0 if comes_in else 1]
    return None
