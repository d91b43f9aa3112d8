"""Roles and permissions: a closed table, permissions named by act (SE-4, D5).

A role is held by a Person, not by a login. A superuser holds no permission by being one. The
access administrator manages people and can decide nothing.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    OPS_AGENT = "ops_agent"
    OPS_LEAD = "ops_lead"
    FINANCE_ANALYST = "finance_analyst"
    FINANCE_MANAGER = "finance_manager"
    COMPLIANCE = "compliance"
    TREASURY = "treasury"
    AUDITOR = "auditor"
    ENGINEER = "engineer"
    ACCESS_ADMIN = "access_admin"


LABELS = {
    Role.OPS_AGENT: "Payments operations agent",
    Role.OPS_LEAD: "Payments operations lead",
    Role.FINANCE_ANALYST: "Finance analyst",
    Role.FINANCE_MANAGER: "Finance manager",
    Role.COMPLIANCE: "Compliance",
    Role.TREASURY: "Treasury",
    Role.AUDITOR: "Auditor",
    Role.ENGINEER: "Integration engineer",
    Role.ACCESS_ADMIN: "Access administrator",
}


class Act(StrEnum):
    VIEW_BOOKS = "view_books"
    VIEW_INBOX = "view_inbox"
    VIEW_AUDIT = "view_audit"
    VIEW_RAW_BODY = "view_raw_body"
    WORK_CASE = "work_case"
    PROPOSE_RESOLUTION = "propose_resolution"
    REQUEST_PAYOUT = "request_payout"
    REQUEST_REFUND = "request_refund"
    SEND_REFUND = "send_refund"
    PLACE_HOLD = "place_hold"
    RELEASE_HOLD = "release_hold"
    CHANGE_BANK_DETAILS = "change_bank_details"
    VERIFY_BENEFICIARY = "verify_beneficiary"
    DECIDE = "decide"
    REDRIVE_EVENT = "redrive_event"
    DISCARD_EVENT = "discard_event"
    PROPOSE_POLICY = "propose_policy"
    MANAGE_ACCESS = "manage_access"
    EXPORT_EVIDENCE = "export_evidence"
    MANAGE_ACCOUNT = "manage_account"
    PROPOSE_JOURNAL = "propose_journal"
    EXPORT_JOURNAL = "export_journal"
    MANAGE_PERIOD = "manage_period"
    MANAGE_RATES = "manage_rates"
    POST_ENTRY = "post_entry"


_READ = frozenset({Act.VIEW_BOOKS, Act.EXPORT_EVIDENCE})
_OPS = _READ | {Act.VIEW_INBOX, Act.WORK_CASE, Act.PROPOSE_RESOLUTION, Act.REQUEST_PAYOUT}
_OPS |= {Act.REQUEST_REFUND, Act.PLACE_HOLD, Act.CHANGE_BANK_DETAILS, Act.VERIFY_BENEFICIARY}

PERMISSIONS: dict[Role, frozenset[Act]] = {
    Role.OPS_AGENT: _OPS,
    Role.OPS_LEAD: _OPS
    | {Act.DECIDE, Act.RELEASE_HOLD, Act.REDRIVE_EVENT, Act.VIEW_AUDIT, Act.SEND_REFUND},
    Role.FINANCE_ANALYST: _READ
    | {Act.VIEW_INBOX, Act.WORK_CASE, Act.PROPOSE_RESOLUTION, Act.REQUEST_PAYOUT}
    | {Act.REQUEST_REFUND, Act.PROPOSE_JOURNAL, Act.EXPORT_JOURNAL, Act.MANAGE_PERIOD}
    | {Act.MANAGE_RATES},
    Role.FINANCE_MANAGER: _READ
    | {Act.VIEW_INBOX, Act.WORK_CASE, Act.PROPOSE_RESOLUTION, Act.DECIDE, Act.PROPOSE_POLICY}
    | {Act.VIEW_AUDIT, Act.RELEASE_HOLD, Act.PROPOSE_JOURNAL, Act.EXPORT_JOURNAL}
    | {Act.MANAGE_PERIOD, Act.MANAGE_RATES},
    Role.COMPLIANCE: _READ
    | {Act.VIEW_INBOX, Act.WORK_CASE, Act.DECIDE, Act.PLACE_HOLD, Act.RELEASE_HOLD}
    | {Act.VIEW_AUDIT, Act.VERIFY_BENEFICIARY, Act.VIEW_RAW_BODY},
    Role.TREASURY: _READ
    | {Act.DECIDE, Act.PROPOSE_POLICY, Act.VIEW_AUDIT, Act.REQUEST_PAYOUT, Act.MANAGE_RATES}
    | {Act.SEND_REFUND},
    Role.AUDITOR: _READ | {Act.VIEW_INBOX, Act.VIEW_AUDIT},
    Role.ENGINEER: _READ
    | {Act.VIEW_INBOX, Act.REDRIVE_EVENT, Act.DISCARD_EVENT, Act.VIEW_RAW_BODY, Act.WORK_CASE}
    | {Act.MANAGE_ACCOUNT},
    Role.ACCESS_ADMIN: frozenset({Act.MANAGE_ACCESS}),
}


def acts_of(roles: frozenset[Role] | set[Role]) -> frozenset[Act]:
    granted: frozenset[Act] = frozenset()
    for role in roles:
        granted |= PERMISSIONS[role]
    return granted
