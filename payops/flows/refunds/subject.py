"""Which charge a refund is asked for, and who asks, from what people write elsewhere (RF-1, RF-3).

A charge is named by our id, the provider's reference or the merchant's; a person by e-mail, or by
login where a system asks. Reads only: a name that fits nothing or more than one is refused with
words, never guessed.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from payops.core import ids
from payops.core.models import Book, Person, ProviderAccount
from payops.core.roles import Act, acts_of
from payops.payments.models import Payment

NAME_CHARS_MAX = 255
SHOWN_MAX = 3


class NameRefused(ValueError):
    """The name stands for nobody, nothing, or more than one; the text says which of these."""


class Ambiguous(NameRefused):
    """Several charges have this reference: people have to say which is meant."""


class Unknown(NameRefused):
    """No charge has this reference, yet."""


def payment_of(named: str, *, book: Book, account: ProviderAccount | None = None) -> Payment:
    """The one charge of the book that `named` stands for. Raises Unknown and Ambiguous."""
    named = named.strip()
    at = f" on {account}" if account else ""
    found = payments_of(named, book=book, account=account)
    if not found:
        raise Unknown(f"no charge {named[:64]!r} is known{at}; name it by its id or reference")
    if len(found) > 1:
        several = ", ".join(f"{row.public_id} on {row.account}" for row in found[:SHOWN_MAX])
        raise Ambiguous(
            f"{named[:64]!r} stands for more than one charge{at}: {several}; name one by its id"
        )
    return found[0]


def payments_of(named: str, *, book: Book, account: ProviderAccount | None = None) -> list[Payment]:
    """Every charge of the book that `named` may stand for; a few are enough to see several.

    An id of ours needs no account; that another one was named is for the rules to say.
    """
    if not 0 < len(named) <= NAME_CHARS_MAX or "\x00" in named:
        return []
    key = _key(named)
    wanted = Q(pk=key) if key else Q(provider_ref=named) | Q(merchant_ref=named)
    rows = Payment.objects.filter(wanted, book=book)
    if account is not None and key is None:
        rows = rows.filter(account=account)
    return list(rows.select_related("book", "account", "beneficiary").order_by("pk")[:SHOWN_MAX])


def account_of(address: str, *, book: Book) -> ProviderAccount:
    """Raises Unknown."""
    provider, _, slug = address.partition("/")
    found = ProviderAccount.objects.filter(book=book, provider=provider, slug=slug)
    account = found.select_related("book").first()
    if account is None:
        raise Unknown(f"no account {address[:64]!r} is known; write it as stripe/demo")
    return account


def requester_of(email: str, *, now: datetime) -> Person:
    """The one person with this e-mail, who works here and may ask. Raises NameRefused."""
    email = email.strip()
    here = Q(left_at=None) | Q(left_at__gt=now)
    found = list(Person.objects.filter(here, email__iexact=email)[:2]) if email else []
    if len(found) != 1:
        many = "more than one person has" if found else "nobody here has"
        raise NameRefused(f"{many} the e-mail {email[:120]!r}; ask through somebody who works here")
    if Act.REQUEST_REFUND not in acts_of(found[0].roles_at(now)):
        raise NameRefused(f"{email[:120]} may not ask for refunds; somebody who may has to ask")
    return found[0]


def _key(named: str) -> UUID | None:
    try:
        return ids.parse(named, Payment.PREFIX)[1]
    except ids.UnknownId:
        return None
