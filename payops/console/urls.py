"""Addresses of the console: one small list per screen, joined here."""

from __future__ import annotations

from django.urls import include, path, register_converter

from payops.console import auth
from payops.console.views import (
    accounts,
    audit,
    beneficiaries,
    inbox,
    ledger,
    messages,
    monitoring,
    payments,
    payouts,
    trace,
)


class PublicIdConverter:
    """A public id such as po_ and 32 hex digits; which kind it is, the view checks."""

    regex = "[a-z]{2}_[0-9a-f]{32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PublicIdConverter, "public")

SIGN_IN = [
    path("sign-in/", auth.sign_in, name="login"),
    path("sign-out/", auth.sign_out, name="logout"),
]
PAYOUTS = [
    path("payouts/", payouts.index, name="payouts"),
    path("payouts/<public:public_id>/", payouts.record, name="payout"),
]
PAYMENTS = [
    path("payments/", payments.index, name="payments"),
    path("payments/<public:public_id>/", payments.record, name="payment"),
]
BENEFICIARIES = [
    path("beneficiaries/", beneficiaries.index, name="beneficiaries"),
    path("beneficiaries/<public:public_id>/", beneficiaries.record, name="beneficiary"),
]
LEDGER = [
    path("ledger/", ledger.accounts, name="ledger"),
    path("ledger/journal/", ledger.journal, name="journal"),
    path("ledger/journal/<public:public_id>/", ledger.entry, name="entry"),
    path("ledger/matrix/", ledger.matrix, name="matrix"),
]
INBOX = [
    path("inbox/", inbox.index, name="inbox"),
    path("inbox/dead/", inbox.dead, name="dead-letters"),
    path("inbox/redrive/", inbox.redrive, name="redrive"),
    path("inbox/<public:public_id>/", inbox.record, name="event"),
    path("inbox/<public:public_id>/raw/", inbox.raw, name="raw-body"),
]
ACCOUNTS = [
    path("accounts/", accounts.index, name="accounts"),
    path("accounts/<slug:provider>/<slug:slug>/", accounts.record, name="account"),
    path("accounts/<slug:provider>/<slug:slug>/refused/", accounts.refused, name="account-refused"),
    path("accounts/<slug:provider>/<slug:slug>/list/", accounts.bring_list, name="account-list"),
    path("accounts/<slug:provider>/<slug:slug>/name/", accounts.follow, name="account-name"),
    path("accounts/<slug:provider>/<slug:slug>/mode/", accounts.mode, name="account-mode"),
    path(
        "accounts/<slug:provider>/<slug:slug>/settings/",
        accounts.settings,
        name="account-settings",
    ),
    path(
        "accounts/<slug:provider>/<slug:slug>/secrets/new/",
        accounts.rotate,
        name="account-rotate",
    ),
    path(
        "accounts/<slug:provider>/<slug:slug>/secrets/<uuid:key>/retire/",
        accounts.retire,
        name="account-retire",
    ),
]
MESSAGES = [
    path("messages/", messages.index, name="messages"),
    path("messages/tickets/", messages.tickets, name="tickets"),
    path("messages/outbox/", messages.outbox, name="outbox"),
    path("messages/outbox/redrive/", messages.redrive, name="redrive-messages"),
]
MONITORING = [
    path("monitoring/", monitoring.index, name="monitoring"),
    path("monitoring/service/", monitoring.executions, name="monitoring-service"),
    path("monitoring/alerts/", monitoring.listed, name="alerts"),
    path("monitoring/alerts/<public:public_id>/", monitoring.record, name="alert"),
    path(
        "monitoring/alerts/<public:public_id>/acknowledge/",
        monitoring.acknowledge,
        name="alert-acknowledge",
    ),
]
AUDIT = [
    path("audit/", audit.index, name="audit"),
    path("audit/verify/", audit.verify, name="audit-verify"),
]
TRACE = [
    path("trace/", trace.index, name="trace"),
    path("trace/pack/", trace.pack, name="evidence-pack"),
]

urlpatterns = [
    *SIGN_IN,
    path("", include("payops.console.work_urls")),
    *PAYOUTS,
    *PAYMENTS,
    *BENEFICIARIES,
    *LEDGER,
    *INBOX,
    *ACCOUNTS,
    *MESSAGES,
    *MONITORING,
    *AUDIT,
    *TRACE,
]
