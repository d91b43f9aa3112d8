"""Pages for what went wrong: what it was, which thing, what now. Never a technical detail.

The 500 page touches neither the database nor the session, so that it can always be shown. Machine
addresses (webhooks, API) get one line of text.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from payops.core.roles import LABELS, PERMISSIONS, Act

TEMPLATE = "console/error.html"
MACHINE_PATHS = ("/webhooks/", "/api/", "/healthz")

ACT_WORDS: dict[Act, str] = {
    Act.VIEW_BOOKS: "see payments, payouts, beneficiaries and the ledger",
    Act.VIEW_INBOX: "see the inbox of provider events",
    Act.VIEW_AUDIT: "see the audit trail",
    Act.VIEW_RAW_BODY: "see raw bodies of provider events",
    Act.WORK_CASE: "work on cases",
    Act.PROPOSE_RESOLUTION: "propose the resolution of a case",
    Act.REQUEST_PAYOUT: "request payouts",
    Act.REQUEST_REFUND: "ask for refunds",
    Act.SEND_REFUND: "send granted refunds and record those paid by hand",
    Act.PLACE_HOLD: "place holds",
    Act.RELEASE_HOLD: "release holds",
    Act.CHANGE_BANK_DETAILS: "request a change of bank details",
    Act.VERIFY_BENEFICIARY: "verify beneficiaries",
    Act.DECIDE: "decide approvals",
    Act.REDRIVE_EVENT: "redrive dead letters",
    Act.DISCARD_EVENT: "request the discard of dead letters",
    Act.PROPOSE_POLICY: "propose policies",
    Act.MANAGE_ACCESS: "manage people and access",
    Act.EXPORT_EVIDENCE: "export evidence",
    Act.MANAGE_ACCOUNT: "change provider accounts, their secrets and allowlists",
    Act.PROPOSE_JOURNAL: "ask for manual journals",
    Act.EXPORT_JOURNAL: "export journals to the ERP",
    Act.MANAGE_PERIOD: "work on accounting periods and the settings of the book",
    Act.MANAGE_RATES: "bring exchange rates",
    Act.POST_ENTRY: "post entries from an internal system",
}


def roles_with(act: Act) -> list[str]:
    return [LABELS[role] for role, acts in PERMISSIONS.items() if act in acts]


def refused(request: HttpRequest, *, status: int, heading: str, text: str) -> HttpResponse:
    """An error page with its own words."""
    shown = {"code": status, "heading": heading, "text": text}
    return render(request, TEMPLATE, shown, status=status)


def forbidden_act(request: HttpRequest, act: Act) -> HttpResponse:
    held = sorted(LABELS[role] for role in request.roles)  # type: ignore[attr-defined]
    text = (
        f"This needs the permission {act.value}: {ACT_WORDS[act]}. "
        f"Roles that have it: {', '.join(roles_with(act))}. "
        f"You hold {'the role ' + ', '.join(held) if held else 'no role'}. "
        "The access administrator can request another one for you."
    )
    return refused(request, status=403, heading="Not permitted", text=text)


def not_a_person(request: HttpRequest) -> HttpResponse:
    text = "This login is not linked to a person who works here. Ask the access administrator."
    return refused(request, status=403, heading="No person behind this login", text=text)


def no_book(request: HttpRequest) -> HttpResponse:
    text = "There is no book yet, so there is nothing to show. `manage.py up` seeds one."
    return refused(request, status=503, heading="No book yet", text=text)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400, "Not understood", "The request could not be read.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    words = str(exception or "") or "You do not have the permission for this."
    return _answer(request, 403, "Not permitted", words)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    said = exception.args[0] if isinstance(exception, Http404) and exception.args else ""
    words = said if isinstance(said, str) and said else "There is nothing at this address."
    return _answer(request, 404, "Not found", words)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    words = "The form was too old or came from elsewhere. Nothing was changed; open it again."
    return _answer(request, 403, "Form refused", words)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(MACHINE_PATHS):
        return HttpResponse("server error\n", content_type="text/plain", status=500)
    page = render_to_string(TEMPLATE, {"code": 500, "heading": "Something went wrong"})
    return HttpResponse(page, status=500)


def _answer(request: HttpRequest, status: int, heading: str, text: str) -> HttpResponse:
    if request.path.startswith(MACHINE_PATHS):
        return HttpResponse(f"{heading.lower()}\n", content_type="text/plain", status=status)
    return refused(request, status=status, heading=heading, text=text)
