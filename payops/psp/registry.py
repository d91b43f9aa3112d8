"""The providers this product knows, one line each. Adding one: a folder, and its line here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from payops.psp import failure_codes
from payops.psp.adyen.adapter import AdyenAdapter
from payops.psp.adyen.calls import AdyenCalls
from payops.psp.base import FailureCause, PayoutCalls, RefundCalls, WebhookAdapter
from payops.psp.paypal.adapter import PayPalAdapter
from payops.psp.paypal.calls import PayPalCalls
from payops.psp.standard.adapter import StandardAdapter
from payops.psp.standard.calls import StandardCalls
from payops.psp.stripe.adapter import StripeAdapter
from payops.psp.stripe.calls import StripeCalls


class ProviderUnknown(LookupError):
    """No provider of that name is registered."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider can do here; `refunds` is None where refunds go another way."""

    webhooks: WebhookAdapter
    calls: PayoutCalls
    refunds: RefundCalls | None = None
    # How long the provider goes on sending an event it got no 2xx for.
    retry_window: timedelta = timedelta(days=3)


PROVIDERS: Mapping[str, Provider] = {
    "stripe": Provider(StripeAdapter(), StripeCalls(), StripeCalls()),
    "adyen": Provider(AdyenAdapter(), AdyenCalls(), AdyenCalls(), timedelta(days=30)),
    "paypal": Provider(PayPalAdapter(), PayPalCalls(), PayPalCalls()),
    "standard": Provider(StandardAdapter(), StandardCalls(), retry_window=timedelta(hours=75)),
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
    """Raises ProviderUnknown."""
    return provider(name).calls


def failure_cause(*, provider: str, code: str | None) -> FailureCause:
    """What a payout failure code of a provider means; see `failure_codes`."""
    return failure_codes.cause_of(provider=provider, code=code)
