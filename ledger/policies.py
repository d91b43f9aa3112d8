"""Which variant of a matrix row a book's policies choose; pure, one function per question (LJ-7).

Owns no amounts and no postings. The policies are columns of the book, changed through approval.
"""

from __future__ import annotations

from payops.core.models import Book

NONE, MEMO, PENDING = "none", "memo", "pending"
NET, GROSS = "net", "gross"
RETURNED, KEPT = "returned", "kept"
AUTHORIZATION_VARIANTS = {NONE: "", MEMO: "memo", PENDING: "pending"}
PRESENTATION_VARIANTS = {NET: "", GROSS: "gross"}


def authorization_variant(book: Book) -> str:
    """Of payment.authorized, payment.authorization_used, payment.voided and payment.expired."""
    return AUTHORIZATION_VARIANTS[book.authorization_policy]


def posts_authorizations(book: Book) -> bool:
    return book.authorization_policy == PENDING


def capture_variant(book: Book) -> str:
    """Of payment.captured; a failed capture mirrors its own entry, whatever the policy is now."""
    return PRESENTATION_VARIANTS[book.presentation]


def refund_variant(book: Book, *, goodwill: bool = False) -> str:
    """Of refund.accepted and refund.obligation_lapsed."""
    return "goodwill" if goodwill else PRESENTATION_VARIANTS[book.presentation]


def dispute_lost_variant(book: Book, *, platform_bears: bool) -> str:
    """Of dispute.lost; an allowance of the platform reads the same in both presentations."""
    return "platform" if platform_bears else PRESENTATION_VARIANTS[book.presentation]


def fee_is_returned(book: Book) -> bool:
    """Whether a refund gives back our fee and its tax, or the seller bears them."""
    return book.refund_fee_policy == RETURNED
