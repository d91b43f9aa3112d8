"""What must exist before the first event: books, people, accounts, sellers, rates, chart, policies.

Runs once, as the schema's owner (the audited bootstrap); running it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from django.contrib.auth.hashers import make_password
from django.db import transaction

from approvals.policies import seed_policies
from ledger.accounts import ensure_chart
from ledger.periods import ensure_open
from payops.core import audit, crypto
from payops.core.actors import Actor, service
from payops.core.models import ApiKey, Book, Person, ProviderAccount, Rate, RoleGrant, User
from payops.core.roles import Act
from payops.devstack.seed.people import PEOPLE
from payops.flows import lane_policy
from payops.flows.refunds import policy as refund_policy
from payops.payments.models import Beneficiary
from payops.webhooks.models import Secret
from payops.webhooks.secrets import add_secret

HELD_SINCE = timedelta(days=60)
SYSTEM = "shop-backend"


@dataclass(frozen=True, slots=True)
class Seller:
    reference: str
    name: str
    country: str
    currency: str
    iban: str
    risk: str = "normal"


SELLERS = (
    Seller("S-1001", "Atelier Nordlicht", "DE", "EUR", "DE02120300000000202051"),
    Seller("S-1002", "Casa Verde Ceramics", "ES", "EUR", "ES9121000418450200051332"),
    Seller("S-1003", "Polder Bikes", "NL", "EUR", "NL91ABNA0417164300"),
    Seller("S-1004", "Brightwater Tools", "US", "USD", "US-021000021-000123456789"),
    Seller("S-1005", "Maison Lumen", "FR", "EUR", "FR1420041010050500013M02606"),
    Seller("S-1006", "Fjord & Fern", "NO", "EUR", "NO9386011117947", "raised"),
    Seller("S-1007", "Kyoto Paper House", "JP", "JPY", "JP-0005-1234567"),
    Seller("S-1008", "Loomstate Linen", "PT", "EUR", "PT50000201231234567890154"),
    Seller("S-1009", "Nordhavn Lighting", "DK", "EUR", "DK5000400440116243"),
    Seller("S-1010", "Alpine Timber Works", "AT", "EUR", "AT611904300234573201"),
)
RATES = {"USD": "0.9210", "GBP": "1.1700", "JPY": "0.0061", "KWD": "3.0000"}


def seed_base(*, now: datetime, password: str, api_key: str) -> dict[str, object]:
    """Create what is missing; answers {"people": {...}, "api_key": ...} for stack.json.

    A password or key that an earlier run made is null in the answer: only its hash is known here.
    """
    actor = service("bootstrap", channel="command")
    with transaction.atomic(durable=True):
        system, book = _books(now)
        known = set(User.objects.values_list("username", flat=True))
        _people(system, actor, now, password)
        accounts = _accounts(book, now)
        _rates(now)
        ensure_chart(book)
        ensure_open(book=book, day=now.date(), actor=actor, now=now)
        ensure_open(book=book, day=now.date().replace(day=1) - timedelta(1), actor=actor, now=now)
        for each in (system, book):
            seed_policies(each, now - HELD_SINCE)
        lane_policy.seed(book, now - HELD_SINCE)
        refund_policy.seed(book, now - HELD_SINCE)
        _secrets(accounts, now)
        _sellers(book, now)
        is_new_key = _api_key(book, api_key)
    return {
        "people": {
            login: {
                "password": None if login in known else password,
                "roles": [role.value for role in seat.roles],
            }
            for seat in PEOPLE
            for login in seat.logins
        },
        "api_key": api_key if is_new_key else None,
    }


def bank_hash(details: dict[str, str]) -> str:
    return crypto.keyed_hash(json.dumps(details, sort_keys=True))


def _books(now: datetime) -> tuple[Book, Book]:
    system, _ = Book.objects.get_or_create(
        code="system", defaults={"name": "System", "is_system": True, "created_at": now}
    )
    book, _ = Book.objects.get_or_create(
        code="meridian", defaults={"name": "Meridian Marketplace GmbH", "created_at": now}
    )
    return system, book


def _people(system: Book, actor: Actor, now: datetime, password: str) -> None:
    hashed = make_password(password)
    for seat in PEOPLE:
        if User.objects.filter(username=seat.logins[0]).exists():
            continue
        person = Person.objects.create(name=seat.name, email=f"{seat.logins[0]}@meridian.example")
        for login in seat.logins:
            User.objects.create(
                username=login,
                password=hashed,
                person=person,
                is_superuser=seat.superuser,
                is_staff=seat.superuser,
            )
        for role in seat.roles:
            RoleGrant.objects.create(person=person, role=role.value, granted_at=now - HELD_SINCE)
        audit.record(
            [
                audit.event(
                    book=system,
                    actor=actor,
                    action="person.bootstrapped",
                    subject_id=str(person.pk),
                    now=now,
                    evidence={"logins": seat.logins, "roles": [r.value for r in seat.roles]},
                )
            ]
        )


def _accounts(book: Book, now: datetime) -> list[ProviderAccount]:
    """`weekdays` takes payouts until just after midnight only: they wait for the next day."""
    return [
        ProviderAccount.objects.get_or_create(
            provider=provider,
            slug=slug,
            defaults={
                "book": book,
                "created_at": now,
                "cutoff_time": cutoff,
                "settings": _settings(provider),
            },
        )[0]
        for provider, slug, cutoff in (
            ("stripe", "demo", None),
            ("adyen", "demo", None),
            ("paypal", "demo", None),
            ("standard", "demo", None),
            ("standard", "weekdays", time(0, 0, 1)),
            # The service desk, whose tickets ask for refunds.
            ("servicenow", "support", None),
        )
    ]


def _settings(provider: str) -> dict[str, str]:
    """What an account must know of itself at its provider, beside its secrets."""
    if provider == "adyen":
        return {
            "merchant_account": "MeridianDE",
            "balance_account": "BA00000000000000000000001",
            "auto_capture": "no",
        }
    if provider == "paypal":
        webhook_id = os.environ.get("PAYOPS_SEED_WEBHOOK_SECRET_PAYPAL_DEMO", "")
        return {"webhook_id": webhook_id, "verification": "offline"}
    return {}


def _rates(now: datetime) -> None:
    for base, rate in RATES.items():
        if not Rate.objects.filter(base=base, quote="EUR").exists():
            Rate.objects.create(
                base=base,
                quote="EUR",
                rate=Decimal(rate),
                source="seed",
                as_of=now - HELD_SINCE,
            )


def _secrets(accounts: list[ProviderAccount], now: datetime) -> None:
    for account in accounts:
        name = f"PAYOPS_SEED_WEBHOOK_SECRET_{account.provider}_{account.slug}".upper()
        value = os.environ.get(name, "")
        if value and not Secret.objects.filter(account=account).exists():
            add_secret(account=account, value=value, now=now)


def _sellers(book: Book, now: datetime) -> None:
    for seller in SELLERS:
        if Beneficiary.objects.filter(book=book, reference=seller.reference).exists():
            continue
        details = {"holder": seller.name, "account": seller.iban}
        key = crypto.data_key(book=book, scope=f"payee:{seller.reference}")
        Beneficiary.objects.create(
            book=book,
            reference=seller.reference,
            name=seller.name,
            country=seller.country,
            currency=seller.currency,
            risk=seller.risk,
            data_key=key,
            bank_ciphertext=crypto.seal(key, json.dumps(details).encode()),
            bank_hash=bank_hash(details),
            bank_masked=f"{seller.iban[:2]}·· ···· {seller.iban[-4:]}",
            bank_changed_at=now - HELD_SINCE,
            payable_from=now - HELD_SINCE,
            destination_token=f"dest_{seller.reference.lower()}",
            verified_at=now - HELD_SINCE,
            verified_evidence="migrated from the previous system",
        )


def _api_key(book: Book, api_key: str) -> bool:
    """The demo's one internal system; True when its key was made now."""
    if ApiKey.objects.filter(book=book, system=SYSTEM).exists():
        return False
    ApiKey.objects.create(
        book=book,
        system=SYSTEM,
        key_hash=hashlib.sha256(api_key.encode()).hexdigest(),
        acts=[
            Act.REQUEST_PAYOUT.value,
            Act.REQUEST_REFUND.value,
            Act.VIEW_BOOKS.value,
            Act.POST_ENTRY.value,
        ],
    )
    return True


def fresh_api_key() -> str:
    return "pk_" + secrets.token_hex(24)
