"""The page's sections about payments, refunds and disputes, and about the rules of the world.

Plain forms over the control API, as page.py's. Reads only.
"""

from html import escape

from payops.simulator import refunds as life
from payops.simulator import rules, witness
from payops.simulator.config import ADYEN, COPIES_MAX, PROVIDERS, STANDARD
from payops.simulator.dispute_news import INQUIRY
from payops.simulator.disputes import STANDING
from payops.simulator.page_parts import button, fields, money, section, select
from payops.simulator.refund_rules import left
from payops.simulator.store import Database, Record, objects_select
from payops.simulator.world import World

ROWS = 15
_COPIES = (
    '<label>Copies <input type="number" name="copies" value="1" min="1"'
    f' max="{COPIES_MAX}"></label>'
)


def payments(db: Database) -> str:
    """The newest payments, to be refunded in the dashboard or disputed."""
    found = objects_select(db, where="kind IN ('payment', 'charge')", values=(), limit=ROWS)
    return section(
        id="payments",
        title="Payments",
        head=("Payment", "*Amount", "*Given back", "What happens next"),
        rows="".join(_payment_row(record) for record in found),
        empty="No payments yet: let a buyer pay, below.",
    )


def refunds(db: Database) -> str:
    """The newest refunds, whoever made them."""
    found = objects_select(db, where="kind = 'refund'", values=(), limit=ROWS)
    return section(
        id="refunds",
        title="Refunds",
        head=("Refund", "*Amount", "Status", "What happens next"),
        rows="".join(_refund_row(db, record) for record in found),
        empty="No refunds yet: the first API call brings one, or the dashboard above.",
    )


def disputes(db: Database) -> str:
    """The newest disputes."""
    found = objects_select(db, where="kind = 'dispute'", values=(), limit=ROWS)
    return section(
        id="disputes",
        title="Disputes",
        head=("Dispute", "*Amount", "Status", "What happens next"),
        rows="".join(_dispute_row(db, record) for record in found),
        empty="No disputes; a buyer opens one from a payment above.",
    )


def rules_form(world: World, db: Database) -> str:
    """How strict, slow and late the providers are."""
    held, clock = rules.rules_shown(db), rules.clock_shown(world)
    latency, ahead = f"{held['latency_s']:g}", f"{clock['ahead_s']:g}"
    keys_ahead = f"{clock['keys_ahead_s']:g}"
    verb = "Turn off" if held["permissive"] else "Turn on"
    on = "on" if held["permissive"] else "off"
    born = ("usual", "pending", "succeeded")
    born = (held["refund_status"], *(name for name in born if name != held["refund_status"]))
    return (
        '<section aria-labelledby="rules"><h2 id="rules">Rules and clock</h2>'
        '<ul class="switches"><li><form class="line" method="post" action="/control/rules">'
        f"<span><strong>Refund anything and ignore keys</strong>: {on}</span>"
        '<input type="hidden" name="permissive"'
        f' value="{"false" if held["permissive"] else "true"}">'
        f'<button aria-label="{verb}: refund anything and ignore keys">{verb}</button></form></li>'
        "</ul>"
        '<form class="line" method="post" action="/control/rules">'
        f"{select('New refunds are', 'refund_status', born)}"
        f"{fields(('Every call takes (s)', 'latency_s', latency))}"
        "<button>Apply</button></form>"
        '<form class="line" method="post" action="/control/clock">'
        f"{fields(('Clock ahead by (s)', 'ahead_s', ahead))}"
        f"{fields(('Keys older by (s)', 'keys_ahead_s', keys_ahead))}"
        "<button>Set the clock</button></form>"
        '<form class="line" method="post" action="/control/keys/forget">'
        f"{select('Provider', 'provider', ('*', *PROVIDERS))}"
        "<button>Forget every key</button></form></section>"
    )


def _payment_row(record: Record) -> str:
    shown = witness.payment_shown(record)
    name, base = escape(shown["reference"] or record.id), f"/control/payments/{escape(record.id)}"
    buttons = ""
    if left(record) > 0:
        buttons += button(f"{base}/refund", "Refund in the dashboard", name, kind="strong")
    if shown["captured"]:
        inquiry = ' name="inquiry" value="true"'
        buttons += button(f"{base}/dispute", "Dispute", name)
        buttons += button(f"{base}/dispute", "Ask only", name, extra=inquiry)
    form = (
        f'<form class="line" method="post">{fields(("Amount (minor units)", "amount", ""))}'
        f"{_COPIES}{buttons}</form>"
    )
    back = f'{money(shown["refunded"], shown["currency"])} <span class="quiet">refunded</span>'
    return _row(record, name, shown, back, form, "amount")


def _refund_row(db: Database, record: Record) -> str:
    shown = witness.refund_shown(record)
    name, base = escape(shown["reference"] or record.id), f"/control/refunds/{escape(record.id)}"
    status, buttons = shown["status"], ""
    if status in ("pending", "succeeded"):
        buttons += select("Reason", "reason", life.REASONS) + _COPIES
        buttons += button(f"{base}/fail", "Fail this refund now", name, kind="strong")
    if status == "pending":
        buttons += button(f"{base}/succeed", "Succeed", name)
        buttons += button(f"{base}/cancel", "Cancel", name)
    late = ("succeeded", "failed") if record.provider == STANDARD else ("succeeded",)
    if record.provider in (ADYEN, STANDARD) and status in late:
        buttons += button(f"{base}/return", "Return", name)
    twelve = ' name="copies" value="12"'
    buttons += button(f"{base}/resend", "Resend last event &times;12", name, extra=twelve)
    reason = f" · {escape(str(shown['reason']))}" if shown["reason"] else ""
    told = _status(db, record, status, reason)
    return _row(record, name, shown, told, f'<form class="line" method="post">{buttons}</form>')


def _dispute_row(db: Database, record: Record) -> str:
    shown = witness.dispute_shown(record)
    name, base = escape(shown["reference"] or record.id), f"/control/disputes/{escape(record.id)}"
    standing, buttons = shown["status"] in STANDING, ""
    if standing:
        buttons += button(f"{base}/update", "Hand in evidence", name)
        if not shown["withdrawn"]:
            buttons += button(f"{base}/withdraw", "Withdraw the money", name)
        buttons += button(f"{base}/lose", "Lose", name, kind="strong")
        closing = shown["stage"] == INQUIRY
        act, label = ("close", "Close the inquiry") if closing else ("win", "Win")
        buttons += button(f"{base}/{act}", label, name)
    if shown["withdrawn"]:
        buttons += button(f"{base}/return", "Give the money back", name)
    elif record.body["movements"]:
        buttons += button(f"{base}/again", "Second round", name)
    buttons += button(f"{base}/resend", "Resend last event", name)
    free = "may be refunded" if shown["refundable"] else "may not be refunded"
    told = _status(db, record, shown["status"], f" · {shown['stage']} · {free}")
    return _row(record, name, shown, told, f'<form class="line" method="post">{buttons}</form>')


def _status(db: Database, record: Record, status: str, more: str) -> str:
    event = witness.last_event(db, record)
    told = escape(event["type"]) if event else "nothing"
    return (
        f'<span class="status {status}">{status.replace("_", " ")}</span>{more}<br>'
        f'<span class="quiet">told: {told}</span>'
    )


def _row(
    record: Record, name: str, shown: dict[str, object], third: str, form: str, kind: str = ""
) -> str:
    amount = money(int(str(shown["amount"])), str(shown["currency"]))
    return (
        f"<tr><td><strong>{name}</strong><br><code>{escape(record.id)}</code>"
        f' <span class="quiet">{record.provider}</span></td>'
        f'<td class="amount">{amount}</td><td class="{kind}">{third}</td><td>{form}</td></tr>'
    )
