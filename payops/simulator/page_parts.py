"""What the sections of the control page have in common: amounts, buttons, choices, notices."""

from html import escape

from payops.simulator.money import iso_exponent

OPTION_WORDS = {"*": "any", "": "the usual"}
NOTICES = {
    "failed": "Payout failed; the event is on its way.",
    "paid": "Payout paid.",
    "sent": "Payout sent to the bank.",
    "reversed": "Payout reversed.",
    "canceled": "Payout canceled.",
    "resent": "Event queued again.",
    "payment": "Payment created.",
    "unclaimed": "Payout left unclaimed.",
    "disturbed": "Told; the event is on its way.",
    "refund_outside": "Refunded in the provider's dashboard.",
    "refund_succeed": "Refund succeeded.",
    "refund_fail": "Refund failed; the event is on its way.",
    "refund_return": "Refund returned; the event is on its way.",
    "refund_cancel": "Refund canceled.",
    "refund_resend": "Event queued again.",
    "dispute_open": "Dispute opened.",
    "dispute_update": "Dispute updated.",
    "dispute_withdraw": "Disputed money withdrawn.",
    "dispute_return": "Disputed money given back.",
    "dispute_win": "Dispute won.",
    "dispute_lose": "Dispute lost.",
    "dispute_close": "Inquiry closed.",
    "dispute_again": "Second round opened.",
    "dispute_resend": "Event queued again.",
    "rules": "Rules changed.",
    "clock": "Clock changed.",
    "keys_forgotten": "Every idempotency key is forgotten.",
    "loss": "Those events will be stored and listed, but never sent.",
    "losses_cleared": "Losses withdrawn.",
    "outage": "Outage set.",
    "fault": "Fault ordered.",
    "faults_cleared": "Faults withdrawn.",
    "delivery": "Delivery settings changed.",
    "timing": "Timing changed.",
    "reset": "Everything was forgotten.",
}


def button(action: str, label: str, about: str, *, kind: str = "", extra: str = "") -> str:
    """A button that presses its own control path with the fields of the form around it."""
    return (
        f'<button class="{kind}" formaction="{action}"{extra} aria-label="{label}: {about}">'
        f"{label}</button>"
    )


def select(label: str, name: str, options: tuple[str, ...]) -> str:
    """A labelled choice."""
    choices = "".join(
        f'<option value="{option}">{OPTION_WORDS.get(option, option)}</option>'
        for option in options
    )
    return f'<label>{label} <select name="{name}">{choices}</select></label>'


def money(amount: int, currency: str) -> str:
    """Minor units as people read them."""
    places = iso_exponent(currency)
    sign, digits = ("&minus;" if amount < 0 else ""), str(abs(amount)).rjust(places + 1, "0")
    major = f"{int(digits[: len(digits) - places]):,}"
    minor = f".{digits[len(digits) - places :]}" if places else ""
    return f"{sign}{major}{minor} {escape(currency)}"


def fields(*rows: tuple[str, str, str]) -> str:
    """Labelled inputs: label, name, value."""
    return "".join(
        f'<label>{label} <input name="{name}" value="{value}" maxlength="80"></label>'
        for label, name, value in rows
    )


def section(*, id: str, title: str, head: tuple[str, ...], rows: str, empty: str) -> str:
    """A titled table that scrolls by itself; `head` holds its columns, the amount one marked *."""
    columns = "".join(
        f'<th class="amount">{name[1:]}</th>' if name.startswith("*") else f"<th>{name}</th>"
        for name in head
    )
    nothing = f'<tr><td colspan="{len(head)}" class="empty">{empty}</td></tr>'
    return (
        f'<section aria-labelledby="{id}"><h2 id="{id}">{title}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of {id}"><table>'
        f"<thead><tr>{columns}</tr></thead><tbody>{rows or nothing}</tbody></table></div></section>"
    )
