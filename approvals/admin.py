"""Inspection only: policies, requests and decisions."""

from __future__ import annotations

from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from payops.core.admin import inspect

inspect(PolicyVersion, "book", "name", "version", "active_from")
inspect(ApprovalRequest, "created_at", "kind", "subject_id", "tier", "state", "requested_by")
inspect(ApprovalDecision, "created_at", "request", "person", "seat", "verdict")
