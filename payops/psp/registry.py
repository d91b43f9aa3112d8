"""The providers and ticket systems this product hears, one line each.

Adding one: a folder, and its line here. A ticket system asks for refunds and can be asked for
nothing: it has no calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from payops.psp import failure_codes
from payops.psp.adyen.adapter import AdyenAdapter
from payops.psp.adyen.calls import AdyenCalls
from payops.psp.adyen.refunds import AdyenRefunds
from payops.psp.base import FailureCause, WebhookAdapter
from payops.psp.calling import PayoutCalls, RefundCalls
from payops.psp.jira.adapter import JiraAdapter
from payops.psp.paypal.adapter import PayPalAdapter
from payops.psp.paypal.calls import PayPalCalls
from payops.psp.paypal.refunds import PayPalRefunds
from payops.psp.servicenow.adapter import ServiceNowAdapter
from payops.psp.standard.adapter import StandardAdapter
from payops.psp.standard.calls import StandardCalls
from payops.psp.standard.refunds import StandardRefunds
from payops.psp.stripe.adapter import StripeAdapter
from payops.psp.stripe.calls import StripeCalls
from payops.psp.stripe.refunds import StripeRefunds


class ProviderUnknown(LookupError):
    """No provider of that name is registered."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider can do here; a ticket system has neither calls nor refunds."""

    webhooks: WebhookAdapter
    calls: PayoutCalls | None = None
    refunds: RefundCalls | None = None
    # How long the provider goes on sending an event it got no 2xx for.
    retry_window: timedelta = timedelta(days=3)


PROVIDERS: Mapping[str, Provider] = {
    "stripe": Provider(StripeAdapter(), StripeCalls(), StripeRefunds()),
    "adyen": Provider(AdyenAdapter(), AdyenCalls(), AdyenRefunds(), timedelta(days=30)),
    "paypal": Provider(PayPalAdapter(), PayPalCalls(), PayPalRefunds()),
    "standard": Provider(
        StandardAdapter(), StandardCalls(), StandardRefunds(), timedelta(hours=75)
    ),
    "servicenow": Provider(ServiceNowAdapter(), retry_window=timedelta(days=1)),
    "jira": Provider(JiraAdapter(), retry_window=timedelta(days=1)),
}


def provider(name: str) -> Provider:
    """Raises ProviderUnknown."""
    try:
        return PROVIDERS[name]
    except KeyError:
        raise ProviderUnknown(name[:60]) from None


def adapter(name: str) -> WebhookAdapter:
    """Raises ProviderUnknown."""
    return provider(name).webhooks


def calls(name: str) -> PayoutCalls:
    """Raises ProviderUnknown, for a ticket system too."""
    found = provider(name).calls
    if found is None:
        raise ProviderUnknown(f"{name} takes no calls")
    return found


def refunds(name: str) -> RefundCalls:
    """Raises ProviderUnknown, for a ticket system too."""
    found = provider(name).refunds
    if found is None:
        raise ProviderUnknown(f"{name} takes no refunds")
    return found


def has_calls(name: str) -> bool:
    """Whether money moves there; False for a ticket system and for an unknown name."""
    return name in PROVIDERS and PROVIDERS[name].calls is not None


def with_calls() -> tuple[str, ...]:
    return tuple(name for name in PROVIDERS if has_calls(name))


def failure_cause(*, provider: str, code: str | None) -> FailureCause:
    """What a payout failure code of a provider means; see `failure_codes`."""
    return failure_codes.cause_of(provider=provider, code=code)
