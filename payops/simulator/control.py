"""The control API: what a person or a test does to the provider's world, and what it can see.

Owns no state of its own: every route reads or changes the store through the module that does.
A form post is answered with a redirect to the page, anything else with JSON. Serves the scripts of
duplicates, late failures, reversals, reordering and faults (WH-8, PX-1, PX-3, I7).
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlencode

from payops.simulator import (
    control_refunds,
    delivery,
    faults,
    lifecycle,
    losses,
    outages,
    witness,
)
from payops.simulator.config import PROVIDERS, SETTLE_MAX_S
from payops.simulator.events import QUEUED, enqueue, event_get, spread_asked
from payops.simulator.jobs import job_add
from payops.simulator.lifecycle import Failure
from payops.simulator.payments import Payment, payment_disturb, payment_open
from payops.simulator.store import (
    Database,
    Record,
    payout_find,
    setting_get,
    setting_put,
)
from payops.simulator.wire import (
    Params,
    Refused,
    Request,
    Response,
    flag,
    form_body,
    form_params,
    json_params,
    json_response,
    only,
    seconds,
    text,
    whole,
)
from payops.simulator.witness import DELIVERY_SWITCHES, ROWS_MAX, Act, payout_shown
from payops.simulator.world import World

AMOUNT_MAX = 99_999_999_999
DELAY_MAX_S = 86_400.0
_REFERENCE = r"[\x21-\x7e]{1,80}"
_CODE = "[A-Za-z_]{1,64}"
_SPREAD = "copies spread_s parallel"


Handler = Callable[[Database, Act], dict[str, Any]]


def serve(world: World, request: Request) -> Response:
    """Answer one control call."""
    try:
        notice, answer = _serve(world, request)
    except Refused as refusal:
        return refusal.response()
    if request.is_form():
        shown = urlencode({"did": notice, "about": answer.get("about") or ""})
        return Response(status=303, body=b"", headers={"Location": f"/?{shown}"})
    return json_response(answer)


def _serve(world: World, request: Request) -> tuple[str, dict[str, Any]]:
    path = request.path.removeprefix("/control")
    for method, pattern, notice, allowed, handler in ROUTES:
        match = re.fullmatch(pattern, path)
        if match and method == request.method:
            params = _params(request)
            only(params, frozenset(allowed.split()) if allowed is not None else frozenset(params))
            name = unquote(match.groupdict().get("name") or "")
            if notice == "reset":
                return notice, _reset(world)
            with world.store.transaction() as db:
                answer = handler(db, Act(world=world, params=params, name=name))
            world.wake()
            return notice, answer
    raise Refused(404, f"No control at {request.method} {request.path[:200]}.", code="url_unknown")


def _params(request: Request) -> Params:
    if request.method == "GET":
        return form_params(request.query)
    params = form_body(request.body) if request.is_form() else json_params(request.body)
    # A field left empty on the page means "as it is", like a member that is null.
    left_out = ("", None) if request.is_form() else (None,)
    return {name: value for name, value in params.items() if value not in left_out}


def _reset(world: World) -> dict[str, Any]:
    world.restart()
    world.wake()
    return {"reset": True}


def _faults(db: Database, act: Act) -> dict[str, Any]:
    return {"faults": faults.faults_list(db)}


def _fault_add(db: Database, act: Act) -> dict[str, Any]:
    params = dict(act.params)
    match = params.setdefault("match", {})
    for name in ("provider", "operation", "reference"):
        # The page's form names them flat; the JSON call nests them.
        if name in params and isinstance(match, dict):
            match[name] = params.pop(name)
    added = faults.fault_add(db, params=params)
    return {"fault": added, "about": added["fault"]}


def _faults_clear(db: Database, act: Act) -> dict[str, Any]:
    return {"cleared": faults.faults_clear(db)}


def _fail(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    spread = spread_asked(act.params)
    failure = Failure(
        code=text(act.params, "failure_code", default="could_not_process", pattern=_CODE),
        event=text(act.params, "event", default=""),
        spread=spread,
        repeat=bool(flag(act.params, "repeat")),
    )
    delay_s = seconds(act.params, "delay_s", high=DELAY_MAX_S)
    if not delay_s:
        event = lifecycle.payout_fail(act.world, db, record=record, failure=failure)
        return _told(record, event)
    lifecycle.failure_check(record=record, failure=failure)
    due_at = act.world.clock() + delay_s
    arguments = {
        "code": failure.code,
        "event": failure.event,
        "copies": spread.copies,
        "spread_s": spread.spread_s,
        "repeat": failure.repeat,
    }
    job_add(db, due_at=due_at, verb="fail", object_id=record.id, arguments=arguments)
    return _told(record, None) | {"due_at": due_at}


def _pay(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    return _told(record, lifecycle.payout_pay(act.world, db, record=record))


def _send(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    return _told(record, lifecycle.payout_send(act.world, db, record=record))


def _unclaim(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    return _told(record, lifecycle.payout_unclaim(act.world, db, record=record))


def _reverse(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    spread = spread_asked(act.params)
    event = lifecycle.payout_reverse(act.world, db, record=record, spread=spread)
    return _told(record, event)


def _cancel(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    return _told(record, lifecycle.payout_cancel(act.world, db, record=record, origin=None))


def _resend_last(db: Database, act: Act) -> dict[str, Any]:
    record = _payout(db, act)
    row = witness.last_event(db, record)
    if row is None:
        raise Refused(409, f"Nothing was told of {record.id} yet.", code="event_missing")
    numbers = enqueue(act.world, db, event_id=row["id"], spread=spread_asked(act.params))
    return _told(record, row["id"]) | {"deliveries": numbers}


def _resend(db: Database, act: Act) -> dict[str, Any]:
    row = event_get(db, id=act.name)
    if row is None:
        raise Refused(404, f"No event {act.name[:80]}.", code="resource_missing")
    numbers = enqueue(act.world, db, event_id=row["id"], spread=spread_asked(act.params))
    return {"event": row["id"], "deliveries": numbers, "about": row["object_id"]}


def _payment(db: Database, act: Act) -> dict[str, Any]:
    params = act.params
    amount = whole(params, "amount", low=1, high=AMOUNT_MAX)
    payment = Payment(
        provider=text(params, "provider", pattern="|".join(PROVIDERS)),
        reference=text(params, "reference", pattern=_REFERENCE),
        seller=text(params, "seller", pattern=_REFERENCE),
        amount=amount,
        currency=text(params, "currency", pattern="[A-Za-z]{3}").upper(),
        fee=whole(params, "fee", default=0, high=amount),
        platform_fee=whole(params, "platform_fee", default=0, high=amount),
        status=text(params, "status", default="succeeded", pattern="succeeded|failed"),
        method=text(params, "method", default=""),
    )
    record, event = payment_open(
        act.world,
        db,
        payment=payment,
        spread=spread_asked(params),
        split=bool(flag(params, "split")),
    )
    return {"payment": record.body, "event": event, "about": payment.reference}


def _disturb(db: Database, act: Act) -> dict[str, Any]:
    wanted, spread = text(act.params, "event"), spread_asked(act.params)
    event = payment_disturb(act.world, db, name=act.name, event=wanted, spread=spread)
    return {"event": event, "about": act.name}


def _losses(db: Database, act: Act) -> dict[str, Any]:
    return {"losses": losses.losses_list(db)}


def _lose(db: Database, act: Act) -> dict[str, Any]:
    return {"loss": losses.loss_add(db, params=act.params)}


def _losses_clear(db: Database, act: Act) -> dict[str, Any]:
    return {"cleared": losses.losses_clear(db)}


def _outages(db: Database, act: Act) -> dict[str, Any]:
    return {"outages": outages.outages_list(act.world, db)}


def _outage(db: Database, act: Act) -> dict[str, Any]:
    return {"outage": outages.outage_add(act.world, db, params=act.params)}


def _delivery(db: Database, act: Act) -> dict[str, Any]:
    params, released = act.params, 0
    held = setting_get(db, "hold", False)
    for name in ("hold", "reorder", "forge_signature"):
        if (wanted := flag(params, name)) is not None:
            setting_put(db, name, wanted)
    if "drop_next" in params:
        setting_put(db, "drop_next", whole(params, "drop_next", high=ROWS_MAX))
    if "stale_s" in params:
        setting_put(db, "stale_s", whole(params, "stale_s", low=-864_000, high=864_000))
    if "lateness_s" in params:
        setting_put(db, "lateness_s", seconds(params, "lateness_s", high=DELAY_MAX_S))
    seed = whole(params, "seed", default=1, high=2**31)
    if "seed" in params:
        act.world.dice.seed(seed)
    order = text(params, "order", default="reversed", pattern="original|reversed|shuffled")
    if held and flag(params, "hold") is False:
        released = delivery.release(act.world, db, order=order, seed=seed)
    if flag(params, "retry_now"):
        db.execute(
            "UPDATE deliveries SET due_at = MIN(due_at, ?) WHERE state = ?",
            (act.world.clock(), QUEUED),
        )
    return witness.switches(db) | {"released": released}


def _timing(db: Database, act: Act) -> dict[str, Any]:
    by_hand = flag(act.params, "by_hand")
    settle_s = seconds(act.params, "settle_s", default=-1.0, high=SETTLE_MAX_S)
    setting_put(db, "settle_s", -1.0 if by_hand else settle_s)
    return {"settle_s": act.world.settle_s(db)}


def _payout(db: Database, act: Act) -> Record:
    record = payout_find(db, name=act.name)
    if record is None:
        raise Refused(404, f"No payout {act.name[:80]}.", code="resource_missing")
    return record


def _told(record: Record, event: str | None) -> dict[str, Any]:
    return {"payout": payout_shown(record), "event": event, "about": record.id}


_PAYOUT = r"/payouts/(?P<name>[^/]{1,240})"
_FAULT = f"{' '.join(sorted(faults.FIELDS))} provider operation reference"
_SWITCHES = f"{' '.join(DELIVERY_SWITCHES)} order seed retry_now"
_PAYMENT = (
    f"provider reference seller amount currency fee platform_fee status method split {_SPREAD}"
)
_FAIL = f"failure_code event delay_s repeat {_SPREAD}"
# The buttons of one form on the page share their fields, so acts without options accept them.
_IGNORED = f"failure_code event {_SPREAD}"
_PAGED = "after limit"
# Method, path, what the page says afterwards, parameters, handler.
ROUTES: tuple[control_refunds.Route, ...] = (
    ("GET", "/state", "", "", witness.state),
    ("GET", "/payouts", "", "provider reference merchant_reference limit", witness.payouts),
    (
        "GET",
        "/movements",
        "",
        f"provider kind direction reference object_id key {_PAGED}",
        witness.movements,
    ),
    ("GET", "/events", "", f"provider type object_id {_PAGED}", witness.events),
    (
        "GET",
        "/deliveries",
        "",
        f"provider type object_id event_id state {_PAGED}",
        witness.deliveries,
    ),
    ("GET", "/calls", "", f"provider operation key reference object_id {_PAGED}", witness.calls),
    ("GET", "/losses", "", "", _losses),
    ("POST", "/losses", "loss", "provider type times", _lose),
    ("DELETE", "/losses", "losses_cleared", None, _losses_clear),
    ("POST", "/losses/clear", "losses_cleared", "", _losses_clear),
    ("GET", "/outages", "", "", _outages),
    ("POST", "/outages", "outage", "provider kind seconds hang_s", _outage),
    ("GET", "/faults", "", "", _faults),
    ("POST", "/faults", "fault", _FAULT, _fault_add),
    ("DELETE", "/faults", "faults_cleared", None, _faults_clear),
    ("POST", "/faults/clear", "faults_cleared", "", _faults_clear),
    ("POST", f"{_PAYOUT}/fail", "failed", _FAIL, _fail),
    ("POST", f"{_PAYOUT}/pay", "paid", _IGNORED, _pay),
    ("POST", f"{_PAYOUT}/send", "sent", _IGNORED, _send),
    ("POST", f"{_PAYOUT}/reverse", "reversed", _IGNORED, _reverse),
    ("POST", f"{_PAYOUT}/unclaim", "unclaimed", _IGNORED, _unclaim),
    ("POST", f"{_PAYOUT}/cancel", "canceled", _IGNORED, _cancel),
    ("POST", f"{_PAYOUT}/resend", "resent", _IGNORED, _resend_last),
    ("POST", "/payments", "payment", _PAYMENT, _payment),
    (
        "POST",
        "/payments/(?P<name>[^/]{1,240})/tell",
        "disturbed",
        f"event {_SPREAD}",
        _disturb,
    ),
    ("POST", "/events/(?P<name>[^/]{1,240})/resend", "resent", _SPREAD, _resend),
    ("GET", "/delivery", "", "", lambda db, act: witness.switches(db)),
    ("POST", "/delivery", "delivery", _SWITCHES, _delivery),
    ("POST", "/timing", "timing", "settle_s by_hand", _timing),
    *control_refunds.ROUTES,
    ("POST", "/reset", "reset", "", witness.state),
)
