"""Addresses of the console: one small list per screen, joined here."""

from __future__ import annotations

from django.urls import include, path, register_converter

from payops.console import auth
from payops.console.views import (
    accounts,
    audit,
    beneficiaries,
    books,
    chart,
    disputes,
    erp_exports,
    erp_mappings,
    inbox,
    ledger,
    manual_journals,
    messages,
    monitoring,
    parity,
    payments,
    payouts,
    periods,
    rates,
    refunds,
    revaluation,
    statements,
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
REFUNDS = [
    path("refunds/", refunds.index, name="refunds"),
    path("refunds/<public:public_id>/", refunds.record, name="refund"),
]
DISPUTES = [
    path("disputes/", disputes.index, name="disputes"),
    path("disputes/<public:public_id>/", disputes.record, name="dispute"),
    path("disputes/<public:public_id>/<slug:name>/", disputes.act, name="dispute-act"),
]
BENEFICIARIES = [
    path("beneficiaries/", beneficiaries.index, name="beneficiaries"),
    path("beneficiaries/<public:public_id>/", beneficiaries.record, name="beneficiary"),
]
LEDGER = [
    path("ledger/", chart.index, name="ledger"),
    path("ledger/accounts/<slug:code>/", chart.account, name="ledger-account"),
    path("ledger/journal/", ledger.journal, name="journal"),
    path("ledger/journal/<public:public_id>/", ledger.entry, name="entry"),
    path(
        "ledger/journal/<public:public_id>/reverse/",
        manual_journals.reverse_entry,
        name="entry-reverse",
    ),
    path("ledger/manual/", manual_journals.index, name="manual-journals"),
    path("ledger/manual/new/", manual_journals.new, name="manual-journal-new"),
    path("ledger/manual/<public:public_id>/", manual_journals.record, name="manual-journal"),
    path(
        "ledger/manual/<public:public_id>/post/",
        manual_journals.post_now,
        name="manual-journal-post",
    ),
    path(
        "ledger/manual/<public:public_id>/give-up/",
        manual_journals.give_up,
        name="manual-journal-give-up",
    ),
    path("ledger/matrix/", ledger.matrix, name="matrix"),
]
STATEMENTS = [
    path("ledger/statements/", statements.index, name="statements"),
    path("ledger/statements/lines/", statements.lines, name="statement-lines"),
    path("ledger/statements/positions/", statements.positions, name="statement-positions"),
    path("ledger/statements/<slug:kind>/", statements.statement, name="statement"),
    path("ledger/parity/", parity.index, name="parity"),
    path("ledger/parity/new/", parity.bring, name="parity-bring"),
    path("ledger/parity/<public:public_id>/", parity.pack, name="parity-pack"),
    path("ledger/parity/<public:public_id>/compare/", parity.compare, name="parity-compare"),
    path("ledger/parity/<public:public_id>/ask/", parity.ask, name="parity-ask"),
]
RATES = [
    path("ledger/rates/", rates.index, name="rates"),
    path("ledger/rates/bring/", rates.bring, name="rates-bring"),
    path("ledger/rates/<str:base>/<str:quote>/", rates.record, name="rate"),
    path("ledger/periods/<public:public_id>/revaluation/", revaluation.index, name="revaluation"),
    path(
        "ledger/periods/<public:public_id>/revaluation/<public:run_id>/take-back/",
        revaluation.take_back,
        name="revaluation-take-back",
    ),
]
PERIODS = [
    path("ledger/periods/", periods.index, name="periods"),
    path("ledger/periods/late/", periods.late, name="periods-late"),
    path("ledger/periods/<public:public_id>/", periods.record, name="period"),
    path("ledger/periods/<public:public_id>/<slug:name>/", periods.act, name="period-act"),
]
BOOK = [
    path("settings/book/", books.record, name="book"),
    path("settings/book/change/", books.change, name="book-change"),
]
EXPORTS = [
    path("ledger/exports/", erp_exports.index, name="erp-exports"),
    path("ledger/exports/new/", erp_exports.new, name="erp-export-new"),
    path("ledger/exports/mapping/<slug:target>/", erp_mappings.record, name="erp-mapping"),
    path(
        "ledger/exports/mapping/<slug:target>/change/",
        erp_mappings.propose,
        name="erp-mapping-change",
    ),
    path("ledger/exports/<public:public_id>/", erp_exports.record, name="erp-export"),
    path(
        "ledger/exports/<public:public_id>/files/<int:attempt>/",
        erp_exports.file,
        name="erp-export-file",
    ),
    path(
        "ledger/exports/<public:public_id>/entries/<public:entry_id>/",
        erp_exports.entry,
        name="erp-export-entry",
    ),
    path("ledger/exports/<public:public_id>/<slug:name>/", erp_exports.act, name="erp-export-act"),
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
    *REFUNDS,
    *DISPUTES,
    *BENEFICIARIES,
    *LEDGER,
    *STATEMENTS,
    *RATES,
    *PERIODS,
    *BOOK,
    *EXPORTS,
    *INBOX,
    *ACCOUNTS,
    *MESSAGES,
    *MONITORING,
    *AUDIT,
    *TRACE,
]
