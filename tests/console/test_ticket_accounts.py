"""The account pages of a ticket system: it is heard and never asked (RF-1, WH-30)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import ProviderAccount
from tests.accounts import account_of
from tests.console.conftest import Browser

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["jira", "servicenow"])
def desk(request: pytest.FixtureRequest) -> ProviderAccount:
    with as_owner():
        return ProviderAccount.objects.create(
            book=account_of("stripe").book,
            provider=request.param,
            slug="desk",
            created_at=clock.utc_now(),
        )


def test_page_of_a_ticket_system_opens(desk: ProviderAccount, as_: Browser) -> None:
    page = as_("lena").get(reverse("account", args=[desk.provider, desk.slug]))

    assert page.status_code == 200
    assert "tickets ask here, they are never asked" in page.content.decode()


def test_ticket_system_is_listed_among_the_accounts(desk: ProviderAccount, as_: Browser) -> None:
    page = as_("lena").get(reverse("accounts"))

    assert page.status_code == 200
    assert desk.address in page.content.decode()


def test_no_payout_can_be_asked_of_a_ticket_system(desk: ProviderAccount, as_: Browser) -> None:
    page = as_("amara").get(reverse("payout-new")).content.decode()

    assert "stripe/demo" in page
    assert desk.address not in page
