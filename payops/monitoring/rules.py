"""The table of rules that raise alerts: what is watched, when it opens, whom it concerns.

A rule reads counted series alone and says with numbers why it opened. Opening takes more than
closing undoes: it opens at the larger of a least count and the baseline plus `factor` times its
spread, and closes below half of either way. `version` goes up with every change of a number here.
Serves OB-3, OB-4, OB-5, OB-7, WH-31, AI-5, F34.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["surge", "rate", "testing", "silence", "backlog", "structural"]
ENGINEERING, OPERATIONS = "engineering", "payments operations"


@dataclass(frozen=True, slots=True)
class Rule:
    """`slots` is the window in slots of five minutes; `least` the count below which it is quiet.

    `link` is where to look, with the scope filled in; `beside` the series a rate is taken against;
    `tells` is False where another flow gives the notice already.
    """

    key: str
    version: int
    kind: Kind
    words: str
    series: str
    slots: int
    least: int
    factor: int
    audience: str
    link: str
    next_step: str
    beside: str = ""
    percent: int = 0
    tells: bool = True


RULES = (
    Rule(
        "webhook_spike",
        1,
        "surge",
        "Far more webhooks than usual",
        "receipts",
        slots=3,
        least=150,
        factor=6,
        audience=ENGINEERING,
        link="/inbox/?provider={account}",
        next_step="look whether the types are business or a replay; the lanes hold their order",
    ),
    Rule(
        "endpoint_silence",
        1,
        "silence",
        "An endpoint is silent",
        "receipts",
        slots=6,
        least=6,
        factor=10,
        audience=ENGINEERING,
        link="/inbox/?provider={account}",
        next_step="look at the provider's own page of webhook attempts, then at address and secret",
    ),
    Rule(
        "payment_failed_surge",
        1,
        "rate",
        "More payments fail than usual",
        "payments_failed",
        slots=6,
        least=10,
        factor=5,
        audience=OPERATIONS,
        link="/payments/?state=FAILED&provider={account}",
        next_step="compare failure codes; tell the provider when one method is affected",
        beside="payments_ok",
        percent=20,
    ),
    Rule(
        "refund_cluster",
        1,
        "surge",
        "Refunds cluster in one country",
        "refunds",
        slots=12,
        least=8,
        factor=5,
        audience=OPERATIONS,
        link="/inbox/?type=refund",
        next_step="look for one seller or one product behind them before paying that seller out",
    ),
    Rule(
        "card_testing",
        1,
        "testing",
        "Somebody seems to test stolen cards",
        "small_failed",
        slots=3,
        least=20,
        factor=6,
        audience=OPERATIONS,
        link="/payments/?state=FAILED&provider={account}",
        next_step="hold the seller's payouts and ask the provider to limit attempts",
        beside="small_ok",
        percent=10,
    ),
    Rule(
        "refusals_surge",
        1,
        "surge",
        "Many bodies are refused",
        "refusals",
        slots=3,
        least=30,
        factor=6,
        audience=ENGINEERING,
        link="/inbox/",
        next_step="read the reasons: a rotated secret is ours to mend, a stranger's probe is noise",
    ),
    Rule(
        "dead_letters_rising",
        1,
        "surge",
        "Dead letters are rising",
        "dead",
        slots=6,
        least=5,
        factor=5,
        audience=ENGINEERING,
        link="/inbox/dead/",
        next_step="group them by cause, mend the cause, then redrive the group",
    ),
    Rule(
        "structural_mismatch",
        1,
        "structural",
        "An event does not fit what we know of its kind",
        "dead",
        slots=6,
        least=1,
        factor=1,
        audience=ENGINEERING,
        link="/inbox/dead/?kind=structural",
        next_step="read which path did not fit, extend the adapter, then redrive",
        tells=False,
    ),
    Rule(
        "lane_backlog",
        1,
        "backlog",
        "A lane does not keep up",
        "backlog",
        slots=1,
        least=1,
        factor=1,
        audience=ENGINEERING,
        link="/inbox/?state=RECEIVED&lane={scope}",
        next_step="look whether its worker runs; add one where the backlog is real work",
    ),
)
RULE = {rule.key: rule for rule in RULES}
# How long the oldest row of a lane may be ready without a worker having taken it.
LANE_LIMIT_S = {
    "high": 60,
    "calls": 600,
    "outside": 600,
    "standard": 180,
    "bulk": 1800,
    "housekeeping": 300,
}
