"""The one way an API call takes through any provider.

Outage met, key checked, parameters parsed, fault drawn, parameters validated, idempotency key
honoured, executed in one transaction, answered, written down. Owns that order; the operations are
tables in stripe_api.py, adyen_api.py, paypal_api.py and standard_api.py.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from payops.simulator import faults, outages, spoiling
from payops.simulator.events import Origin
from payops.simulator.faults import Fault
from payops.simulator.idempotency import fingerprint
from payops.simulator.manners import PLAIN, Manners
from payops.simulator.rules import Rules, rules_read
from payops.simulator.store import Database, new_id, objects_select
from payops.simulator.wire import (
    ANSWER,
    Params,
    Refused,
    Request,
    Response,
    form_params,
    json_response,
    only,
)
from payops.simulator.world import World

Answer = dict[str, Any]
_NAMES = (
    *("payops_reference", "custom_id", "sender_item_id", "reference", "merchant_reference"),
    *("description", "referenceForBeneficiary", "sender_batch_id", "invoice_id"),
)
_PARENTS = ("charge", "payment")


@dataclass(frozen=True)
class Call:
    """One API call after parsing: what an operation needs to know."""

    world: World
    params: Params
    id: str
    origin: Origin
    fault: Fault | None
    rules: Rules
    now: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Entry:
    """What the witness's log says of a call: which operation, under which key, about what."""

    name: str = "unknown"
    key: str | None = None
    reference: str | None = None
    object_id: str = ""


@dataclass(frozen=True)
class Operation:
    """One row of a provider's API: how it is called, what it takes, what it does."""

    name: str
    method: str
    pattern: re.Pattern[str]
    params: frozenset[str]
    execute: Callable[[Database, Call], Answer]
    check: Callable[[Params], None] = lambda params: None
    status: int = 200


@dataclass(frozen=True)
class Face:
    """One provider as seen from outside."""

    provider: str
    prefix: str
    parse: Callable[[bytes], Params]
    operations: Sequence[Operation]
    manners: Manners = PLAIN


def operation(
    name: str,
    method: str,
    path: str,
    params: str,
    execute: Callable[[Database, Call], Answer],
    *,
    check: Callable[[Params], None] = lambda params: None,
    status: int = 200,
) -> Operation:
    """A row of an API table; `<id>` in the path is the object's id."""
    pattern = re.compile(path.replace("<id>", r"(?P<id>[A-Za-z0-9_-]{1,80})"))
    return Operation(name, method, pattern, frozenset(params.split()), execute, check, status)


def serve(world: World, face: Face, request: Request) -> Response:
    """Answer one API call, outages, refusals and ordered faults included."""
    down = outages.outage_answer(world, target=face.provider)
    if down:
        _write_down(world, face, Entry(name="outage"), down)
        return down
    request_id, manners, entry = new_id("req_sim", size=14), face.manners, Entry()
    try:
        manners.authenticate(world.config, request, world.clock())
        found, id = _route(face, request)
        entry.name, entry.object_id = found.name, id
        entry.key = request.headers.get(manners.key_header.lower())
        response = _serve(world, face, request, request_id, found, entry)
    except Refused as refusal:
        response = manners.refuse(refusal)
    _write_down(world, face, entry, response)
    headers = {manners.request_header: request_id, **response.headers}
    if key := request.headers.get(manners.key_header.lower()):
        headers[manners.key_header] = key[: manners.key_max]
    return replace(response, headers=headers)


def _write_down(world: World, face: Face, entry: Entry, response: Response) -> None:
    """Every call stays in the witness's log, also one that got no answer."""
    status = response.status if response.ending == ANSWER else None
    with world.store.transaction() as db:
        db.execute(
            "INSERT INTO calls (provider, operation, at, status, ending, key, reference, object_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                face.provider,
                entry.name,
                world.clock(),
                status,
                response.ending,
                entry.key,
                entry.reference,
                entry.object_id or None,
            ),
        )


def _serve(
    world: World, face: Face, request: Request, request_id: str, found: Operation, entry: Entry
) -> Response:
    manners, id = face.manners, entry.object_id
    params = face.parse(request.body) if request.method == "POST" else form_params(request.query)
    names = _named(params)
    parents = [params[name] for name in _PARENTS if isinstance(params.get(name), str)]
    entry.reference, entry.object_id = next(iter(names), None), id or "".join(parents)
    fault, rules = _draw(world, face, entry, [id, *names, *parents])
    early = spoiling.before_execution(fault, manners.refuse, address=world.address)
    if early:
        return early
    params.pop("expand", None)
    only(params, found.params)
    found.check(params)
    key = request.headers.get(manners.key_header.lower()) if request.method == "POST" else None
    if key is not None and not 1 <= len(key) <= manners.key_max:
        text = f"{manners.key_header} must have 1 to {manners.key_max} characters."
        raise Refused(400, text)
    call = Call(
        world=world,
        params=params,
        id=id,
        origin=Origin(request_id=request_id, key=key),
        fault=fault,
        rules=rules,
        now=int(world.clock()),
        headers=request.headers,
    )
    try:
        response = _execute(face, found, request, call)
    except Refused as refusal:
        response = manners.refuse(refusal)
    world.wake()
    response = spoiling.after_execution(fault, response, address=world.address)
    return replace(response, pause_s=response.pause_s + rules.latency_s)


def _execute(face: Face, found: Operation, request: Request, call: Call) -> Response:
    def work(db: Database) -> Response:
        return spoiling.during_execution(
            call.fault,
            lambda: json_response(found.execute(db, call), status=found.status),
            face.manners.refuse,
        )

    def before() -> None:
        if call.fault and call.fault.kind == "slow":
            call.world.stop.wait(call.fault.delay_s)

    if call.origin.key is None or call.rules.permissive:
        before()
        with call.world.store.transaction() as db:
            return work(db)
    return call.world.keys.run(
        store=call.world.store,
        provider=face.provider,
        key=call.origin.key,
        digest=fingerprint(method=request.method, path=request.path, params=call.params),
        request_id=call.origin.request_id,
        now=call.world.key_clock(),
        before=before,
        work=work,
        manners=face.manners,
    )


def _route(face: Face, request: Request) -> tuple[Operation, str]:
    path = request.path.removeprefix(face.prefix)
    for row in face.operations:
        match = row.pattern.fullmatch(path)
        if match and row.method == request.method:
            return row, match.groupdict().get("id", "")
    raise Refused(
        404,
        f"Unrecognized request URL ({request.method}: {request.path[:200]}).",
        code="url_unknown",
    )


def _draw(
    world: World, face: Face, entry: Entry, references: list[str]
) -> tuple[Fault | None, Rules]:
    """The fault this call meets, and the rules that hold while it runs."""
    with world.store.transaction() as db:
        id, known = references[0], [name for name in references[1:] if name]
        if id and db.execute("SELECT 1 FROM faults WHERE reference <> '*' LIMIT 1").fetchone():
            for record in objects_select(db, where="id = ?", values=(id,), limit=1):
                known += [r for r in (record.reference, record.merchant_reference) if r]
        fault = faults.fault_take(
            db,
            provider=face.provider,
            operation=entry.name,
            references=[*known, id] if id else known,
            key=entry.key,
        )
        return fault, rules_read(db)


def _named(params: Params) -> list[str]:
    """The references a call names itself by, at any provider; ours first."""
    places = [params]
    for name in ("metadata", "sender_batch_header"):
        places += [params[name]] if isinstance(params.get(name), dict) else []
    items = params.get("items")
    places += [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [place[name] for name in _NAMES for place in places if isinstance(place.get(name), str)]


def resource_missing(noun: str, id: str) -> Refused:
    """The refusal for an id nobody gave out."""
    return Refused(404, f"No such {noun}: '{id}'", code="resource_missing", param="id")
