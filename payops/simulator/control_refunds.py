"""The control API of refunds and disputes, of the rules and of the clock.

Owns no state of its own: every route reads or changes the store through the module that does. A
payment, refund or dispute is named by its id or its reference. Serves the scripts of late failures,
refunds of the provider's own dashboard, disputes and hostile providers (F1, F3, F4, F19, I6, I7).
"""

from collections.abc import Callable
from typing import Any

from payops.simulator import disputes, refund_rules, refunds, rules, witness
from payops.simulator.config import ADYEN, PROVIDERS
from payops.simulator.disputes import Opening, Step
from payops.simulator.events import enqueue, spread_asked
from payops.simulator.jobs import job_add
from payops.simulator.money import AMOUNT_MAX
from payops.simulator.payments import payment_named
from payops.simulator.refund_rules import Wish
from payops.simulator.refunds import Ending
from payops.simulator.store import Database, Record
from payops.simulator.wire import Refused, flag, seconds, text, whole
from payops.simulator.witness import Act

Handler = Callable[[Database, Act], dict[str, Any]]
DELAY_MAX_S = 86_400.0
DUE_MAX_S = 400 * 86_400.0
_REFERENCE = r"[\x21-\x7e]{1,80}"
_WORD = "[A-Za-z_]{1,64}"
REFUND_ACTS: dict[str, Callable[..., str | None]] = {
    "succeed": refunds.refund_succeed,
    "fail": refunds.refund_fail,
    "return": refunds.refund_return,
    "cancel": refunds.refund_cancel,
}
DISPUTE_ACTS: dict[str, Callable[..., str | None]] = {
    "update": disputes.dispute_update,
    "withdraw": disputes.dispute_withdraw,
    "return": disputes.dispute_return,
    "win": disputes.dispute_win,
    "lose": disputes.dispute_lose,
    "close": disputes.dispute_close,
    "again": disputes.dispute_again,
}


def refund_outside(db: Database, act: Act) -> dict[str, Any]:
    """Somebody refunds in the provider's own dashboard: no key, no reference of ours."""
    payment, params = payment_named(db, name=act.name), act.params
    rest = max(1, refund_rules.left(payment))
    usual = f"DASHBOARD-{payment.reference}" if payment.provider == ADYEN else None
    wish = Wish(
        amount=whole(params, "amount", default=rest, low=1, high=AMOUNT_MAX),
        reference=text(params, "reference", default="", pattern=_REFERENCE) or usual,
        merchant_reference=payment.reference,
    )
    refund = refunds.refund_open(
        act.world,
        db,
        payment=payment,
        wish=wish,
        origin=None,
        status=text(params, "status", default=rules.USUAL, pattern="|".join(rules.STATUSES)),
        spread=spread_asked(params),
    )
    return _refund_told(db, refund)


def _refund_act(verb: str) -> Handler:
    def handle(db: Database, act: Act) -> dict[str, Any]:
        refund, params = refunds.refund_named(db, name=act.name), act.params
        wanted = "return" if params.get("event") == "REFUNDED_REVERSED" else verb
        spread = spread_asked(params)
        reason = text(params, "reason", default=Ending().reason, pattern=_WORD)
        if delay_s := seconds(params, "delay_s", high=DELAY_MAX_S):
            arguments = {"reason": reason, **vars(spread)}
            job_add(
                db,
                due_at=act.world.clock() + delay_s,
                verb=f"refund_{wanted}",
                object_id=refund.id,
                arguments=arguments,
            )
            return _refund_told(db, refund)
        ending = Ending(reason=reason, spread=spread)
        event = REFUND_ACTS[wanted](act.world, db, refund=refund, ending=ending)
        return _refund_told(db, refund) | {"event": event}

    return handle


def dispute_open(db: Database, act: Act) -> dict[str, Any]:
    """The buyer disputes a payment at the bank."""
    params = act.params
    opening = Opening(
        amount=whole(params, "amount", default=0, high=AMOUNT_MAX),
        is_inquiry=bool(flag(params, "inquiry")),
        withdraws=flag(params, "withdraw") is not False,
        reason=text(params, "reason", default=disputes.REASONS[0], pattern=_WORD),
        due_s=seconds(params, "due_s", default=disputes.DUE_S, high=DUE_MAX_S),
        fee=whole(params, "fee", default=0, high=AMOUNT_MAX),
        spread=spread_asked(params),
    )
    payment = payment_named(db, name=act.name)
    dispute = disputes.dispute_open(act.world, db, payment=payment, opening=opening)
    return _dispute_told(db, dispute)


def _dispute_act(verb: str) -> Handler:
    def handle(db: Database, act: Act) -> dict[str, Any]:
        dispute, params = disputes.dispute_named(db, name=act.name), act.params
        step = Step(
            event=text(params, "event", default="", pattern=_WORD),
            due_s=seconds(params, "due_s", high=DUE_MAX_S) if "due_s" in params else None,
            fee=whole(params, "fee", default=0, high=AMOUNT_MAX),
            spread=spread_asked(params),
        )
        event = DISPUTE_ACTS[verb](act.world, db, dispute=dispute, step=step)
        return _dispute_told(db, dispute) | {"event": event}

    return handle


def _resend(named: Callable[..., Record]) -> Handler:
    def handle(db: Database, act: Act) -> dict[str, Any]:
        record = named(db, name=act.name)
        row = witness.last_event(db, record)
        if row is None:
            raise Refused(409, f"Nothing was told of {record.id} yet.", code="event_missing")
        numbers = enqueue(act.world, db, event_id=row["id"], spread=spread_asked(act.params))
        return {"event": row["id"], "deliveries": numbers, "about": record.id}

    return handle


def keys_forget(db: Database, act: Act) -> dict[str, Any]:
    """A provider forgets every idempotency key, whatever its age."""
    names = "|".join((*PROVIDERS, r"\*"))
    provider = text(act.params, "provider", default="*", pattern=names)
    return {"forgotten": act.world.keys.forget(db, provider=provider)}


def _rules_set(db: Database, act: Act) -> dict[str, Any]:
    return rules.rules_set(db, params=act.params)


def _clock_set(db: Database, act: Act) -> dict[str, Any]:
    return dict(rules.clock_set(act.world, db, params=act.params))


def _refund_told(db: Database, refund: Record) -> dict[str, Any]:
    row = witness.last_event(db, refund)
    return {
        "refund": witness.refund_shown(refund),
        "event": row["id"] if row else None,
        "about": refund.id,
    }


def _dispute_told(db: Database, dispute: Record) -> dict[str, Any]:
    row = witness.last_event(db, dispute)
    return {
        "dispute": witness.dispute_shown(dispute),
        "event": row["id"] if row else None,
        "about": dispute.id,
    }


Route = tuple[str, str, str, str | None, Handler]


def _acts(noun: str, acts: tuple[str, ...], allowed: str, make: Callable[[str], Handler]) -> Any:
    place = rf"/{noun}s/(?P<name>[^/]{{1,240}})"
    return [("POST", f"{place}/{verb}", f"{noun}_{verb}", allowed, make(verb)) for verb in acts]


_SPREAD = "copies spread_s parallel"
_PAYMENT = r"/payments/(?P<name>[^/]{1,240})"
_PAGED = "after limit"
# Method, path, what the page says afterwards, parameters, handler: as in control.py.
ROUTES: tuple[Route, ...] = (
    ("GET", "/payments", "", f"provider reference {_PAGED}", witness.payments),
    ("GET", "/refunds", "", f"provider reference payment {_PAGED}", witness.refunds),
    ("GET", "/disputes", "", f"provider reference payment {_PAGED}", witness.disputes),
    (
        "POST",
        f"{_PAYMENT}/refund",
        "refund_outside",
        f"amount reference status {_SPREAD}",
        refund_outside,
    ),
    (
        "POST",
        f"{_PAYMENT}/dispute",
        "dispute_open",
        f"amount inquiry withdraw reason due_s fee {_SPREAD}",
        dispute_open,
    ),
    *_acts("refund", tuple(REFUND_ACTS), f"reason event delay_s {_SPREAD}", _refund_act),
    *_acts("dispute", tuple(DISPUTE_ACTS), f"event due_s fee {_SPREAD}", _dispute_act),
    *_acts("refund", ("resend",), f"reason {_SPREAD}", lambda _: _resend(refunds.refund_named)),
    *_acts("dispute", ("resend",), f"fee {_SPREAD}", lambda _: _resend(disputes.dispute_named)),
    ("GET", "/rules", "", "", lambda db, act: rules.rules_shown(db)),
    ("POST", "/rules", "rules", " ".join(rules.DEFAULTS), _rules_set),
    ("GET", "/clock", "", "", lambda db, act: dict(rules.clock_shown(act.world))),
    ("POST", "/clock", "clock", "ahead_s keys_ahead_s", _clock_set),
    ("POST", "/keys/forget", "keys_forgotten", "provider", keys_forget),
)
