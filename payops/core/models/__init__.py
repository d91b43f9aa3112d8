"""Tables that everybody may use, and the columns they share."""

from payops.core.models.books import Book, ProviderAccount, Rate
from payops.core.models.columns import dead_indexes, history, leaf
from payops.core.models.people import ApiKey, Person, RoleGrant, User
from payops.core.models.trail import AuditEvent, AuditSeal, DataKey, Evidence
from payops.core.models.work import IdempotencyKey, Job, JobRow, Message, SavedView, ScheduleSlot

__all__ = [
    "ApiKey",
    "AuditEvent",
    "AuditSeal",
    "Book",
    "DataKey",
    "Evidence",
    "IdempotencyKey",
    "Job",
    "JobRow",
    "Message",
    "Person",
    "ProviderAccount",
    "Rate",
    "RoleGrant",
    "SavedView",
    "ScheduleSlot",
    "User",
    "dead_indexes",
    "history",
    "leaf",
]
