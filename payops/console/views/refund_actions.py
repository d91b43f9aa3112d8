"""What people do with refunds: ask for one, send it, cancel it, record, verify, try again, end it.

The form says live what asking would come to; sent twice it is one request. A refused act shows its
own page with what was typed. Serves RF-1, RF-11, RF-16, D5, F26, F27.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals.models import ApprovalRequest
from payops.console import forms, refund_forms
from payops.console.access import record_or_404, refuse, requires
from payops.console.answers import asked_for
from payops.console.reads import advice_beside, payments, refund_ask, refund_file
from payops.console.reads.refund_acts import ACTS, offer_of
from payops.console.reads.refund_ask import Verdict
from payops.console.refund_forms import RefundForm
from payops.core.money import Money
from payops.core.roles import Act
from payops.flows.refunds import obligation_ask as refund_obligation_ask
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import offline as refund_offline
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import request as flow
from payops.flows.refunds import unsent as refund_unsent
from payops.flows.refunds import verify as refund_verify
from payops.flows.refunds.request import RefundAsk
from payops.payments.models import Payment, Refund

REFUSED = 422
Call = Callable[[HttpRequest, Refund, dict[str, Any]], Any]


@require_http_methods(["GET", "POST"])
@requires(Act.REQUEST_REFUND)
def new(request: HttpRequest) -> HttpResponse:
    """Ask for a refund of one charge; `step` check shows what asking would come to."""
    named = request.POST.get("payment") or request.GET.get("payment", "")
    if not named:
        messages.info(request, "Open the charge to refund; the button stands on its page.")
        return redirect("/payments/?state=CAPTURED")
    payment = record_or_404(payments.query(), named, book=request.book)
    form = _form(request, payment)
    step = request.POST.get("step", "")
    amount = form.money
    verdict = _looked_at(request, payment, form, amount)
    if step == "check":
        form = _form(request, payment, quietly=True)
    elif form.is_bound and form.is_valid():
        answer = _asked(request, payment, form, verdict)
        if answer is not None:
            return answer
    confirms = amount is not None and refund_ask.confirmation_for(amount, payment, request.now)
    shown = {
        "form": form,
        "page": refund_ask.page(payment, asked=amount),
        "verdict": verdict,
        "amount": amount,
        "confirm": amount if confirms else None,
        "another": request.POST.get("another") or request.GET.get("another", ""),
        "advice": _advice(request, payment, form, amount),
    }
    refused = form.is_bound and step != "check" and bool(form.errors)
    status = REFUSED if refused else 200
    return render(request, "console/refund_new.html", shown, status=status)


def _form(request: HttpRequest, payment: Payment, *, quietly: bool = False) -> RefundForm:
    """`quietly`: what was typed so far, without complaints about what is not typed yet."""
    common: dict[str, Any] = {
        "left": payment.refundable,
        "captured": Money(payment.captured_minor, payment.currency),
        "rules": refund_policy.rules_of(request.book, request.now),
    }
    if quietly:
        return RefundForm(initial=request.POST.dict(), **common)
    first = {"request_key": refund_forms.fresh_key()}
    return RefundForm(request.POST or None, initial=first, **common)


def _ask_of(request: HttpRequest, payment: Payment, form: RefundForm, amount: Money) -> RefundAsk:
    said = form.data
    return RefundAsk(
        payment=payment,
        amount=amount,
        reason_code=said.get("reason_code", ""),
        note=form.told("note"),
        evidence=form.evidence,
        request_key=form.told("request_key") or refund_forms.fresh_key(),
        requested_by=request.user.person,
        ticket_system=said.get("ticket_system", "")[:24],
        ticket_ref=form.told("ticket_ref"),
        offline=bool(said.get("offline")),
        goodwill=bool(said.get("goodwill")),
    )


def _looked_at(
    request: HttpRequest, payment: Payment, form: RefundForm, amount: Money | None
) -> Verdict | None:
    """None until there is a reason and an amount to look at."""
    if not form.is_bound or form.reason is None or amount is None:
        return None
    return refund_ask.look(_ask_of(request, payment, form, amount), now=request.now)


def _advice(
    request: HttpRequest, payment: Payment, form: RefundForm, amount: Money | None
) -> list[Any]:
    """Beside the whole page alone; what is typed meanwhile has the live look."""
    if request.headers.get("HX-Request"):
        return []
    typed = [name for name, said in request.POST.items() if str(said).strip()]
    prefix = refund_forms.EVIDENCE
    return advice_beside.of_charge(
        payment,
        now=request.now,
        amount_minor=amount.minor if amount is not None and request.POST else None,
        reason_code=form.reason.code if form.reason is not None else "",
        evidence=tuple(name.removeprefix(prefix) for name in typed if name.startswith(prefix)),
    )


def _asked(
    request: HttpRequest, payment: Payment, form: RefundForm, verdict: Verdict | None
) -> HttpResponse | None:
    """The refund's page, of this request or of the same one asked before; None: refused here."""
    amount = form.cleaned_data["money"]
    known = verdict.outlook.known if verdict and verdict.outlook else None
    form.check_shown(amount)
    if known is None and refund_ask.confirmation_for(amount, payment, request.now):
        form.check_confirmation(amount)
    if form.errors:
        return None
    twin = refund_ask.twin_of(verdict) if verdict and not request.POST.get("another") else ""
    if known is None and twin:
        words = "Asked for a moment ago already: this is that refund. Nothing was asked again."
        messages.info(request, words)
        return redirect("refund", twin)
    ask = _ask_of(request, payment, form, amount)
    made = forms.attempt(
        form, lambda: flow.request_refund(ask=ask, actor=request.actor, now=request.now)
    )
    if made is None:
        return None
    if known is not None:
        messages.info(request, "This request was made already: this is its refund, as it is now.")
    elif made.state == Refund.State.REFUSED:
        messages.error(request, f"Refused: {made.refusal}. Nothing was sent.")
    elif made.state == Refund.State.AWAITING_APPROVAL:
        messages.success(request, f"Asked for {made.amount}. Others decide before it leaves.")
    else:
        messages.success(request, f"{made.amount} is granted by rule and leaves now.")
    return redirect("refund", made.public_id)


def _send(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return flow.send(refund_id=row.pk, actor=request.actor, now=request.now)


def _cancel(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return flow.cancel(
        refund_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


def _record_offline(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return refund_offline.record_offline(
        refund_id=row.pk,
        offline_ref=said["offline_ref"],
        paid_at=said["paid_at"],
        actor=request.actor,
        now=request.now,
    )


def _retry(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return refund_obligations.retry(
        refund_id=row.pk,
        reason=said["reason"],
        offline=said["offline"],
        actor=request.actor,
        now=request.now,
    )


def _end_promise(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return refund_obligation_ask.propose_end(
        refund_id=row.pk,
        outcome=said["outcome"],
        evidence=said["evidence"],
        reason=said["reason"],
        actor=request.actor,
        now=request.now,
    )


def _verify(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return refund_verify.verify_now(refund_id=row.pk, actor=request.actor, now=request.now)


def _declare_unsent(request: HttpRequest, row: Refund, said: dict[str, Any]) -> Any:
    return refund_unsent.propose(
        refund_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


# name of the act: (its form, the flow, what is said when it is done)
CALLS: dict[str, tuple[type[forms.ActForm], Call, str]] = {
    "send": (refund_forms.SendForm, _send, "It is on its way."),
    "cancel": (refund_forms.CancelRefundForm, _cancel, "Canceled. Nothing leaves."),
    "record-offline": (refund_forms.OfflineForm, _record_offline, "Recorded as paid by hand."),
    "retry": (refund_forms.RetryRefundForm, _retry, "Asked for another attempt; others decide."),
    "end-promise": (refund_forms.EndPromiseForm, _end_promise, ""),
    "verify": (refund_forms.VerifyForm, _verify, "The provider is asked with the next call."),
    "declare-unsent": (refund_forms.DeclareUnsentForm, _declare_unsent, ""),
}


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    """The page of one act with its consequences, or the act itself."""
    chosen = ACTS.get(name)
    if chosen is None or name not in CALLS:
        raise Http404(f"There is no act {name} on a refund.")
    if (refusal := refuse(request, chosen.act)) is not None:
        return refusal
    row = record_or_404(refund_file.query(), public_id, book=request.book)
    form_class, call, said = CALLS[name]
    form = form_class(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        done = forms.attempt(form, lambda: call(request, row, form.cleaned_data))
        if isinstance(done, ApprovalRequest):
            return asked_for(request, done)
        if done is not None:
            messages.success(request, said)
            return redirect("refund", getattr(done, "public_id", public_id))
    context = {"refund": row, "offer": offer_of(chosen, row), "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/refund_act.html", context, status=status)
