"""States attacked: outside the table by SQL, past Django's protection, by many at once (I18)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from payops.cases.models import Case
from payops.core import clock, guards, state
from payops.core.models import AuditEvent, Message
from payops.core.state import StaleState, StatefulModel
from payops.payments.models import Intent, Payment, Payout
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.builders import drain, reload
from tests.flows.lifecycle import Teller
from tests.guards.approval_attacks import refused, run
from tests.people import actor
from tests.races import race
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (Payout, Case, Intent, Payment, ProviderEvent, Message)


def states_of(model: Any) -> list[str]:
    return sorted({to for _, to in guards.allowed_pairs(model)})


def test_no_row_goes_by_sql_where_the_table_of_transitions_does_not_lead() -> None:
    payout = paid_payout("1200.00")
    Teller(payout).tell("failed")
    drain()
    builders.capture(1000)
    tried = 0

    for model in TABLES:
        table, allowed = model._meta.db_table, guards.allowed_pairs(model)
        row = model.objects.order_by("pk").last()
        assert row is not None, table
        for target in states_of(model):
            if target != row.state and (row.state, target) not in allowed:
                with refused(f"{table} may not go from {row.state} to {target}"):
                    run(f"UPDATE {table} SET state = %s WHERE id = %s", target, row.pk)
                tried += 1
        with refused(f"{table} may not go from {row.state} to PAYED"):
            run(f"UPDATE {table} SET state = 'PAYED' WHERE id = %s", row.pk)

    assert tried >= 25
    assert reload(payout).state == "EXCEPTION"


@pytest.mark.parametrize("model", TABLES)
def test_no_row_is_born_in_another_state_than_its_first(model: Any) -> None:
    paid_payout("1200.00")
    builders.capture(1000)
    Teller(Payout.objects.get()).tell("failed")
    drain()
    table, born = model._meta.db_table, {to for was, to in guards.allowed_pairs(model) if not was}
    names = [field.column for field in model._meta.concrete_fields]
    before = model.objects.count()

    for other in sorted(set(states_of(model)) - born):
        changed = {"id": "gen_random_uuid()", "state": f"'{other}'"}
        values = ", ".join(changed.get(name, name) for name in names)
        with refused(f"{table} may not go from nothing to {other}"):
            run(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} LIMIT 1")

    assert model.objects.count() == before


def test_a_refresh_reads_the_state_again_and_leaves_it_protected() -> None:
    """django-fsm-2 switches the protection off class-wide in `refresh_from_db`; ours does not."""
    payout = paid_payout("1200.00")
    Teller(payout).tell("failed")
    drain()

    payout.refresh_from_db()

    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    for row in (payout, reload(payout), Payout()):
        with pytest.raises(AttributeError):
            row.state = "PAID"
    gone = Payout()
    with pytest.raises(Payout.DoesNotExist):
        gone.refresh_from_db()
    assert gone.state == "DRAFT"
    with pytest.raises(AttributeError):
        gone.state = "PAID"


def test_sixteen_threads_with_the_same_row_change_it_once() -> None:
    payout = builders.requested("1200.00")
    before = AuditEvent.objects.filter(subject_id=payout.public_id).count()

    stale = [Payout.objects.get(pk=payout.pk) for _ in range(16)]
    answers = race(16, lambda i: _save(stale[i]))

    assert sorted(type(answer).__name__ for answer in answers) == [StaleState.__name__] * 15 + [
        "str"
    ]
    assert reload(payout).state == "CANCELED"
    after = AuditEvent.objects.filter(subject_id=payout.public_id).count()
    assert after - before == 1


def _save(row: Payout) -> str:
    row.cancel(reason="race")
    with transaction.atomic():
        state.save(row, actor=actor("lena"), now=clock.utc_now(), action="payout.canceled")
    return "done"


def test_every_governed_record_refuses_the_writers_of_django() -> None:
    paid_payout("1200.00")
    governed = [m for m in guards.product_models() if issubclass(m, StatefulModel)]
    assert {Payout, Case, Intent, Payment} <= set(governed)

    for model in governed:
        for attack in (
            lambda m=model: m.objects.update(state="X"),
            lambda m=model: m.objects.all().delete(),
            lambda m=model: m().save(),
            lambda m=model: m().delete(),
        ):
            with pytest.raises(state.DirectWrite):
                attack()
        with refused("permission denied"):
            run(f"DELETE FROM {model._meta.db_table}")
