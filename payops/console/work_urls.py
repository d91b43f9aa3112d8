"""Addresses of the work screens: my work, cases, approvals, payout and bank-detail acts, settings.

`payops.console.urls` includes this list at the root, before its own record pages.
"""

from __future__ import annotations

from django.urls import path

from payops.console.views import (
    advice,
    approvals,
    beneficiary_actions,
    case_actions,
    cases,
    connections,
    home,
    jobs,
    lanes,
    payout_actions,
    people,
    policies,
    refund_actions,
    refund_bulk,
    refund_policies,
    saved_views,
)

CASES = [
    path("cases/", cases.index, name="cases"),
    path("cases/assign/", case_actions.assign_selected, name="assign-cases"),
    path("cases/<public:public_id>/", cases.record, name="case"),
    path("cases/<public:public_id>/propose/", cases.propose, name="case-propose"),
    path("cases/<public:public_id>/<slug:name>/", case_actions.act, name="case-act"),
    path("evidence/<uuid:key>/", cases.document, name="evidence"),
]
APPROVALS = [
    path("approvals/", approvals.index, name="approvals"),
    path("approvals/<public:public_id>/", approvals.record, name="approval"),
    path("approvals/<public:public_id>/decide/", approvals.decide, name="approval-decide"),
    path(
        "approvals/<public:public_id>/withdraw/",
        approvals.take_back,
        {"how": "withdraw"},
        name="approval-withdraw",
    ),
    path(
        "approvals/<public:public_id>/undo/",
        approvals.take_back,
        {"how": "undo"},
        name="approval-undo",
    ),
]
ACTS = [
    path("payouts/new/", payout_actions.new, name="payout-new"),
    path("payouts/<public:public_id>/<slug:name>/", payout_actions.act, name="payout-act"),
    path("refunds/new/", refund_actions.new, name="refund-new"),
    path("refunds/bulk/", refund_bulk.upload, name="refund-bulk"),
    path("refunds/<public:public_id>/<slug:name>/", refund_actions.act, name="refund-act"),
    path("holds/<public:public_id>/release/", payout_actions.release_hold, name="hold-release"),
    path(
        "beneficiaries/<public:public_id>/bank-change/",
        beneficiary_actions.bank_change,
        name="bank-change",
    ),
    path(
        "beneficiaries/<public:public_id>/<slug:name>/",
        beneficiary_actions.act,
        name="beneficiary-act",
    ),
]
JOBS = [
    path("jobs/", jobs.index, name="jobs"),
    path("jobs/plan/", jobs.plan, name="job-plan"),
    path("jobs/begin/", jobs.begin, name="job-begin"),
    path("jobs/<public:public_id>/", jobs.record, name="job"),
    path("jobs/<public:public_id>/progress/", jobs.progress, name="job-progress"),
    path("jobs/<public:public_id>/cancel/", jobs.cancel, name="job-cancel"),
    path("jobs/<public:public_id>/again/", jobs.again, name="job-again"),
]
VIEWS = [
    path("views/", saved_views.index, name="saved-views"),
    path("views/save/", saved_views.save, name="save-view"),
    path("views/<uuid:key>/", saved_views.change, name="saved-view"),
]
SETTINGS = [
    path("settings/", policies.settings, name="settings"),
    path("settings/people/", people.index, name="people"),
    path("settings/people/roles/<uuid:key>/revoke/", people.revoke, name="role-revoke"),
    path("settings/people/<slug:kind>/", people.propose, name="access-propose"),
    path("settings/advice/", advice.index, name="advice"),
    path("settings/connections/", connections.index, name="connections"),
    path("settings/connections/try/", connections.attempt, name="connection-try"),
    path("settings/policies/", policies.index, name="policies"),
    path("settings/policies/lanes/", lanes.propose, name="lanes-propose"),
    path("settings/policies/<slug:kind>/", policies.propose, name="policy-propose"),
    path("settings/refund-policy/", refund_policies.record, name="refund-policy"),
    path("settings/refund-policy/change/", refund_policies.propose, name="refund-policy-propose"),
    path("inbox/dead/discard/", policies.discard, name="discard"),
]

urlpatterns = [
    path("", home.index, name="home"),
    *CASES,
    *APPROVALS,
    *ACTS,
    *JOBS,
    *VIEWS,
    *SETTINGS,
]
