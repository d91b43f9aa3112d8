"""The control page: the provider's world at a glance and the buttons that disturb it.

Plain HTML forms over the control API; no script, no inline style, so the strictest content policy
holds. Reads through witness.py and delivery.py, writes nothing.
"""

from html import escape
from pathlib import Path
from typing import Any

from payops.simulator import delivery, faults, outages, page_refunds, witness
from payops.simulator.config import COPIES_MAX, PAYPAL, PROVIDERS, STANDARD
from payops.simulator.habits import HABITS
from payops.simulator.lifecycle import FAILURES, OPEN
from payops.simulator.page_parts import NOTICES, button, money, select
from payops.simulator.payments import METHODS
from payops.simulator.store import Database, Record, objects_select
from payops.simulator.wire import Refused, Request, Response, form_params, text, whole
from payops.simulator.witness import Act
from payops.simulator.world import World

PAYOUT_ROWS = 20
DELIVERY_ROWS = 30
FILES = {"/simulator.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml"}


def serve(world: World, request: Request) -> Response:
    """The page or one of its files."""
    if request.path in FILES:
        body = (Path(__file__).parent / "static" / request.path[1:]).read_bytes()
        return Response(status=200, body=body, content_type=FILES[request.path])
    if request.path != "/":
        raise Refused(404, "Nothing is here.", code="url_unknown")
    return show(world, request)


def show(world: World, request: Request, *, problem: str = "", status: int = 200) -> Response:
    """The page, with what was done or why it was refused."""
    params = form_params(request.query) if request.method == "GET" else {}
    wanted = text(params, "q", default="", pattern=r".{1,80}")
    before = whole(params, "before", default=2**53, low=0, high=2**53)
    with world.store.transaction() as db:
        state = witness.state(db, Act(world=world, params={}, name=""))
        parts = [
            _head(state),
            _notice(params, problem),
            _payouts(db, wanted, before),
            page_refunds.payments(db),
            page_refunds.refunds(db),
            page_refunds.disputes(db),
            _delivery_form(witness.switches(db)),
            _fault_form(db),
            _outage_form(state),
            page_refunds.rules_form(world, db),
            _payment_form(world),
            _log(db),
            _reset_form(),
        ]
    body = _DOCUMENT.format(body="\n".join(parts))
    return Response(status=status, body=body.encode(), content_type="text/html; charset=utf-8")


def _head(state: dict[str, Any]) -> str:
    facts = (
        ("Payouts", sum(state["payouts"].values())),
        ("Movements", state["movements"]),
        ("Events", state["events"]),
        ("Queued deliveries", state["deliveries"]["queued"]),
        ("Active faults", state["faults"]),
    )
    cells = "".join(f"<div><dt>{name}</dt><dd>{count}</dd></div>" for name, count in facts)
    return (
        "<header><h1>Payment provider simulator</h1>"
        f"<p>Sends webhooks to <code>{escape(state['target'])}</code>. "
        '<a href="/">Refresh</a></p>'
        f'<dl class="facts">{cells}</dl></header><main>'
    )


def _notice(params: dict[str, Any], problem: str) -> str:
    if problem:
        return f'<p class="notice refused" role="alert">Refused: {escape(problem)}</p>'
    done = NOTICES.get(str(params.get("did")))
    if not done:
        return ""
    about = escape(str(params.get("about", ""))[:80])
    return f'<p class="notice" role="status">{done} {f"<code>{about}</code>" if about else ""}</p>'


def _payouts(db: Database, wanted: str, before: int) -> str:
    where, values = "kind = 'payout' AND parent IS NULL AND seq < ?", [before]
    if wanted:
        where += " AND (id = ? OR reference = ? OR instr(merchant_reference, ?) > 0)"
        values = [before, wanted, wanted, wanted]  # type: ignore[list-item]
    found = objects_select(db, where=where, values=values, limit=PAYOUT_ROWS + 1)
    rows = "".join(_payout_row(db, record) for record in found[:PAYOUT_ROWS])
    if not found:
        text = "No payout has this reference." if wanted else "No payouts yet: the first API call"
        rows = (
            f'<tr><td colspan="4" class="empty">{text}{"" if wanted else " brings one."}</td></tr>'
        )
    older = ""
    if len(found) > PAYOUT_ROWS:
        last = found[PAYOUT_ROWS - 1].seq
        older = f'<p><a href="/?before={last}">Older payouts</a></p>'
    return (
        '<section aria-labelledby="payouts"><h2 id="payouts">Payouts</h2>'
        '<form class="line" method="get" action="/" role="search"><label>Reference or id '
        f'<input name="q" value="{escape(wanted)}" maxlength="80"></label>'
        "<button>Find</button></form>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of payouts"><table>'
        '<thead><tr><th>Payout</th><th class="amount">Amount</th><th>Status</th>'
        f"<th>What happens next</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"{older}</section>"
    )


def _payout_row(db: Database, record: Record) -> str:
    shown = witness.payout_shown(record)
    event = witness.last_event(db, record)
    name = escape(shown["merchant_reference"] or shown["reference"] or record.id)
    code = f" · {escape(shown['failure_code'])}" if shown["failure_code"] else ""
    back = " · reversed" if shown["reversed_by"] else ""
    return (
        f"<tr><td><strong>{name}</strong><br><code>{escape(record.id)}</code>"
        f' <span class="quiet">{record.provider}</span></td>'
        f'<td class="amount">{money(shown["amount"], shown["currency"])}</td>'
        f'<td><span class="status {shown["status"]}">{shown["status"]}</span>{code}{back}<br>'
        f'<span class="quiet">told: {escape(event["type"]) if event else "nothing"}</span></td>'
        f"<td>{_payout_form(record, name)}</td></tr>"
    )


def _payout_form(record: Record, name: str) -> str:
    status, base = record.body["status"], f"/control/payouts/{escape(record.id)}"
    fields, buttons = "", []
    habits = HABITS[record.provider]
    if status in (*OPEN, "paid"):
        codes = "".join(f"<option>{code}</option>" for code in FAILURES)
        told = tuple(habits.failures)
        fields = (
            f'<label>Reason <select name="failure_code">{codes}</select></label>'
            f"{select('Event', 'event', told) if len(told) > 1 else ''}"
            '<label>Copies <input type="number" name="copies" value="1" min="1"'
            f' max="{COPIES_MAX}"></label>'
        )
        buttons.append(button(f"{base}/fail", "Fail this payout now", name, kind="strong"))
    if status in OPEN:
        buttons.append(button(f"{base}/pay", "Pay", name))
    if record.provider == PAYPAL and status in ("pending", "in_transit"):
        buttons.append(button(f"{base}/unclaim", "Leave unclaimed", name))
    if status == "paid" and not record.body.get("reversed_by"):
        buttons.append(button(f"{base}/reverse", "Reverse", name))
    if status in habits.cancelable:
        buttons.append(button(f"{base}/cancel", "Cancel", name))
    twelve = ' name="copies" value="12"'
    buttons.append(button(f"{base}/resend", "Resend last event &times;12", name, extra=twelve))
    return f'<form class="line" method="post">{fields}{"".join(buttons)}</form>'


def _delivery_form(switches: dict[str, Any]) -> str:
    toggles = "".join(
        _toggle(name, label, bool(switches[name]), more)
        for name, label, more in (
            ("hold", "Hold all deliveries", _ORDER if switches["hold"] else ""),
            ("reorder", "Shuffle within two seconds", ""),
            ("forge_signature", "Sign with a wrong secret", ""),
        )
    )
    fields = "".join(
        f'<label>{label} <input type="number" name="{name}" value="{switches[name]:g}"'
        f' min="{low}" max="{high}"></label>'
        for name, label, low, high in (
            ("drop_next", "Drop the next", 0, witness.ROWS_MAX),
            ("lateness_s", "Late by (s)", 0, 86_400),
            ("stale_s", "Timestamp back by (s)", -864_000, 864_000),
        )
    )
    return (
        '<section aria-labelledby="sending"><h2 id="sending">Sending</h2>'
        f'<ul class="switches">{toggles}</ul>'
        f'<form class="line" method="post" action="/control/delivery">{fields}'
        "<button>Apply</button></form></section>"
    )


def _toggle(name: str, label: str, on: bool, more: str) -> str:
    verb = "Turn off" if on else "Turn on"
    return (
        '<li><form class="line" method="post" action="/control/delivery">'
        f"<span><strong>{label}</strong>: {'on' if on else 'off'}</span>"
        f'<input type="hidden" name="{name}" value="{"false" if on else "true"}">{more}'
        f'<button aria-label="{verb}: {label}">{verb}</button></form></li>'
    )


def _fault_form(db: Database) -> str:
    rows = "".join(
        f"<tr><td>{fault['fault']}</td><td>{fault['match']['provider']} "
        f"{fault['match']['operation']}</td><td>{escape(fault['match']['reference'])}</td>"
        f'<td class="amount">{fault["remaining"]}</td><td class="amount">{fault["used"]}</td></tr>'
        for fault in faults.faults_list(db)
    )
    table = (
        '<table><thead><tr><th>Fault</th><th>Call</th><th>Reference</th><th class="amount">Left'
        f'</th><th class="amount">Struck</th></tr></thead><tbody>{rows}</tbody></table>'
        '<form method="post" action="/control/faults/clear"><button>Withdraw all faults</button>'
        "</form>"
    )
    kinds = "".join(
        f'<option value="{kind}">{kind}: {words}</option>'
        for kind, (_, words) in faults.KINDS.items()
    )
    return (
        '<section aria-labelledby="faults"><h2 id="faults">Faults in API calls</h2>'
        '<form class="line" method="post" action="/control/faults">'
        f'<label>Fault <select name="fault">{kinds}</select></label>'
        f"{select('Provider', 'provider', ('*', *PROVIDERS))}"
        f"{select('Call', 'operation', ('*', *faults.OPERATIONS))}"
        '<label>Reference <input name="reference" value="*" maxlength="80"></label>'
        '<label>Times <input type="number" name="times" value="1" min="1" max="1000"></label>'
        "<button>Order this fault</button></form>"
        f"{table if rows else _NO_FAULTS}</section>"
    )


def _outage_form(state: dict[str, Any]) -> str:
    now = state["now"]
    lasting = "".join(
        f"<li><strong>{name}</strong> {outages.KINDS[each['kind']]} for another"
        f" {max(0, each['until'] - now):.0f} s; {each['calls']} calls met it</li>"
        for name, each in state["outages"].items()
    )
    losing = "".join(
        f"<li>The next {each['remaining']} events of {_any(each['provider'])}, type"
        f" {_any(each['type'])}, are lost; {each['used']} were</li>"
        for each in state["losses"]
    )
    lines = f'<ul class="facts-list">{lasting}{losing}</ul>' if lasting or losing else _ALL_WELL
    withdraw = (
        '<form method="post" action="/control/losses/clear"><button>Withdraw all losses</button>'
        "</form>"
    )
    kinds = "".join(
        f'<option value="{kind}">{words}</option>' for kind, words in outages.KINDS.items()
    )
    return (
        '<section aria-labelledby="outages"><h2 id="outages">Outages and lost events</h2>'
        '<form class="line" method="post" action="/control/outages">'
        f"{select('Provider', 'provider', outages.TARGETS)}"
        f'<label>Every call <select name="kind">{kinds}</select></label>'
        '<label>Seconds (0 ends it) <input type="number" name="seconds" value="600" min="0"'
        ' max="86400"></label><button>Set the outage</button></form>'
        '<form class="line" method="post" action="/control/losses">'
        f"{select('Provider', 'provider', ('*', *PROVIDERS))}"
        '<label>Event type <input name="type" value="*" maxlength="120"></label>'
        '<label>Times <input type="number" name="times" value="1" min="1" max="100000"></label>'
        f"<button>Never send them</button></form>{lines}{withdraw if losing else ''}</section>"
    )


def _any(word: str) -> str:
    return "any" if word == "*" else escape(word)


def _payment_form(world: World) -> str:
    fields = "".join(
        f'<label>{label} <input name="{name}" value="{value}" required maxlength="80"></label>'
        for name, label, value in (
            ("reference", "Reference", ""),
            ("seller", "Seller", ""),
            ("amount", "Amount (minor units)", "3000"),
            ("currency", "Currency", "EUR"),
            ("fee", "Provider fee", "0"),
            ("platform_fee", "Platform fee", "0"),
            ("copies", "Copies", "1"),
        )
    )
    return (
        '<section aria-labelledby="payment"><h2 id="payment">Let a buyer pay</h2>'
        '<form class="line" method="post" action="/control/payments">'
        f"{select('Provider', 'provider', tuple(world.config.endpoints))}{fields}"
        f"{select('Paid by', 'method', ('', *METHODS[STANDARD]))}"
        "<button>Create the payment</button></form></section>"
    )


def _log(db: Database) -> str:
    rows = "".join(
        f'<tr><td class="amount">{row["id"]}</td><td>{escape(row["type"])}<br>'
        f"<code>{escape(row['event_id'])}</code></td><td><code>{escape(row['object_id'])}</code>"
        f"</td><td>{row['state']}</td><td>{_attempts(row['attempts'])}</td></tr>"
        for row in delivery.deliveries_list(db, where="1 = 1", values=(), limit=DELIVERY_ROWS)
    )
    empty = '<tr><td colspan="5" class="empty">Every webhook sent will be listed here.</td></tr>'
    return (
        '<section aria-labelledby="log"><h2 id="log">Latest deliveries</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of deliveries"><table>'
        '<thead><tr><th class="amount">No.</th><th>Event</th><th>About</th><th>State</th>'
        f"<th>Attempts</th></tr></thead><tbody>{rows or empty}</tbody></table></div></section>"
    )


def _attempts(attempts: list[dict[str, Any]]) -> str:
    if not attempts:
        return "none yet"
    last = attempts[-1]
    told = f"{last['status']} in {last['duration_ms']} ms" if last["status"] else last["error"]
    forged = ", forged" if last["forged"] else ""
    return f"{len(attempts)}, last: {escape(str(told))[:200]}{forged}"


def _reset_form() -> str:
    return (
        "</main><footer><details><summary>Forget everything</summary>"
        "<p>Removes all payouts, movements, events and keys of this simulator.</p>"
        '<form method="post" action="/control/reset"><button class="strong">Forget everything now'
        "</button></form></details></footer>"
    )


_ORDER = (
    '<label>Release <select name="order"><option value="reversed">in reverse</option>'
    '<option value="shuffled">shuffled</option><option value="original">in order</option>'
    '</select></label><label>Seed <input type="number" name="seed" value="1" min="0"></label>'
)
_ALL_WELL = '<p class="empty">Every provider is up and every event is sent.</p>'
_NO_FAULTS = '<p class="empty">No faults are ordered; every call succeeds.</p>'
_DOCUMENT = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><title>Payment provider simulator</title>'
    '<link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/simulator.css">'
    "</head><body>{body}</body></html>"
)
